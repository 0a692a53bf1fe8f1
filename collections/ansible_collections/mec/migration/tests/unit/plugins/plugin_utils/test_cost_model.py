# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions of what a move costs: what a world that follows the model teaches, and what nothing teaches."""

from __future__ import annotations

import random
from statistics import median

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import cost_model as model
from ansible_collections.mec.migration.plugins.plugin_utils.prediction.cost_store import CostError, check
from hypothesis import given
from hypothesis import strategies as st

# Twice the defaults' constants, other shares: a world that the defaults do not know.
TRUE = {
    "validate": (6.0, 4.5, 2.2),
    "image": (1.6, 1.2, 0.4, 1.0, 9.0),
    "arm": (0.6, 0.3, 0.3),
    "pre-copy": (1.2, 0.8, 0.4, 1.3, 6.0),
    "hand over": (1.2, 0.5, 0.5, 1.0, 3.0),
    "verify": (0.4, 0.2, 0.2),
    "commit": (0.6, 0.3, 0.3),
    "frozen": (0.3, 0.1, 0.07, 1.0, 1.0),
}


def more_for_each(place):
    """What all phases of TRUE take longer for each other move (1), or each process that waits (2)."""
    return sum(numbers[place] for phase, numbers in TRUE.items() if phase != "frozen")


def world_record(rng: random.Random, number: int, noise: float = 0.0):
    """A record of a move in a world with the coefficients TRUE."""
    source, target = rng.sample(["a", "b", "c"], 2)
    bandwidth = {"a": 100e6, "b": 40e6, "c": 12e6}[target]
    missing = rng.choice([0, 0, 80_000_000])
    move = model.Move(
        "redis",
        source,
        target,
        missing,
        rng.uniform(2e7, 1e9),
        rng.uniform(0, 2000),
        moves_at_once=rng.choice([1, 1, 2, 3]),
        load_per_cpu=rng.choice([0.2, 1.0, 2.0, 5.0]),
    )
    transfer = model.transfer_of(move.memory_bytes, move.dirty_pages_per_s, bandwidth)
    image = 0.3 * missing
    precopy, frozen = 0.7 * transfer.memory_bytes, 0.7 * transfer.frozen_bytes
    rows = model._rows(move, image, precopy, frozen, bandwidth)
    took = {
        phase: sum(a * b for a, b in zip(row, TRUE[phase])) * (1 + rng.gauss(0, noise))
        for phase, row in rows.items()
    }
    frozen_s = took.pop("frozen")
    return check(
        {
            "format": 1,
            "time": float(number),
            "migration_id": str(number),
            "service": "redis",
            "source": source,
            "target": target,
            "image_missing_bytes": missing,
            "image_bytes": int(image),
            "memory_bytes": int(move.memory_bytes),
            "dirty_pages_per_s": move.dirty_pages_per_s,
            "bandwidth_bytes_per_s": bandwidth,
            "moves_at_once": move.moves_at_once,
            "waited_seconds": 0.0,
            "seconds": sum(took.values()),
            "total_bytes": int(image + precopy + frozen),
            "frozen_bytes": int(frozen),
            "frozen_ms": 1000 * frozen_s,
            "downtime_ms": None,
            "phases": took,
            "predicted": {
                "total_bytes": 0,
                "seconds": 0,
                "frozen_ms": 0,
                "load_per_cpu": move.load_per_cpu,
            },
            "errors": None,
        }
    )


def errors(records, tests):
    learned = model.CostModel(records)
    found = {"seconds": [], "total_bytes": [], "frozen_ms": []}
    for one in tests:
        predicted = learned.predict(model._move_of(one))
        for key, values in found.items():
            values.append(abs(predicted[key] - one[key]) / one[key])
    return {key: median(values) for key, values in found.items()}


def test_twenty_records_teach_it():
    rng = random.Random(1)
    records = [world_record(rng, number, noise=0.1) for number in range(40)]
    before, after = errors([], records[20:]), errors(records[:20], records[20:])
    assert after["seconds"] < 0.1
    assert after["total_bytes"] < 0.1
    assert after["frozen_ms"] < 0.15
    assert before["seconds"] > 2 * after["seconds"]


def test_the_first_record_helps():
    rng = random.Random(2)
    records = [world_record(rng, number) for number in range(10)]
    assert errors(records[:1], records[1:])["seconds"] < errors([], records[1:])["seconds"]


def test_without_records_defaults_hold():
    learned = model.CostModel([], default_bandwidth_bytes_per_s=50e6)
    predicted = learned.predict(model.Move("redis", "a", "b", 0, 300e6, 0))
    assert predicted["bandwidth_bytes_per_s"] == 50e6
    assert predicted["total_bytes"] == pytest.approx(model.MEMORY_RATIO * 300e6)
    assert 8 < predicted["seconds"] < 20
    assert predicted["records"] == 0


def test_bandwidth_is_the_pairs_own_then_the_neighbours_then_of_all():
    def one(source, target, rate, total=10**9):
        rng = random.Random(3)
        return {
            **world_record(rng, 1),
            "source": source,
            "target": target,
            "bandwidth_bytes_per_s": rate,
            "total_bytes": total,
        }

    learned = model.CostModel([one("a", "b", 10e6), one("c", "d", 30e6), one("a", "b", 1.0, total=0)])
    assert learned.bandwidth("a", "b") == 10e6
    assert learned.bandwidth("c", "b") == pytest.approx(20e6)
    assert learned.bandwidth("a", "x") == 10e6
    assert learned.bandwidth("x", "y") == pytest.approx(20e6)


def moved(dirty_pages_per_s, sent_of, share=None):
    """A record of 100 MB of memory over 100 MB/s; *sent_of* says what was sent of its transfer."""
    transfer = model.transfer_of(1e8, dirty_pages_per_s, 1e8)
    record = world_record(random.Random(4), 1)
    return {
        **record,
        "memory_bytes": 10**8,
        "bandwidth_bytes_per_s": 1e8,
        "dirty_pages_per_s": dirty_pages_per_s,
        "image_bytes": 0,
        "total_bytes": int(sent_of(transfer)),
        "predicted": {**record["predicted"], "compressed_share": share, "dirty_pages_per_s": 1000.0},
    }


def test_memory_compresses_as_a_sample_does_corrected_by_what_was_sent():
    assert model.CostModel([]).memory_ratios("redis", 0.1) == (0.1, model.MEMORY_RATIO)
    assert model.CostModel([]).memory_ratios("redis") == (model.MEMORY_RATIO, model.MEMORY_RATIO)
    # A sample had promised 0.5, and 0.7 was sent.
    still = model.CostModel([moved(0.0, lambda transfer: 0.7 * transfer.memory_bytes, share=0.5)])
    assert still.memory_ratios("redis", 0.5)[0] == pytest.approx(0.7)
    assert still.memory_ratios("other", 0.1)[0] == pytest.approx(0.14)
    assert still.memory_ratios("other", 0.9)[0] == 1.0


def test_what_changes_may_be_of_another_kind():
    def sent(transfer):
        again = transfer.memory_bytes + transfer.frozen_bytes - 1e8
        assert again > 2e7
        return 0.9 * 1e8 + 0.2 * again

    busy = model.CostModel([moved(5000.0, sent, share=0.9)])
    assert busy.memory_ratios("redis", 0.9) == (0.9, pytest.approx(0.2, rel=0.01))
    assert busy.memory_ratios("other", 0.9) == (0.9, model.MEMORY_RATIO)


def test_a_sample_of_the_rate_of_change_is_corrected_by_what_rounds_saw():
    learned = model.CostModel([moved(500.0, lambda transfer: transfer.memory_bytes)])
    half = learned.predict(model.Move("redis", "a", "b", 0, 1e8, 1000.0))
    plain = model.CostModel([]).predict(model.Move("redis", "a", "b", 0, 1e8, 500.0))
    assert half["dirty_pages_per_s"] == 1000.0
    assert half["total_bytes"] == pytest.approx(plain["total_bytes"], rel=0.2)


def test_a_move_beside_others_takes_longer():
    rng = random.Random(5)
    learned = model.CostModel([world_record(rng, number) for number in range(40)])
    alone = learned.predict(model.Move("redis", "a", "b", 0, 1e8, 100))
    beside = learned.predict_beside("redis", "a", "b", alone, 3)
    # Two others, each as much as TRUE says.
    assert beside["seconds"] - alone["seconds"] == pytest.approx(2 * more_for_each(1), rel=0.2)
    assert beside["total_bytes"] == alone["total_bytes"]


def test_a_busy_machine_takes_longer():
    rng = random.Random(6)
    learned = model.CostModel([world_record(rng, number) for number in range(40)], load_per_cpu=4.0)
    load = {"memory_bytes": 1e8, "dirty_pages_per_s": 0.0, "layers": []}
    hosts = {
        "a": {"diff_ids": [], "running": ["redis"], "services": {"redis": load}, "load_per_cpu": 0.5},
        "b": {"diff_ids": [], "running": [], "services": {}, "load_per_cpu": 9.0},
        "c": {"diff_ids": [], "running": [], "services": {}},
    }
    found = model.predictions("redis", hosts, learned)["a"]
    assert (found["b"]["load_per_cpu"], found["c"]["load_per_cpu"]) == (9.0, 4.0)
    quiet = learned.predict(model.Move("redis", "a", "b", 0, 1e8, 0.0))
    # Eight processes more that wait, each as much as TRUE says.
    assert found["b"]["seconds"] - quiet["seconds"] == pytest.approx(8 * more_for_each(2), rel=0.2)


@given(
    memory=st.floats(0, 1e11),
    dirty=st.floats(0, 1e7),
    bandwidth=st.floats(1e3, 1e10),
)
def test_transfer_is_bounded(memory, dirty, bandwidth):
    transfer = model.transfer_of(memory, dirty, bandwidth)
    assert memory <= transfer.memory_bytes <= 2 * model.RULE.max_rounds * memory
    assert 0 <= transfer.frozen_bytes <= memory


def test_an_idle_service_is_sent_once():
    transfer = model.transfer_of(1e8, 0.0, 1e8)
    assert transfer == model.Transfer(1e8, 0.0)


@given(memory=st.floats(1e6, 1e10), dirty=st.floats(0, 1e5), more=st.floats(0, 1e5))
def test_dirtying_faster_never_sends_less_in_the_window(memory, dirty, more):
    slow = model.transfer_of(memory, dirty, 1e8)
    # Where rounds stop is a step; within one number of rounds more is left of a faster writer.
    fast = model.transfer_of(memory, dirty + more, 1e8)
    assert fast.memory_bytes + fast.frozen_bytes >= 0.999 * min(slow.memory_bytes, fast.memory_bytes)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10), st.floats(0.01, 1e3)), max_size=30),
)
def test_coefficients_are_never_negative(observed):
    rows = [[1.0, first, second] for first, second, _took in observed]
    found = model.fit(rows, [took for *_row, took in observed], (2.0, 1.0, 8.0))
    assert len(found) == 3
    assert all(0 <= value < 1e6 for value in found)


def loads(**services):
    return {
        "a": {"diff_ids": ["one", "two"], "services": services},
        "b": {"diff_ids": ["one"], "services": {}},
        "c": {"diff_ids": [], "services": {}},
    }


REDIS = {
    "memory_bytes": 100_000_000,
    "dirty_pages_per_s": 10.0,
    "layers": [
        {"diff_id": "one", "size_bytes": 50},
        {"diff_id": "two", "size_bytes": 7},
        {"diff_id": "two", "size_bytes": 7},
    ],
}


def test_predictions_are_for_every_pair_of_hosts():
    found = model.predictions("redis", loads(redis=REDIS), model.CostModel([]))
    assert {(source, target) for source, row in found.items() for target in row} == {
        (source, target) for source in "abc" for target in "abc" if source != target
    }
    assert found["a"]["b"]["image_missing_bytes"] == 7
    assert found["a"]["c"]["image_missing_bytes"] == 57
    assert found["b"]["a"]["image_missing_bytes"] == 0
    table = model.measured_costs(found)
    assert all(cost == float(f"{cost:.2g}") for row in table.values() for cost in row.values())


@pytest.mark.parametrize(
    ("given_loads", "words"),
    [
        (loads(), "it runs on none"),
        (loads(redis={"problem": "it has a device"}), "redis on a: it has a device"),
    ],
)
def test_a_service_that_cannot_be_measured_is_named(given_loads, words):
    with pytest.raises(CostError, match=words):
        model.predictions("redis", given_loads, model.CostModel([]))


def small_move(number, bandwidth, **more):
    """A small idle service with 8 MiB of shared memory, all of it sent in the window, on a busy machine."""
    phases = {"validate": 9.0, "image": 4.0, "arm": 2.0, "pre-copy": 6.0, "hand over": 5.0, "verify": 2.0}
    return check(
        {
            "format": 1,
            "time": float(number),
            "migration_id": str(number),
            "service": "small",
            "source": "ab"[number % 2],
            "target": "ba"[number % 2],
            "image_missing_bytes": 0,
            "image_bytes": 0,
            "memory_bytes": 7_000_000,
            "dirty_pages_per_s": 3.0,
            "bandwidth_bytes_per_s": bandwidth,
            "moves_at_once": 1,
            "waited_seconds": 0.0,
            "seconds": 29.0,
            "total_bytes": 9_900_000,
            "frozen_bytes": 8_500_000,
            "frozen_ms": 420.0,
            "downtime_ms": None,
            "phases": {**phases, "commit": 1.0},
            "predicted": {"total_bytes": 0, "seconds": 0, "frozen_ms": 0, "load_per_cpu": 3.0},
            "errors": None,
            **more,
        }
    )


@pytest.mark.parametrize("more", [{}, {"largest_round_bytes": 1_300_000}])
def test_small_moves_do_not_teach_a_bandwidth(more):
    """Seen: 79 s to 253 s and 9.5 s to 233 s frozen were told; it took 58 s and 11 s, 435 ms and 96 ms."""
    known = [small_move(number, rate, **more) for number, rate in enumerate((0.6e6, 3e6, 9e6))]
    learned = model.CostModel(known)
    assert learned.bandwidth("a", "b") == 125e6
    for memory_bytes, pages in ((310e6, 400.0), (340e6, 2_000.0), (300e6, 10_000.0)):
        told = learned.predict(model.Move("big", "a", "b", 0, memory_bytes, pages, 0.9))
        assert told["seconds"] < 3 * 30
        assert told["frozen_ms"] < 5 * 435 + 500
        assert told["frozen_ms"] <= 1000 * told["seconds"]


def test_beside_a_large_round_a_small_one_does_not_tell():
    slow = {"bandwidth_bytes_per_s": 5e6, "largest_round_bytes": 5 << 20}
    known = [small_move(number, 1.0, **slow) for number in (0, 2, 4)]
    assert model.CostModel(known).bandwidth("a", "b") == 5e6
    known.append(small_move(6, 90e6, largest_round_bytes=200 << 20))
    assert model.CostModel(known).bandwidth("a", "b") == 90e6


def test_the_window_is_never_longer_than_the_move():
    known = [small_move(number, 1e6, largest_round_bytes=8 << 20) for number in range(3)]
    told = model.CostModel(known).predict(model.Move("big", "a", "b", 0, 1e9, 50_000.0))
    assert told["frozen_ms"] <= 1000 * told["seconds"]


# Frozen ms of idle services on a quiet machine of two cores (with shared memory: one whose processors were
# waited for): what was measured, and how the service is made.
QUIET = [
    (106, {"processes": 1, "threads": 1}),
    (418, {"processes": 30, "threads": 30}),
    (299, {"processes": 1, "threads": 300}),
    (221, {"shared_bytes": 256 << 20}),
    (524, {"shared_bytes": 256 << 20, "system_v_bytes": 256 << 20}),
    (5750, {"tmpfs_bytes": 128 << 20}),
    (805, {"written_file_bytes": 1 << 30}),
]


def idle(window, service="idle"):
    memory_bytes = 2e7 + window.get("shared_bytes", 0)
    return model.Move(service, "a", "b", 0, memory_bytes, 0.0, 0.9, window=window)


@pytest.mark.parametrize(("measured", "window"), QUIET)
def test_what_is_in_the_window_is_known_without_records(measured, window):
    told = model.CostModel([], default_bandwidth_bytes_per_s=1.25e9).predict(idle(window))
    assert measured / 2 < told["frozen_ms"] < measured * 2
    assert told["window"] == window
    # What travels in the window is counted, too.
    whole = window.get("tmpfs_bytes", 0)
    assert told["total_bytes"] > 0.8 * whole


def test_a_busy_machine_takes_longer_for_each_process():
    window = {"processes": 30, "threads": 30}
    quiet, busy = [
        model.CostModel([]).predict(model.Move("s", "a", "b", 0, 1e7, 0.0, load_per_cpu=load, window=window))
        for load in (1.0, 6.0)
    ]
    assert busy["frozen_ms"] > 2 * quiet["frozen_ms"]


def test_what_a_process_costs_here_is_learned():
    records = []
    for number, processes in enumerate([1, 5, 10, 20, 40, 2, 8, 16]):
        one = world_record(random.Random(number), number)
        one["predicted"].update(window={"processes": processes, "threads": processes}, load_per_cpu=1.0)
        one.update(frozen_ms=100 + 60 * (processes - 1), frozen_bytes=0, memory_bytes=0, moves_at_once=1)
        records.append(check(one))
    learned = model.CostModel(records).predict(model.Move("s", "a", "b", 0, 0, 0.0, window={"processes": 30}))
    assert learned["frozen_ms"] == pytest.approx(100 + 60 * 29, rel=0.15)
    beside = model.CostModel(records).predict_beside("s", "a", "b", learned, 2)
    assert beside["frozen_ms"] >= learned["frozen_ms"]
    # A prediction of an earlier version knows nothing of it.
    del learned["window"]
    assert model.CostModel(records).predict_beside("s", "a", "b", learned, 1)["frozen_ms"] < 500
