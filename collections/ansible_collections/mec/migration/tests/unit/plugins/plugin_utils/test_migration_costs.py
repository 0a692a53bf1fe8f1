# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of migration costs: what a record holds, what a torn or foreign line costs, parallel writers."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import cost_store as costs
from hypothesis import given, settings
from hypothesis import strategies as st

STORE = "costs.jsonl"


def report(**changes):
    return {
        "migration_id": "redis-1",
        "service": "redis",
        "source": "edge-a",
        "target": "edge-b",
        "memory_bytes": 291_483_648,
        "image_bytes": 929,
        "image_missing_bytes": 0,
        "total_bytes": 291_593_756,
        "frozen_bytes": 272_002,
        "frozen_ms": 1761.4,
        "bandwidth_bytes_per_s": 54260349.163501024,
        "dirty_pages_per_s": 353.3,
        "rounds": [],
        "phases": [{"phase": "validate", "seconds": 5.096, "bytes": 0}],
        "total_seconds": 45.29,
        "downtime_client_ms": None,
        **changes,
    }


def record(**changes):
    return costs.record_of(report(**changes), 1_790_000_000.0)


def test_a_record_is_made_of_the_report():
    made = record()
    assert made["seconds"] == 45.29
    assert made["phases"] == {"validate": 5.096}
    assert made["predicted"] is None
    assert made["errors"] is None


def test_bandwidth_is_that_of_the_round_that_sent_much():
    rounds = [
        {"sent_bytes": 290_173_332, "seconds": 5.0},
        {"sent_bytes": 620_876, "seconds": 0.001},
        {"sent_bytes": 5_000_000, "seconds": 1.0},
    ]
    assert record(rounds=rounds)["bandwidth_bytes_per_s"] == pytest.approx(290_173_332 / 5)
    assert record(rounds=rounds[1:2])["bandwidth_bytes_per_s"] == 54260349.2


def test_a_prediction_is_kept_with_its_errors():
    predicted = {"total_bytes": 2.9e8, "seconds": 36.232, "frozen_ms": 3522.8}
    made = costs.record_of(report(), 1.0, predicted)
    assert made["predicted"] == predicted
    assert made["errors"]["seconds"] == pytest.approx(-0.2)
    assert made["errors"]["frozen_ms"] == pytest.approx(1.0)


def test_a_prediction_that_is_none_is_refused():
    with pytest.raises(costs.CostError, match="has no total_bytes"):
        costs.record_of(report(), 1.0, {"seconds": 3.0})


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"memory_bytes": -1}, "memory_bytes"), ({"service": ""}, "service"), ({"source": None}, "source")],
)
def test_the_schema_names_the_key(changes, key):
    with pytest.raises(costs.CostError, match=f"key {key}:"):
        record(**changes)


def test_no_infinite_number_gets_into_the_store():
    with pytest.raises(costs.CostError, match="bandwidth_bytes_per_s"):
        record(bandwidth_bytes_per_s=float("inf"))


def test_there_and_back(tmp_path: Path):
    store = tmp_path / "new" / "costs.jsonl"
    assert costs.read(store) == []
    first, second = record(migration_id="one"), record(migration_id="two")
    costs.append(store, first)
    costs.append(store, second)
    assert costs.read(store) == [first, second]
    assert len(store.read_text().splitlines()) == 2


def test_a_torn_line_costs_one_record(tmp_path: Path):
    store = tmp_path / "costs.jsonl"
    costs.append(store, record(migration_id="one"))
    store.write_bytes(store.read_bytes() + b'{"format": 1, "ti')
    costs.append(store, record(migration_id="three"))
    with pytest.raises(costs.CostError, match="line 2: no JSON"):
        costs.read(store)
    skipped: list[str] = []
    assert [one["migration_id"] for one in costs.read(store, skipped=skipped)] == ["one", "three"]
    assert len(skipped) == 1


def test_only_the_newest_are_looked_at(tmp_path: Path):
    store = tmp_path / "costs.jsonl"
    store.write_text("of a move long ago, and damaged\n")
    for time in (1.0, 2.0):
        costs.append(store, {**record(), "time": time})
    with store.open("a") as lines:
        lines.write("torn\n\n")
    costs.append(store, {**record(), "time": 3.0})
    skipped: list[str] = []
    assert [one["time"] for one in costs.read(store, newest=2, skipped=skipped)] == [2.0, 3.0]
    assert [sentence.split(": ")[0] for sentence in skipped] == [f"{store}, line 4"]
    assert [one["time"] for one in costs.read(store, newest=5, skipped=[])] == [1.0, 2.0, 3.0]
    assert costs.read(store, newest=1) == costs.read(store, skipped=[])[-1:]
    assert costs.read(store, newest=0) == []


def test_a_line_of_another_kind_is_named(tmp_path: Path):
    store = tmp_path / "costs.jsonl"
    store.write_text(json.dumps({**record(), "extra": 1}) + "\n")
    with pytest.raises(costs.CostError, match=r"line 1: .*'extra' was unexpected"):
        costs.read(store)


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(costs.CostError, match=r"file/costs\.jsonl: cannot be written"):
        costs.append(tmp_path / "file" / "costs.jsonl", record())


def _write_many(store: Path, writer: int) -> None:
    for turn in range(25):
        costs.append(store, record(migration_id=f"{writer}-{turn}", service="x" * 4000))


def test_parallel_writers_tear_no_line(tmp_path: Path):
    store = tmp_path / "costs.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(store, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = costs.read(store)
    assert {one["migration_id"] for one in found} == {f"{w}-{t}" for w in range(4) for t in range(25)}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), st.floats(0, 1e6)), min_size=1))
@settings(deadline=None)
def test_the_summary_counts_every_record_once(moves):
    records = [record(source=source, target=target, total_seconds=s) for source, target, s in moves]
    rows = costs.summary(records)
    assert sum(row["count"] for row in rows) == len(moves)
    for row in rows:
        own = [s for source, target, s in moves if (source, target) == (row["source"], row["target"])]
        assert min(own) <= row["seconds"] <= max(own)
    assert len(costs.lines(records, STORE)) == 1 + len(rows)


def test_the_table_shows_errors_only_where_there_were_predictions(tmp_path):
    predicted = {"total_bytes": 291_593_756, "seconds": 90.58, "frozen_ms": 1761.4}
    told = costs.lines([record(), costs.record_of(report(source="edge-c"), 2.0, predicted)], STORE)
    assert told[1].split()[:4] == ["edge-a", "->", "edge-b", "1"]
    assert told[1].split()[-3:] == ["-", "-", "-"]
    assert "100 %" in told[2]
    assert told[3].startswith("median error of 1 predictions: total_bytes 0 %, seconds 100 %")
    absent = tmp_path / "misspelt.jsonl"
    assert costs.lines([], absent) == [f"no migration has been recorded yet in {absent}, which is not there"]


def test_a_pipe_takes_no_record(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(costs.CostError, match="no regular file"):
        costs.append(tmp_path / "pipe", record())
