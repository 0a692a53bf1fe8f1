# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replayed traces: where users are at a moment, which way they went, who is not there, what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import TraceError
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.earth import sector_of_heading
from ansible_collections.mec.migration.plugins.plugin_utils.loop.planning import positions_of
from ansible_collections.mec.migration.plugins.plugin_utils.loop.replay import read_replay
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import square_grid
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import StateSpace, encode_path

# 0 1 2 from west to east, 3 4 5 north of them.
CELLS = square_grid(2, 3, 500.0, (59.9, 10.7))


def trace(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return str(path)


def users(replay, at_s, names=None):
    document = replay.positions(at_s, names)
    positions_of(document)
    return document["users"]


def test_times_in_any_form_and_order(tmp_path):
    seconds = trace(tmp_path, "time,user,cell\n160,anna,1\n100,anna,0\n130,bo,5\n")
    found = read_replay(seconds, CELLS)
    assert users(found, 0) == {"anna": {"cell": "0", "dwell_slots": 0}}
    assert users(found, 59.9)["bo"] == {"cell": "5", "dwell_slots": 0}
    assert users(found, 60)["anna"] == {"cell": "1", "dwell_slots": 0, "heading": 90.0}
    text = "user,time,cell\nanna,2026-11-23T08:00:00Z,0\nanna,2026-11-23T09:01:00+01:00,1\n"
    again = read_replay(trace(tmp_path, text), CELLS)
    assert users(again, 60) == {"anna": users(found, 60)["anna"]}


def test_who_was_not_seen_lately_is_not_there_and_comes_back_without_a_heading(tmp_path):
    path = trace(tmp_path, "user,time,cell\nanna,0,0\nanna,100,1\nanna,1000,2\n")
    found = read_replay(path, CELLS, gap_s=300)
    assert users(found, 399)["anna"]["heading"] == 90.0
    assert users(found, 399)["anna"]["dwell_slots"] == 4
    assert users(found, 400) == {}
    assert users(found, 1000) == {"anna": {"cell": "2", "dwell_slots": 0}}


def test_degrees_are_taken_to_the_nearest_cell(tmp_path):
    path = trace(tmp_path, "user,time,lat,lon,speed\nanna,0,59.9001,10.7001,12\n")
    assert users(read_replay(path, CELLS), 0)["anna"]["cell"] == "0"


def test_services_may_know_users_by_other_names(tmp_path):
    path = trace(tmp_path, "user,slot,cell\n17,3,4\n42,3,x\n")
    found = read_replay(path, CELLS, users={"17"})
    assert users(found, 0, {"anna": "17"}) == {"anna": {"cell": "4", "dwell_slots": 0}}
    with pytest.raises(TraceError, match=r"user '18' is not in the trace; it has 2: 17, 42"):
        found.positions(0, {"anna": "18"})


def test_a_matrix_of_slots_agrees_with_the_simulation(tmp_path):
    rng = np.random.default_rng(1)
    path = rng.integers(0, 6, size=200)
    path[rng.random(200) < 0.7] = 0
    np.savez(tmp_path / "trace.npz", cell=np.stack([path + 1, np.zeros(200, dtype=np.int64)], axis=1))
    found = read_replay(str(tmp_path / "trace.npz"), CELLS, slot_s=30.0, dwell_slot_s=30.0)
    space = StateSpace(6, directions=CELLS.directions + 1, dwell_levels=300)
    states = encode_path(CELLS, space, path)
    for slot in range(200):
        seen = users(found, 30.0 * slot + 29)
        assert list(seen) == ["0"]
        direction = (
            sector_of_heading(seen["0"]["heading"], CELLS.directions)
            if "heading" in seen["0"]
            else space.no_direction
        )
        assert space.index(int(seen["0"]["cell"]), direction, seen["0"]["dwell_slots"]) == states[slot]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,cell\n0,1\n", "column 'user' is missing; found: time, cell"),
        ("user,time,cell\n", "no row"),
        ("user,cell\nanna,1\n", "line 2: slot is None, not a whole number; give a column slot or time"),
        ("user,slot,cell\nanna,1.5,1\n", "line 2: slot is '1.5'"),
        ("user,time,cell\nanna,noon,1\n", "line 2: time is 'noon'; allowed: seconds, or ISO 8601"),
        ("user,time,cell\nanna,nan,1\n", "line 2: time is 'nan'"),
        ("user,time,cell\nanna,0,9\n", "line 2: cell '9' is not in the cell table"),
        ("user,time,lat,lon\nanna,0,59.9,12\n", "line 2: .* off the map"),
        ("user,time\nanna,0\n", "line 2: lat is ''"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(TraceError, match=words):
        read_replay(trace(tmp_path, text), CELLS)
