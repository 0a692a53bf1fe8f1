# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has changed of a container since its migration began is named by Docker's commands."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.docker.changes import changes, refuse_changed

BEFORE = {
    "Id": "5" * 64,
    "Name": "/web",
    "State": {"Paused": False, "Health": {"Status": "starting"}},
    "HostConfig": {"Memory": 1 << 29, "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "192.0.2.2"}}},
}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("State.Paused", True, "docker pause"),
        ("State.Health.Status", "healthy", ""),
        ("HostConfig.Memory", 1 << 30, "docker update --memory"),
        ("HostConfig.RestartPolicy.Name", "no", "docker update --restart"),
        ("HostConfig.PidsLimit", 9, "docker update --pids-limit"),
        ("Name", "/old", "docker rename, to old"),
        ("NetworkSettings.Networks", {"bridge": {}, "front": {}}, "docker network connect front"),
        ("NetworkSettings.Networks", {}, "docker network disconnect bridge"),
        (
            "NetworkSettings.Networks",
            {"bridge": {"IPAMConfig": {"IPv4Address": "192.0.2.9"}}},
            "docker network disconnect and connect bridge, with other options",
        ),
        (
            "NetworkSettings.Networks",
            {"bridge": {"Aliases": ["db"]}},
            "docker network disconnect and connect bridge, with other options",
        ),
        ("NetworkSettings.Networks", {"bridge": {"IPAMConfig": {}, "Aliases": None, "Links": []}}, ""),
        ("NetworkSettings.Networks.bridge.IPAddress", "192.0.2.9", ""),
    ],
)
def test_a_change_is_named(path, value, said):
    now = at = copy.deepcopy(BEFORE)
    *way, last = path.split(".")
    for key in way:
        at = at[key]
    at[last] = value
    assert list(changes(BEFORE, now)) == ([said] if said else [])
    client = SimpleNamespace(inspect_container=lambda container_id: now)
    if not said:
        refuse_changed(client, BEFORE)
        return
    with pytest.raises(MigrationError, match="since its migration began") as refused:
        refuse_changed(client, BEFORE)
    assert said in refused.value.message
    assert ("docker unpause" in refused.value.message) == (said == "docker pause")


def test_where_docker_does_not_answer_nobody_has_changed_anything():
    refuse_changed(SimpleNamespace(inspect_container=lambda container_id: 1 / 0), BEFORE)
