# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All steps of a migration in one call: their order, and what is left where one fails."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, PreflightError
from ansible_collections.mec.migration.plugins.module_utils.module import steps as module
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress
from ansible_collections.mec.migration.plugins.module_utils.module.steps import (
    HANDOVER_OPTIONS,
    PREFLIGHT_OPTIONS,
    ROUNDS_OPTIONS,
    whole_migration,
)

ORDER = ["validate", "image", "precopy", "handover"]
PHASES = {"validate": ["validate"], "image": ["image"], "precopy": ["arm", "pre-copy"]}
PHASES["handover"] = ["hand over", "verify", "commit"]
PARAMS = dict.fromkeys((*PREFLIGHT_OPTIONS, *ROUNDS_OPTIONS, *HANDOVER_OPTIONS), 1)


class Agent:
    """In place of the source's agent; ``fails`` is the step that does."""

    def __init__(self, fails=""):
        self.fails, self.asked, self.now, self.why = fails, [], 0, ""

    def __call__(self, params, operation, progress, **fields):
        self.asked.append(operation)
        if operation == "cancel":
            self.why = fields["why"]
            return {"cancelled": True}
        if operation == self.fails:
            raise PreflightError(f"no {operation}", more={"problems": ["one"]})
        received, phases = self.now, []
        for phase in PHASES[operation]:
            phases.append({"phase": phase, "started": self.now, "ended": self.now + 1})
            self.now += 1
        result = {"phases": phases, "received": received, "answered": self.now}
        if operation == "validate":
            result.update(plan={"layers": 2}, warnings=["small"], container_id="abc")
        if operation == "handover":
            hook = {"ms": 3.0, "error": "it ended with 1"}
            result["target"] = {
                "on_handover": hook,
                "meanwhile": "it was sent SIGTERM there",
                "not_told": "cut",
            }
        return result


def migrate(monkeypatch, agent, **options):
    monkeypatch.setattr(module, "ask_source", agent)
    return whole_migration(dict(PARAMS, handover=True, **options), Progress(None))


def names(result):
    return [phase["phase"] for phase in result["phases"]]


def test_one_after_the_other(monkeypatch):
    agent = Agent()
    done = migrate(monkeypatch, agent)
    assert agent.asked == ORDER
    assert names(done["precopy"]) == ["validate", "image", "arm", "pre-copy"]
    assert (done["precopy"]["received"], done["precopy"]["answered"]) == (0, 4)
    assert names(done["handover"]) == ["hand over", "verify", "commit"]
    assert done["preflight"] == {"plan": {"layers": 2}, "warnings": ["small"]}
    assert done["warnings"] == [
        "small",
        "The service runs on the target, but on_handover failed: it ended with 1",
        "The service has moved; while it was frozen on the source it was sent SIGTERM there",
        "The service has moved, but the target could not be told that the source is settled. It has "
        "the migration's journal, which mec.migration.resolve removes: cut",
    ]


def test_what_was_lost_is_a_warning():
    assert module.warnings({"window": {"unread": []}}) == module.warnings({"window": None}) == {}
    said = module.warnings({"window": {"unread": ["datagrams at UDP port 7"]}})["warnings"]
    assert said == ["The service has moved, and this was lost: datagrams at UDP port 7"]


def test_it_stops_before_the_hand_over_where_a_hook_comes_first(monkeypatch):
    agent = Agent()
    monkeypatch.setattr(module, "ask_source", agent)
    done = whole_migration(dict(PARAMS, handover=False), Progress(None))
    assert agent.asked == ORDER[:-1]
    assert done["handover"] == {}


@pytest.mark.parametrize("step", ORDER)
def test_what_fails_is_cancelled_and_tells_how_far_it_came(monkeypatch, step):
    agent = Agent(fails=step)
    with pytest.raises(MigrationError, match=f"no {step}") as failed:
        migrate(monkeypatch, agent)
    assert agent.asked == [*ORDER[: ORDER.index(step) + 1], "cancel"]
    assert f"no {step}" in agent.why
    told = failed.value.result()
    assert told["problems"] == ["one"]
    # Only what was refused before anything was touched says that it was.
    phases = {"validate": "preflight", "handover": "handover"}
    assert told["phase"] == phases.get(step, "pre-copy")
    reached = {
        "validate": None,
        "image": ["validate", "pre-copy"],
        "precopy": ["validate", "pre-copy"],
        "handover": ["validate", "image", "arm", "pre-copy", "hand over"],
    }
    assert (names(told["precopy"]) if "precopy" in told else None) == reached[step]
    assert told.get("container_id") == (None if step == "validate" else "abc")


def test_an_agent_that_is_gone_does_not_hide_why_it_failed(monkeypatch):
    class Gone(Agent):
        def __call__(self, params, operation, progress, **fields):
            if operation == "cancel":
                raise MigrationError("no agent answers")
            return super().__call__(params, operation, progress, **fields)

    with pytest.raises(MigrationError, match="no precopy"):
        migrate(monkeypatch, Gone(fails="precopy"))
