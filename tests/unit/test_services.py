"""The demo services and their clients, as processes on loopback, without any container."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[1] / "services"
sys.path.insert(0, str(SERVICES / "load"))

import load


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def service(name: str, **env: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    program = SERVICES / name / f"{name}.py"
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PORT": str(port), **env},
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start_client(name: str, port: int, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, str(SERVICES / "clients" / f"{name}_client.py")]
    argv += [f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}", *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def freeze(process: subprocess.Popen[bytes], seconds: float) -> None:
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("name", "env"),
    [("web", {"WORKERS": "3"}), ("load", {"MEMORY_MIB": "8", "DIRTY_PAGES": "500"})],
)
def test_client_sees_the_freeze_and_no_loss(name: str, env: dict[str, str], tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with service(name, **env) as (port, process):
        client = start_client(name, port, f"--ready={ready}", "--gap-ms=100")
        for _ in range(1200):
            if ready.exists():
                break
            time.sleep(0.05)
        # Much longer than what is asked for: an answer from before it may be read late.
        freeze(process, 1.5)
        time.sleep(0.3)
        client.terminate()
        output, _ = client.communicate(timeout=300)
    summary = json.loads(output)
    assert client.returncode == 0, summary
    assert summary["lost_writes"] == 0
    assert summary["wrong_answers"] == 0
    assert summary["acknowledged_writes"] > 0
    assert summary["downtime_client_ms"] >= 380
    assert summary["gaps"]
    if name == "load":
        assert summary["pages"] == 2048
        assert summary["wrong_pages"] == 0
        assert summary["pages_dirtied"] > 0


def test_a_restarted_service_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with service("load", MEMORY_MIB="1") as (port, _):
        client = start_client("load", port, f"--ready={ready}", "--give-up-s=1")
        for _ in range(1200):
            if ready.exists():
                break
            time.sleep(0.05)
    other = subprocess.Popen(
        [sys.executable, str(SERVICES / "load" / "load.py")],
        env={**os.environ, "PORT": str(port), "MEMORY_MIB": "1"},
    )
    try:
        output, _ = client.communicate(timeout=300)
    finally:
        other.kill()
        other.wait()
    summary = json.loads(output)
    assert client.returncode == 1
    assert summary["lost_writes"] is None
    assert "no right answer" in summary["unreachable"]


def test_load_finds_a_page_that_is_not_what_it_must_be() -> None:
    store = load.PageStore(1, b"seed")
    assert all(store.is_right(page) for page in range(store.pages))
    store.dirty(7)
    assert store.is_right(7)
    store.memory[8 * load.PAGE + 5] ^= 1
    assert not store.is_right(8)
    store.versions[7] -= 1  # a page that is newer than its table
    assert not store.is_right(7)
