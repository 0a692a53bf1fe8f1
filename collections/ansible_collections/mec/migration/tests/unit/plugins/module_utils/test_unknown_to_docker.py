# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that Docker does not know, its daemon having died while it started it, is not overlooked."""

from __future__ import annotations

import functools
import os
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import paths
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup import container_processes
from ansible_collections.mec.migration.plugins.module_utils.resolve import look as looking
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state.journal import TARGET, Journal
from ansible_collections.mec.migration.plugins.module_utils.target import endings

ID = "d" * 64


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """The container's cgroup, in which this process is; Docker's daemon has never heard of the container."""
    made = tmp_path / "cgroups" / "docker" / ID
    made.mkdir(parents=True)
    (made / "cgroup.procs").write_text(f"{os.getpid()}\n")
    there = functools.partial(container_processes, root=str(tmp_path / "cgroups"))
    for module in (looking, endings):
        monkeypatch.setattr(module, "container_processes", there)
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(states, "JOURNAL_DIR", str(tmp_path / "journals"))
    return made


def docker(state=""):
    listed = [{"Id": ID, "Names": ["/redis"], "State": state}] if state else []
    inspected = {"Id": ID, "State": {"Status": state, "Running": False, "Pid": 0}}
    removed = []
    return SimpleNamespace(
        info=lambda: {"ID": "ENGINE"},
        containers=lambda **unused: listed,
        inspect_container=lambda container: inspected,
        remove_container=lambda container, **unused: removed.append(container),
        removed=removed,
    )


def journal(state):
    Journal("redis-1", TARGET).write(state, service="redis", container_id=ID)


@pytest.mark.parametrize("said", ["", "exited", "dead"])
@pytest.mark.parametrize("state", [states.RESTORING, states.RUNNING, states.FILLED])
def test_whoever_resolves_is_told_that_it_runs(cgroup, state, said):
    journal(state)
    (side,) = looking.look(docker(said), "redis")["sides"]
    assert (side["state"], side["container"]) == (state, "running")
    (cgroup / "cgroup.procs").write_text("")
    (side,) = looking.look(docker(said), "redis")["sides"]
    assert side["container"] == (said or "absent")


def test_what_waits_there_before_the_mark_is_no_copy_that_runs(cgroup):
    journal(states.ARMED)
    (side,) = looking.look(docker("created"), "redis")["sides"]
    assert side["container"] == "created"


@pytest.mark.parametrize("said", ["", "exited"])
def test_the_next_migration_does_not_take_it_for_nothing(cgroup, said):
    journal(states.RUNNING)
    client = docker(said)
    with pytest.raises(MigrationError, match=rf"processes \[{os.getpid()}\].*mec\.migration\.resolve"):
        endings.clean_target(client, "redis-1", False)
    assert client.removed == []
    assert Journal("redis-1", TARGET).state == states.RUNNING
    (cgroup / "cgroup.procs").write_text("")
    assert endings.clean_target(docker(), "redis-1", False) == ""
    assert not Journal("redis-1", TARGET).exists
