# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sweeps: all combinations, in one process and on a cluster of dask.distributed, with the same results."""

from __future__ import annotations

import json
import sys
from itertools import product

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError, PolicyError
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation import cluster, evaluation
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.parts import fingerprint
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.sweep import combinations
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    Policy,
    check,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.report.sweep_page import write_sweep

USERS, SLOTS = 130, 60


@pytest.fixture(name="policy", scope="module")
def policy_(tmp_path_factory):
    """Movement learned from a trace of random users on a row of cells."""
    directory = tmp_path_factory.mktemp("trace")
    rows = [f"{cell},{59.9 + 0.002 * (cell % 3)},{10.7 + 0.004 * (cell // 3)}" for cell in range(1, 13)]
    (directory / "cells.csv").write_text("\n".join(["cell,lat,lon", *rows]) + "\n")
    rng = np.random.default_rng(7)
    steps = rng.integers(-1, 2, size=(SLOTS, USERS)).cumsum(axis=0) + rng.integers(0, 12, size=USERS)
    on = rng.random((SLOTS, USERS)) < 0.97
    np.savez(directory / "trace.npz", cell=(np.clip(steps, 0, 11) + 1) * on)
    document = dict(read_policy(DEFAULT_DIRECTORY / "default.yml").document)
    document["map"] = {"kind": "cells", "file": "cells.csv", "cell_size_m": 200}
    document["mobility"] = {"kind": "learned", "trace": "trace.npz"}
    return check(Policy("taxi.yml", document, str(directory)))


def cases(policy, sweep, **options):
    return [
        evaluation.trace_case(
            varying,
            policy.data_file("trace.npz"),
            **{
                "hosts": varied.get("hosts", 5),
                "seed": varied.get("seed", 1),
                "capacity": varied.get("capacity"),
                "varied": varied,
                **options,
            },
        )
        for varying, varied in combinations(policy, sweep)
    ]


def test_a_sweep_is_all_combinations(policy):
    found = list(combinations(policy, {"hosts": [3, None], "x": [0, 4], "mobility.smoothing": [1, 5]}))
    assert [tuple(varied.values()) for _policy, varied in found] == list(product([3, None], [0, 4], [1, 5]))
    costs = [one.document["costs"]["migration"] for one, _varied in found]
    assert [(one["beta_c"], one["beta_l"]) for one in costs[:4]] == [(1, 0), (1, 0), (5, -4), (5, -4)]
    assert [one.document["mobility"]["smoothing"] for one, _varied in found[:2]] == [1, 5]
    assert "smoothing" not in policy.document["mobility"]


@pytest.mark.parametrize(
    ("sweep", "error", "words"),
    [
        ({"hosts": 5}, DecisionError, "allowed: a list"),
        ({"seed": []}, DecisionError, "allowed: a list"),
        ({"seed": [None]}, DecisionError, "whole numbers"),
        ({"hosts": ["5"]}, DecisionError, "whole numbers"),
        ({"x": [-1]}, DecisionError, "numbers from 0"),
        ({"x": [True]}, DecisionError, "numbers from 0"),
        ({"mobilty.smoothing": [1]}, DecisionError, "no section 'mobilty'"),
        ({"mobility.smothing": [1]}, PolicyError, "smothing"),
        ({"discount": [1.5]}, PolicyError, "discount"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused(policy, sweep, error, words):
    with pytest.raises(error, match=words):
        list(combinations(policy, sweep))


def test_parts_of_users_give_what_all_users_at_once_give(policy, monkeypatch):
    sweep = {"hosts": [5]}
    parted = evaluation.evaluate_cases(cases(policy, sweep))[0]
    monkeypatch.setattr(evaluation, "USERS_A_PART", USERS)
    whole = evaluation.evaluate_cases(cases(policy, sweep))[0]
    assert untimed(parted.rows) == untimed(whole.rows)


def untimed(rows):
    return [{**row, "solve_ms": None, "decide_us": None} for row in rows]


def test_progress_names_every_part_once(policy):
    seen = []
    evaluation.evaluate_cases(cases(policy, {"seed": [1, 2]}), None, lambda *told: seen.append(told))
    assert [(done, total) for done, total, _name, _seconds in seen] == [
        (place + 1, len(seen)) for place in range(len(seen))
    ]
    assert {name.split(":")[0] for _done, _total, name, _seconds in seen} == {"seed 1", "seed 2"}


@pytest.fixture(name="scheduler", scope="module")
def scheduler_():
    import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as found:
        yield found.scheduler_address


def test_two_workers_compute_the_same_bits_as_one_process(policy, scheduler, tmp_path):
    sweep = {"hosts": [3, 5], "x": [0, 2], "seed": [1, 2]}
    options = {"known_slots": (2,), "wrong_routes": 0.3}
    alone = evaluation.evaluate_cases(cases(policy, sweep, **options))
    seen, said = [], []
    runner = cluster.Cluster(scheduler, said)
    spread = evaluation.evaluate_cases(
        cases(policy, sweep, **options), runner, lambda *told: seen.append(told)
    )
    texts = [
        (tmp_path / place / "sweep.json").read_bytes()
        for place, done in (("alone", alone), ("spread", spread))
        if write_sweep(tmp_path / place, "Sweep", sweep, [(one.settings, one.rows) for one in done])
    ]
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["settings"]) == 8
    assert said == []
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_with_capacities_too(policy, scheduler):
    alone, spread = (
        evaluation.evaluate_cases(cases(policy, {"capacity": [30, 40]}), runner)
        for runner in (None, cluster.Cluster(scheduler))
    )
    assert [untimed(one.rows) for one in alone] == [untimed(one.rows) for one in spread]


def test_both_workers_have_their_share(policy, scheduler):
    import distributed

    with distributed.Client(scheduler, set_as_default=False) as client:
        before = dict(client.run(lambda dask_worker: dask_worker.state.executed_count))
        # On a busy machine one may be done with all before the other has begun.
        for _try in range(10):
            evaluation.evaluate_cases(cases(policy, {"seed": [3, 4]}), cluster.Cluster(scheduler))
            after = client.run(lambda dask_worker: dask_worker.state.executed_count)
            if all(after[worker] > before[worker] for worker in before):
                break
    assert all(after[worker] > before[worker] for worker in before)


def test_what_fails_on_a_worker_is_told_with_the_name_of_its_part(policy, scheduler):
    broken = cases(policy, {"seed": [1]}, capacity=1)
    with pytest.raises(DecisionError, match=r"seed 1: .*no host has room"):
        evaluation.evaluate_cases(broken, cluster.Cluster(scheduler))


def test_a_scheduler_that_is_not_there_is_named(policy, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with pytest.raises(DecisionError, match=r"no scheduler .*'tcp://127\.0\.0\.1:9'"):
        evaluation.evaluate_cases(cases(policy, {"seed": [1]}), cluster.Cluster("tcp://127.0.0.1:9"))


def test_a_scheduler_that_goes_away_is_told(policy):
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as own:

        def end(done, *_told):
            if done == 2:
                own.close()

        with pytest.raises(DecisionError, match="the scheduler has ended or cannot be reached"):
            evaluation.evaluate_cases(
                cases(policy, {"seed": [1, 2]}), cluster.Cluster(own.scheduler_address), end
            )


def test_without_dask_the_error_says_how_to_get_it(policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DecisionError, match="pip install 'distributed"):
        evaluation.evaluate_cases(cases(policy, {"seed": [1]}), cluster.Cluster("tcp://127.0.0.1:9"))


def test_the_code_for_workers_is_complete_and_has_its_digest_in_its_name():
    name, content = cluster.code()
    assert cluster.code() == (name, content)
    with cluster._shipped() as (archive, module):
        assert str(archive) in str(module.__file__)
        assert module.fingerprint() == fingerprint()
    assert not [one for one in sys.modules if one.startswith(name)]
