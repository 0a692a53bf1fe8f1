# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that go on in the background: their last line is their result, whatever happens."""

from __future__ import annotations

import json
import math
import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, PreflightError
from ansible_collections.mec.migration.plugins.module_utils.base.ranges import wrong_numbers
from ansible_collections.mec.migration.plugins.module_utils.module.base import run_module


class Ended(Exception):
    """What ``sys.exit`` is to a module."""


class Module:
    """As much of an AnsibleModule as :func:`run_module` needs."""

    def __init__(self, path=None):
        self.params = {"progress_file": path}

    def exit_json(self, **result):
        raise Ended(result)

    def fail_json(self, **result):
        raise Ended({"failed": True, **result})


def answer(run, path=None):
    with pytest.raises(Ended) as ended:
        run_module(Module(path), run)
    return ended.value.args[0]


def in_background(run, tmp_path):
    """What the process in the background appends to its file."""
    path = str(tmp_path / "progress" / "one.jsonl")
    begun = answer(run, path)
    assert begun["pid"] != os.getpid()
    _pid, status = os.waitpid(begun["pid"], 0)
    assert status == 0
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def works(_module, progress):
    progress(round=1)
    return {"changed": True, "pid": os.getpid(), "session": os.getsid(0)}


def refuses(_module, _progress):
    raise MigrationError("the link is cut", phase="pre-copy", container_state="running", rolled_back=True)


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (MigrationError("no word of its phase"), "pre-copy"),
        (PreflightError("refused in the midst of it"), "pre-copy"),
        (MigrationError("it knows", phase="verify"), "verify"),
    ],
)
def test_an_error_that_does_not_say_its_phase_gets_that_of_the_module(error, phase):
    def fails(_module, _progress):
        raise error

    with pytest.raises(Ended) as ended:
        run_module(Module(), fails, phase="pre-copy")
    assert ended.value.args[0]["phase"] == phase
    # There is no container to ask about.
    assert ended.value.args[0]["container_state"] == "unknown"


def breaks(_module, _progress):
    return {}["window"]


def test_the_last_line_is_the_result(tmp_path):
    first, last = in_background(works, tmp_path)
    assert first["round"] == 1
    assert last["end"] is True
    assert last["result"]["changed"] is True
    # Of a session of its own: no terminal and no lost connection ends it.
    assert last["result"]["session"] == last["result"]["pid"] != os.getpid()


def test_an_error_of_the_family_is_the_result(tmp_path):
    (last,) = in_background(refuses, tmp_path)
    told = {key: last["result"][key] for key in ("failed", "msg", "phase", "container_state", "rolled_back")}
    assert told == {
        "failed": True,
        "msg": "the link is cut",
        "phase": "pre-copy",
        "container_state": "running",
        "rolled_back": True,
    }
    assert answer(refuses) == last["result"]


def test_any_other_error_is_told_too(tmp_path):
    (last,) = in_background(breaks, tmp_path)
    assert last["result"]["failed"] is True
    assert "window" in last["result"]["msg"]
    assert "in breaks" in last["result"]["exception"]


def test_nobody_waits_for_what_goes_on(tmp_path):
    reader, writer = os.pipe()

    def waits(_module, _progress):
        return {"heard": os.read(reader, 1).decode()}

    path = tmp_path / "progress.jsonl"
    begun = answer(waits, str(path))
    assert path.read_text() == ""
    os.write(writer, b"x")
    os.waitpid(begun["pid"], 0)
    assert json.loads(path.read_text())["result"] == {"heard": "x"}
    os.close(reader)
    os.close(writer)


def test_without_a_file_it_stays_in_the_foreground():
    assert answer(works)["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("downtime_ms", math.nan),
        ("downtime_ms", -5.0),
        ("bandwidth_limit_mbit", math.inf),
        ("throttle_floor_percent", 0.0),
        ("idle_timeout_s", 0.0),
        ("idle_timeout_s", 1e300),
        ("max_rounds", 0),
        ("log_mib", 1025),
        ("port", 65536),
    ],
)
def test_a_number_that_means_nothing_is_refused_before_the_module_acts(option, value):
    def acts(_module, _progress):
        raise AssertionError("it acts")

    module = Module()
    module.params[option] = value
    with pytest.raises(Ended) as ended:
        run_module(module, acts, prepare=lambda module: acts(module, None))
    told = ended.value.args[0]
    assert told["failed"]
    assert told["phase"] == "preflight"
    assert told["msg"].startswith(f"Option {option} is {value:g}, and must be at ") or (
        told["msg"].startswith(f"Option {option} is {value:g}, and must be more than 0")
    )


def test_numbers_of_the_peer_are_looked_at_and_usual_ones_pass():
    assert wrong_numbers({"downtime_ms": 0, "bandwidth_limit_mbit": None, "port": 0, "other": -1}) == []
    module = Module()
    module.params["peer"] = {"address": "10.0.0.2", "port": 1, "silence_timeout_s": -1.0}
    with pytest.raises(Ended) as ended:
        run_module(module, works)
    assert "silence_timeout_s is -1, and must be more than 0" in ended.value.args[0]["msg"]
