# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's tasks that tell those who watch, in a real play: a file, a collector, and neither of them."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

COLLECTION = Path(__file__).resolve().parents[3]
REPORT = {
    "migration_id": "redis-0123",
    "service": "redis",
    "source": "localhost",
    "target": "edge-b",
    "started": 1000.0,
    "ended": 1010.5,
    "total_seconds": 10.5,
    "total_bytes": 5_000_000,
    "frozen_ms": 120.5,
    "window": {"started": 1009.0, "frozen_ms": 120.5},
    "rounds": [],
    "phases": [
        {"phase": "hand over", "started": 1000.0, "ended": 1010.5, "seconds": 10.5, "bytes": 5_000_000}
    ],
}


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector of traces by OTLP over HTTP on loopback: its address, and what it was sent."""
    sent: list[bytes] = []

    class Request(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            good = self.path == "/v1/traces" and self.headers.get_content_type() == "application/x-protobuf"
            if good:
                sent.append(content)
            self.send_response(200 if good else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def play(directory: Path, endpoint: str, **variables: object) -> str:
    """What a play prints that includes the tasks; it must not fail."""
    given = {
        "migrate_service": "redis",
        "migrate_source": "localhost",
        "migrate_target": "edge-b",
        "migrate_report": {"json": REPORT},
        "migrate_outcome": "moved",
        "migrate_why": "",
        "migrate_traces": True,
        **variables,
    }
    tasks = [{"ansible.builtin.include_tasks": str(COLLECTION / "roles/migrate/tasks/telemetry.yml")}]
    document = [{"hosts": "localhost", "gather_facts": False, "vars": given, "tasks": tasks}]
    (directory / "play.yml").write_text(yaml.safe_dump(document))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "play.yml"],
        cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_move_is_counted_and_traced(tmp_path):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    path = tmp_path / "mec.prom"
    with collector() as (url, sent):
        play(tmp_path, url, migrate_metrics_file=str(path))
    labels = 'service="redis",source="localhost",target="edge-b",outcome="moved"'
    assert f"mec_migrations_total{{{labels}}} 1.0\n" in path.read_text()
    (content,) = sent
    (resource,) = ExportTraceServiceRequest.FromString(content).resource_spans
    spans = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert sorted(spans) == ["frozen", "hand over", "migrate redis"]


def test_a_migration_that_was_refused_is_counted_without_a_report(tmp_path):
    path = tmp_path / "mec.prom"
    with collector() as (url, sent):
        play(tmp_path, url, migrate_metrics_file=str(path), migrate_report={}, migrate_outcome="refused")
    assert 'outcome="refused"} 1.0' in path.read_text()
    assert sent == []


def test_nobody_there_is_said_and_fails_nothing(tmp_path):
    other = tmp_path / "other.prom"
    other.write_text("node_load1 0.2\n")
    with collector() as (url, _sent):
        pass
    output = " ".join(play(tmp_path, url, migrate_metrics_file=str(other)).split())
    assert "redis moved, which was not counted" in output
    assert "redis moved, of which there is no trace" in output
    assert other.read_text() == "node_load1 0.2\n"
