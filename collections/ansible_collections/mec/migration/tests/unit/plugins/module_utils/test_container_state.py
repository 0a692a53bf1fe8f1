# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container runs, by Docker and by its process."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.docker import container_state as module
from ansible_collections.mec.migration.plugins.module_utils.docker.container_state import (
    EndedError,
    wait_healthy,
)


@pytest.fixture
def docker(monkeypatch):
    """What Docker says of the container, one look after the other; the last one stays."""
    said = []

    def container_state(client, container_id):
        state, pid = said[0] if len(said) == 1 else said.pop(0)
        return state, {"State": {"Pid": pid}}

    monkeypatch.setattr(module, "container_state", container_state)
    monkeypatch.setattr(module, "container_log", lambda client, container_id: "")
    return said


def ended():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_one_that_runs_is_content(docker):
    docker.append(("running", os.getpid()))
    assert wait_healthy(None, "redis", 60) == "running"


def test_one_of_which_docker_has_not_noticed_the_end_is_said_to_have_ended(docker):
    docker += [("running", ended()), ("exited", 0)]
    with pytest.raises(EndedError, match="the restored container is exited"):
        wait_healthy(None, "redis", 60)


def test_one_that_somebody_has_paused_is_not_said_to_have_ended(docker):
    docker.append(("frozen", os.getpid()))
    with pytest.raises(MigrationError, match="somebody has paused") as raised:
        wait_healthy(None, "redis", 60)
    assert not isinstance(raised.value, EndedError)
