# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics and traces, read by Prometheus' own parser and OpenTelemetry's own exporter."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.report.metrics import (
    FAILED,
    MOVED,
    REFUSED,
    Ended,
    parse,
    record,
)
from ansible_collections.mec.migration.plugins.plugin_utils.report.trace import export, span_of

ENDS = {"service": "redis", "source": "edge-a", "target": "edge-b"}
ROUND = {"seconds": 0.5, "sent_bytes": 1000, "pages_changed": 7}
REPORT = {
    "format": 2,
    "migration_id": "redis-0123",
    **ENDS,
    "started": 1000.0,
    "ended": 1010.5,
    "tracker": "soft-dirty",
    "stop_reason": "little is left",
    "total_seconds": 10.5,
    "total_bytes": 5_000_000,
    "memory_bytes": 9_000_000,
    "frozen_ms": 120.5,
    "moves_at_once": 2,
    "window": {"started": 1009.2, "frozen_ms": 120.5, "dump_ms": 40.0, "restore_wait_ms": 60.0},
    "rounds": [
        {**ROUND, "round": 1, "started": 1004.0},
        {**ROUND, "round": 2, "started": 1005.0},
        {**ROUND, "round": 3, "started": 1009.0, "seconds": 0.1},
    ],
    "phases": [
        {"phase": "validate", "started": 1000.0, "ended": 1002.0, "seconds": 2.0, "bytes": 0},
        {"phase": "pre-copy", "started": 1002.0, "ended": 1008.0, "seconds": 6.0, "bytes": 4_000_000},
        {"phase": "hand over", "started": 1008.0, "ended": 1010.5, "seconds": 2.5, "bytes": 1_000_000},
    ],
}
FAILURE = {
    "migration_id": "redis-0124",
    **ENDS,
    "failed_task": "Freeze",
    "started": 2000.0,
    "ended": 2003.0,
    "rounds": [],
    "phases": [{"phase": "validate", "started": 2000.0, "ended": 2003.0, "seconds": 3.0, "bytes": 0}],
    "total_seconds": 3.0,
}


def ended(outcome=MOVED, report=None, **changed) -> Ended:
    report = REPORT if report is None else report
    ends = {**ENDS, **changed}
    return Ended(
        ends["service"], ends["source"], ends["target"], outcome, report.get("ended", 3000.0), report
    )


def parsed(path: Path) -> dict[tuple[str, frozenset], float]:
    """By name and labels the value, as Prometheus' own client reads the file."""
    from prometheus_client.parser import text_string_to_metric_families

    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.documentation
        assert family.type in ("counter", "gauge")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def labels(**more: str) -> frozenset:
    return frozenset({**ENDS, **more}.items())


def test_metrics_of_runs_one_after_the_other(tmp_path):
    path = tmp_path / "textfile" / "mec.prom"
    record(path, ended())
    record(path, ended())
    record(path, ended(FAILED, FAILURE))
    record(path, ended(REFUSED, {}))
    found = parsed(path)
    assert found["mec_migrations_total", labels(outcome="moved")] == 2
    assert found["mec_migrations_total", labels(outcome="failed")] == 1
    assert found["mec_migrations_total", labels(outcome="refused")] == 1
    assert found["mec_migration_seconds_total", labels(outcome="moved")] == 21.0
    assert found["mec_migration_seconds_total", labels(outcome="failed")] == 3.0
    assert found["mec_migration_sent_bytes_total", labels()] == 10_000_000
    assert found["mec_migration_frozen_seconds_total", labels()] == pytest.approx(0.241)
    assert found["mec_migration_last_seconds", labels()] == 10.5
    assert found["mec_migration_last_frozen_seconds", labels()] == pytest.approx(0.1205)
    assert found["mec_migration_last_phase_seconds", labels(phase="hand over")] == 2.5
    assert found["mec_migration_last_end_timestamp_seconds", labels(outcome="moved")] == 1010.5
    assert found["mec_migration_last_end_timestamp_seconds", labels(outcome="refused")] == 3000.0
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["mec.prom"], "nothing is left beside it"


def test_metrics_a_phase_that_the_last_move_did_not_have_is_gone(tmp_path):
    path = tmp_path / "mec.prom"
    record(path, ended())
    record(path, ended(service="web"))
    record(path, ended(report={**REPORT, "phases": REPORT["phases"][1:]}))
    found = parsed(path)
    assert ("mec_migration_last_phase_seconds", labels(phase="validate")) not in found
    assert found["mec_migration_last_phase_seconds", labels(service="web", phase="validate")] == 2.0


@pytest.mark.parametrize(
    "name", ['a "quoted" one', "back\\slash", "two\nlines", "n\\", "æøå {x=1}", 'a",b="']
)
def test_metrics_names_of_all_kinds_come_back(tmp_path, name):
    path = tmp_path / "mec.prom"
    record(path, ended(service=name))
    record(path, ended(service=name))
    assert parsed(path)["mec_migrations_total", labels(service=name, outcome="moved")] == 2


@pytest.mark.parametrize(
    "content",
    ["node_load1 0.2\n", "mec_migrations_total{a=b} 1\n", "mec_migrations_total{} many\n", "\xff" * 10],
)
def test_metrics_another_programs_file_is_left_alone(tmp_path, content):
    path = tmp_path / "mec.prom"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DecisionError, match="metrics"):
        record(path, ended())
    assert path.read_text(encoding="latin-1") == content
    assert os.listdir(tmp_path) == ["mec.prom"]


def add_many(path: Path, service: str) -> None:
    for _each in range(25):
        record(path, ended(service=service))


def test_metrics_plays_at_the_same_time_lose_nothing_and_no_reader_sees_half_a_file(tmp_path):
    path = tmp_path / "mec.prom"
    record(path, ended(service="first"))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_many, args=(path, f"s{i % 2}")) for i in range(4)]
    over, torn = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            text = path.read_text()
            if not text.endswith("\n") or 'service="first"' not in text:
                torn.append(text)
            parse(text, "it")

    reader = threading.Thread(target=read)
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    over.set()
    reader.join()
    assert torn == []
    found = parsed(path)
    for service in ("s0", "s1"):
        assert found["mec_migrations_total", labels(service=service, outcome="moved")] == 50


@pytest.fixture
def exporter():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


def test_trace_one_for_a_migration_with_its_phases_rounds_and_window(exporter):
    trace_id = export(span_of(REPORT), exporter)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert len(spans) == len(exporter.get_finished_spans()) == 8
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {trace_id}
    whole = spans["migrate redis"]
    assert whole.parent is None
    assert (whole.start_time, whole.end_time) == (1_000_000_000_000, 1_010_500_000_000)
    assert whole.attributes["mec.migration.id"] == "redis-0123"
    assert whole.attributes["mec.migration.frozen_ms"] == 120.5
    assert whole.resource.attributes["service.name"] == "mec.migration"
    parents = {
        "validate": "migrate redis",
        "pre-copy": "migrate redis",
        "hand over": "migrate redis",
        "round 1": "pre-copy",
        "round 2": "pre-copy",
        "round 3": "hand over",
        "frozen": "hand over",
    }
    assert {
        name: next(one.name for one in spans.values() if span.parent.span_id == one.context.span_id)
        for name, span in spans.items()
        if span.parent
    } == parents
    assert spans["frozen"].end_time - spans["frozen"].start_time == pytest.approx(120_500_000, abs=1000)
    assert spans["frozen"].attributes["mec.migration.dump_ms"] == 40.0
    assert spans["round 2"].attributes["mec.migration.pages_changed"] == 7
    assert all(span.status.status_code.name == "UNSET" for span in spans.values())


def test_trace_of_a_migration_that_failed(exporter):
    export(span_of(FAILURE, "Freeze failed: no answer"), exporter)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"migrate redis", "validate"}
    for span in spans.values():
        assert span.status.status_code.name == "ERROR"
        assert span.status.description == "Freeze failed: no answer"
    assert spans["migrate redis"].attributes["mec.migration.failed_task"] == "Freeze"


def test_trace_each_migration_has_its_own_even_inside_of_a_span(exporter):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    with TracerProvider().get_tracer("a play").start_as_current_span("play") as around:
        first = export(span_of(REPORT), exporter)
        second = export(span_of(REPORT), InMemorySpanExporter())
        assert len({first, second, f"{around.get_span_context().trace_id:032x}"}) == 3


def test_trace_the_name_of_the_environment_comes_before(exporter, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge-mover")
    export(span_of(REPORT), exporter)
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "edge-mover"


def test_trace_that_nobody_takes_is_an_error(exporter):
    exporter.shutdown()
    with pytest.raises(DecisionError, match="nobody took the trace"):
        export(span_of(REPORT), exporter)


def test_trace_without_opentelemetry_says_what_to_install(monkeypatch):
    import sys

    for name in list(sys.modules):
        if name.startswith("opentelemetry"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(DecisionError, match="pip install opentelemetry-sdk"):
        export(span_of(REPORT))
