"""The module in a real play: what it writes, what it says of it, what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from .conftest import recorded

ROOT = Path(__file__).resolve().parents[2]


def play_module(
    directory: Path, module: str, task: dict[str, Any], *options: str
) -> tuple[int, str, dict[str, Any]]:
    """(exit code, output, result) of a play of one task on two hosts that need not exist."""
    hosts = {"edge-a": {"mec_cell": "0"}, "edge-b": {"mec_cell": "1"}, "edge-c": {"mec_cell": "2"}}
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (directory / "result.json").unlink(missing_ok=True)
    tasks = [
        {f"mec.migration.{module}": task, "register": "told"},
        {
            "ansible.builtin.copy": {
                "content": "{{ told | to_json }}",
                "dest": str(directory / "result.json"),
            },
            "delegate_to": "localhost",
            "check_mode": False,
        },
    ]
    made = [{"hosts": "edge-a", "gather_facts": False, "tasks": tasks}]
    (directory / "play.json").write_text(json.dumps(made))
    done = subprocess.run(
        ["ansible-playbook", "-i", str(directory / "hosts.json"), *options, str(directory / "play.json")],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    result = directory / "result.json"
    return done.returncode, done.stdout, json.loads(result.read_text()) if result.exists() else {}


def play(directory: Path, *options: str, **task: Any) -> tuple[int, str, dict[str, Any]]:
    return play_module(directory, "migration_timeline", task, *options)


def raw(name: str) -> dict[str, Any]:
    """What a playbook gives of a recorded run."""
    record = recorded(name)
    return {key: record[key] for key in ("run", "started", "ended", "policy", "leave", "check", "rounds")}


def test_it_writes_once_and_says_so(tmp_path: Path) -> None:
    page = tmp_path / "deep" / "run.html"
    task = {"path": str(page), "run": raw("failed"), "hosts": ["edge-a", "edge-b", "edge-c"]}
    code, output, told = play(tmp_path, "--check", **task)
    assert (code, told["changed"]) == (0, True), output
    assert not page.parent.exists()

    _code, _output, told = play(tmp_path, **task)
    assert told["changed"]
    assert told["verdict"]["state"] == "failed"
    assert told["files"] == {"html": str(page), "json": str(page.with_suffix(".json"))}
    record = json.loads(page.with_suffix(".json").read_text())
    assert record["format"] == 2
    assert record["rounds"] == recorded("failed")["rounds"]
    assert record["verdict"] == told["verdict"]
    assert page.read_text().count("<svg") > 5
    assert sorted(path.name for path in page.parent.iterdir()) == ["run.html", "run.json"]

    _code, _output, told = play(tmp_path, **task)
    assert not told["changed"]


def test_one_migration_gives_a_page_alone(tmp_path: Path) -> None:
    page = tmp_path / "redis.html"
    migration = recorded("single")["rounds"][0]["moves"][0]["report"]
    code, output, told = play(tmp_path, path=str(page), migration=migration)
    assert code == 0, output
    assert told["verdict"]["sentence"] == "All went well"
    assert page.exists()
    assert not page.with_suffix(".json").exists()


def test_one_migration_is_kept_beside_its_page(tmp_path: Path) -> None:
    migration = recorded("single")["rounds"][0]["moves"][0]["report"]
    task = {"path": str(tmp_path / "reports" / "redis.html"), "migration": migration, "record": True}
    code, output, told = play(tmp_path, **task)
    assert code == 0, output
    record = tmp_path / "reports" / "redis.json"
    assert json.loads(record.read_text()) == migration
    assert told["files"]["json"] == str(record)
    assert "redis.json" in (tmp_path / "reports" / "redis.html").read_text()
    _code, _output, told = play(tmp_path, **task)
    assert not told["changed"]


def test_it_says_what_is_wrong(tmp_path: Path) -> None:
    run = raw("failed")
    run["rounds"][0]["moves"][0]["outcome"] = "vanished"
    code, output, _told = play(tmp_path, path=str(tmp_path / "run.html"), run=run)
    assert code != 0
    assert "vanished" in output
    assert not (tmp_path / "run.html").exists()
