# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that is followed: what a line says of the time that is left, and a host that is lost meanwhile."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import FollowedAction, left


class Quiet(FollowedAction):
    def describe(self, line):
        return "words"


def expected_end(variables):
    templar = Templar(loader=DataLoader(), variables=variables)
    action = Quiet.__new__(Quiet)
    action._templar = templar
    return action._expected_end(variables)


def test_by_the_prediction_of_the_role():
    started = time.time()
    variables = {"migrate_prediction": {"seconds": "12.5"}, "migrate_started": str(started)}
    assert expected_end(variables) == pytest.approx(started + 12.5)


@pytest.mark.parametrize(
    "variables",
    [
        None,
        {},
        {"migrate_prediction": {}, "migrate_started": "5"},
        {"migrate_prediction": "soon", "migrate_started": "5"},
        {"migrate_prediction": {"seconds": "many"}, "migrate_started": "5"},
        {"migrate_prediction": {"seconds": 5}, "migrate_started": "yesterday"},
    ],
)
def test_nothing_where_nobody_predicted(variables):
    assert expected_end(variables) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"), [(9.4, "; about 9 s of the migration to go"), (0.9, ""), (-100.0, ""), (-1.7e9, "")]
)
def test_nothing_once_it_is_over(seconds, words):
    assert left(seconds) == words


def test_a_host_that_is_lost_meanwhile_is_a_failure(monkeypatch):
    def lost(*_command):
        raise AnsibleConnectionFailure("Failed to connect to the host via ssh")

    action = Quiet.__new__(Quiet)
    action._task = SimpleNamespace(check_mode=False, async_val=0)
    action._connection = SimpleNamespace(_shell=SimpleNamespace(join=" ".join))
    monkeypatch.setattr(action, "run_module", lambda *_words: {"pid": 5}, raising=False)
    monkeypatch.setattr(action, "_run", lost)
    result = action.act({"container": "redis"}, {"inventory_hostname": "edge-a"})
    assert result["failed"]
    assert "unreachable" not in result
    assert result["msg"].startswith("edge-a cannot be reached any more")
    assert "Failed to connect to the host via ssh" in result["msg"]
