# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker remembers of a container is told in words."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.docker import events as module
from ansible_collections.mec.migration.plugins.module_utils.docker.events import done_since

BY = " (docker stop, kill, rm or restart)"


def event(action, **facts):
    return {"Action": action, "Actor": {"ID": "5" * 64, "Attributes": facts}}


def of_network(action, container="5" * 64):
    return {
        "Action": action,
        "Type": "network",
        "Actor": {"ID": "7" * 64, "Attributes": {"container": container}},
    }


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], ""),
        ([event("exec_create: ls"), event("health_status: healthy")], ""),
        ([event("kill", signal="15")], f"it was sent SIGTERM there{BY}"),
        (
            [
                event("kill", signal="15"),
                event("kill", signal="9"),
                event("die", exitCode="137"),
                event("stop"),
            ],
            f"it was sent SIGTERM, SIGKILL there{BY}",
        ),
        ([event("kill", signal="37")], f"it was sent signal 37 there{BY}"),
        ([event("die", exitCode="137")], "it ended there (exit code 137)"),
        (
            [event("kill", signal="9"), event("die", exitCode="137"), event("destroy")],
            f"it was sent SIGKILL there and its container was removed there{BY}",
        ),
        (
            [event("kill", signal="15"), event("die", exitCode="143"), event("start"), event("restart")],
            f"it was sent SIGTERM there and was started anew there{BY}",
        ),
        ([{"Action": "kill", "Actor": {"ID": "5" * 64}}, {}], f"it was sent signal None there{BY}"),
        (
            [event("update"), event("update"), event("rename"), of_network("connect")],
            "it was changed there, and not on the target (docker update, docker rename, docker network "
            "connect)",
        ),
        ([event("die", exitCode="1"), of_network("disconnect")], "it ended there (exit code 1)"),
        (
            [event("update"), event("kill", signal="9")],
            f"it was sent SIGKILL there{BY}, and it was changed there, and not on the target (docker update)",
        ),
        ([of_network("connect", container="6" * 64), {**event("update"), "Actor": {"ID": "6" * 64}}], ""),
    ],
)
def test_what_was_done_is_told(events, said):
    assert done_since(SimpleNamespace(events=lambda **unused: iter(events)), "5" * 64, 1.5) == said


def test_a_signal_came_to_the_service_until_it_was_frozen_and_a_change_did_not():
    told = [{**event(action, signal="1"), "timeNano": int(1e9)} for action in ("kill", "update")]
    client = SimpleNamespace(events=lambda **unused: iter(told))
    assert (
        done_since(client, "5" * 64, 1.5, 0.5)
        == "it was changed there, and not on the target (docker update)"
    )


def test_where_docker_does_not_answer_nobody_has_done_anything(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    let_go = threading.Event()
    assert not done_since(SimpleNamespace(events=lambda **unused: let_go.wait(60)), "5" * 64, 1.5)
    let_go.set()
    assert not done_since(SimpleNamespace(), "5" * 64, 1.5)
