# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fig. 8 of Wang et al.: the rules against plain loops, the authors' file, the report."""

from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError, TraceError
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation import figure_8 as fig
from ansible_collections.mec.migration.plugins.plugin_utils.report.figure_8_page import write_figure_8
from scipy.io import savemat

SIDE, SLOTS, USERS = 12, 20, 30


def made_day(seed=1, users=USERS):
    """Users on random walks over a square of cells, some of them not there all the time."""
    rng = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    degrees = np.stack([37.7 + 0.013 * row, -122.4 + 0.017 * column], axis=1)
    steps = rng.integers(-1, 2, size=(SLOTS, users, 2)).cumsum(axis=0) + rng.integers(0, SIDE, (users, 2))
    cell = np.clip(steps, 0, SIDE - 1) @ [SIDE, 1]
    cell[rng.random(cell.shape) < 0.05] = -1
    cell[:, 0] = 5
    return fig.Day(degrees, cell, 1212220800.0, 60.0)


def by_loops(day, name):
    """The costs of a slot by the letter of the paper: one user after the other, no room needed."""
    count = (day.cell >= 0).sum(axis=1)
    total = len(day.degrees)
    hosts = [math.floor(i * total / fig.HOSTS + 0.5) - 1 for i in range(1, fig.HOSTS + 1)]

    def ring(one, other):
        away = math.dist(day.degrees[one], day.degrees[other]) / 0.01
        return round(away) if abs(away - round(away)) < 1e-8 else math.ceil(away)

    found, at = [], {}
    for slot in range(len(day.cell)):
        load = 1 / (1 - count[slot] / (1.5 * count.max()))
        cost = 0.0
        for user, cell in enumerate(day.cell[slot].tolist()):
            if cell < 0:
                at.pop(user, None)
                continue

            def use(host, cell=cell, load=load):
                return load - load * 0.8 ** ring(cell, host) if host != cell else 0.0

            def move(before, host, load=load):
                return 2 * load - load * 0.8 ** ring(before, host) if host != before else 0.0

            near = min(hosts, key=lambda host, cell=cell: math.dist(day.degrees[cell], day.degrees[host]))
            before = at.get(user)
            if before is None:
                target, paid = near, load
            else:
                if name == fig.NEVER:
                    target = before if ring(cell, before) < 20 else near
                elif name == fig.ALWAYS:
                    target = near
                else:
                    close = [host for host in hosts if ring(cell, host) < 20]
                    target = min(close, key=lambda host, b=before, u=use, m=move: m(b, host) + u(host))
                paid = move(before, target)
            at[user] = target
            cost += paid + use(target)
        found.append(cost / count[slot])
    return found


@pytest.mark.parametrize("name", [fig.NEVER, fig.ALWAYS, fig.MYOPIC])
def test_the_baselines_cost_what_the_paper_says(name):
    day = made_day()
    assert fig.figure_8(day)["cost"][name] == pytest.approx(by_loops(day, name))


def test_no_rule_costs_less_than_the_offline_optimum():
    for seed in range(3):
        found = fig.figure_8(made_day(seed))
        users = np.array(found["users"])
        total = {name: float(users @ line) for name, line in found["cost"].items()}
        assert total[fig.OFFLINE] == min(total.values())
        assert total[fig.OFFLINE] < 0.99 * total[fig.ALWAYS]


def test_full_hosts_take_no_more():
    day = made_day(users=90)
    day.cell[:, :] = 5
    found = fig.figure_8(day)
    alone = fig.figure_8(made_day(users=90))
    assert found["users"] == [90] * SLOTS
    # 40 of 90 users in one cell are not on its nearest host.
    assert found["cost"][fig.ALWAYS][1] > found["cost"][fig.OFFLINE][1]
    assert alone["users"] != found["users"]


def test_a_slot_without_users_is_refused():
    day = made_day()
    day.cell[3] = -1
    with pytest.raises(DecisionError, match="no user is there in slot 3"):
        fig.figure_8(day)


def test_the_file_of_the_authors_is_read_backwards(tmp_path):
    day = made_day()
    path = tmp_path / fig.PUBLISHED
    held = {
        "cellOfUsers": (day.cell[::-1] + 1).astype(np.uint8),
        "coordinatesCells2D": day.degrees,
        "timeMin": np.int32(1212220800),
        "updateTimeStep": np.uint8(60),
    }
    savemat(path, held)
    read = fig.read_day(str(path))
    assert (read.cell == day.cell).all()
    assert (read.degrees == day.degrees).all()
    assert (read.start_s, read.slot_s) == (day.start_s, 60.0)
    savemat(path, {**held, "coordinatesCells2D": day.degrees[:5]})
    with pytest.raises(TraceError, match="cells up to"):
        fig.read_day(str(path))
    path.write_bytes(b"no MATLAB file")
    with pytest.raises(TraceError, match=r"not traceRealCellLocations\.mat"):
        fig.read_day(str(path))


def test_other_traces_have_their_table_beside_them(tmp_path):
    day = made_day()
    rows = [f"{place + 1},{lat:.6f},{lon:.6f}" for place, (lat, lon) in enumerate(day.degrees)]
    (tmp_path / "cells.csv").write_text("\n".join(["cell,lat,lon", *rows]) + "\n")
    np.savez(tmp_path / "trace.npz", cell=day.cell + 1)
    read = fig.read_day(str(tmp_path / "trace.npz"), str(tmp_path / "cells.csv"))
    assert (read.cell == day.cell).all()
    assert read.degrees == pytest.approx(day.degrees, abs=1e-6)
    with pytest.raises(TraceError, match="needs the cell table"):
        fig.read_day(str(tmp_path / "trace.npz"))


def test_the_report_has_every_slot_and_says_the_gap_in_a_sentence(tmp_path):
    found = fig.figure_8(made_day())
    files = write_figure_8(tmp_path, {"kind": "figure_8"}, found)
    with open(files["csv"], newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["mdp_distance"]) for row in rows] == found["cost"]["mdp_distance"]
    with open(files["json"]) as stream:
        assert json.load(stream)["mean"] == found["mean"]
    page = (tmp_path / "figure_8.html").read_text()
    assert page.count("<polyline") == 5 + 1
    assert re.search(r"closes -?[0-9.]+% of the gap between the best of the simple rules", page)
    assert not re.search(r"(src|href)=|<script|https?://", page)
