# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from ansible_collections.mec.migration.plugins.plugin_utils.actions import ssh_keepalive
from ansible_collections.mec.migration.plugins.plugin_utils.actions.ssh_keepalive import ASKS, keep_asking

PERSISTS = "-o ControlMaster=auto -o ControlPersist=60s"


@pytest.fixture(autouse=True)
def warned(monkeypatch) -> list[str]:
    """The warnings of a test."""
    told: list[str] = []
    monkeypatch.setattr(ssh_keepalive.display, "warning", told.append)
    return told


def connection(kind: str = "ssh", **options: str):
    """One of Ansible's own, which connects to nobody."""
    made = connection_loader.get(kind, PlayContext())
    made.set_options(direct={"host": "192.0.2.1", **options})
    return made


def command(made) -> str:
    """How it would run ssh."""
    return b" ".join(made._build_command("ssh", "ssh", made.get_option("host"), "true")).decode()


def test_ssh_asks_over_a_connection_of_its_own() -> None:
    made, others = connection(), connection()
    keep_asking(made)
    assert ASKS in command(made)
    assert "ServerAlive" not in command(others)
    assert made.control_path != others.control_path
    assert len(made.control_path) == len(others.control_path)


def test_each_host_has_its_own() -> None:
    one, other = connection(), connection(host="192.0.2.2")
    for made in (one, other):
        keep_asking(made)
        command(made)
    assert one.control_path != other.control_path


def test_what_else_the_user_gave_stays() -> None:
    made = connection(ssh_common_args="-o ProxyJump=192.0.2.9", control_path="%(directory)s/mine")
    keep_asking(made)
    assert f"-o ProxyJump=192.0.2.9 {ASKS}" in command(made)
    assert made.control_path == "%(directory)s/mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ssh_args": PERSISTS, "control_path": "/run/%%h"}, True),
        ({"ssh_args": f"{PERSISTS} -o ControlPath=/run/%h"}, True),
        ({"ssh_common_args": "-oControlPath=/run/%h"}, True),
        ({"ssh_args": PERSISTS}, False),
        ({"ssh_common_args": "-o ControlPath=none"}, False),
        ({"ssh_args": "-C", "control_path": "/run/%%h"}, False),
        ({"ssh_args": f"{PERSISTS} -o ServerAliveInterval=9", "control_path": "/run/%%h"}, False),
    ],
)
def test_that_others_may_have_opened_the_connection_is_said(options, said: bool, warned: list[str]) -> None:
    keep_asking(connection(**options))
    assert len(warned) == said
    if said:
        assert ASKS in warned[0]


def test_how_often_is_no_word_on_whether() -> None:
    made = connection(ssh_args="-o ServerAliveCountMax=3")
    keep_asking(made)
    assert ASKS in command(made)


@pytest.mark.parametrize("option", ["ssh_args", "ssh_common_args", "ssh_extra_args"])
def test_a_user_who_says_how_is_obeyed(option: str) -> None:
    made = connection(**{option: "-o ControlPersist=60s -o serveraliveinterval=0"})
    before = command(made)
    keep_asking(made)
    assert command(made) == before


def test_asking_twice_changes_nothing_more() -> None:
    made = connection()
    keep_asking(made)
    once = command(made)
    keep_asking(made)
    assert command(made) == once


def test_a_connection_of_another_kind_is_left_alone() -> None:
    keep_asking(connection_loader.get("local", PlayContext()))


def test_somebody_elses_kind_of_ssh_is_left_alone() -> None:
    made = connection_loader.get("local", PlayContext())
    made.transport = "ssh"
    keep_asking(made)
