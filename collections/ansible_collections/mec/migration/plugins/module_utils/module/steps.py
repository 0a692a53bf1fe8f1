# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a migration as modules ask the source's agent for them, and what they return of each."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ..base.errors import MigrationError
from ..docker.container_log import LOG_MIB
from ..memory.sent import FULL, LEAN
from ..memory.trackers import AUTO, NAMES
from ..source.page_server import ALWAYS, NEVER, WHEN_NEEDED
from .agents import ask_source
from .base import Progress

# Of every module that makes rounds.
ROUNDS_ARGUMENTS: dict[str, Any] = {
    "tracker": {"type": "str", "choices": list(NAMES), "default": AUTO},
    "memory": {"type": "str", "choices": [AUTO, FULL, LEAN], "default": AUTO},
    "downtime_ms": {"type": "float", "default": 30},
    "max_rounds": {"type": "int", "default": 10},
    "throttle": {"type": "bool", "default": True},
    "throttle_floor_percent": {"type": "float", "default": 20},
    "postcopy": {"type": "str", "choices": [NEVER, WHEN_NEEDED, ALWAYS], "default": NEVER},
    "log_mib": {"type": "int", "default": LOG_MIB},
}
PREFLIGHT_OPTIONS = (
    "move_binds",
    "images_dir",
    "ignore",
    "canary",
    "tracker",
    "memory",
    "downtime_ms",
    "lazy_restore",
    "log_mib",
)
ROUNDS_OPTIONS = (*ROUNDS_ARGUMENTS, "min_gain")
HANDOVER_OPTIONS = (*ROUNDS_ARGUMENTS, "answer_timeout_s", "commit", "health_timeout_s")
# Docker unpacks all layers before it answers.
IMAGE_TIMEOUT_S = 900.0
# For the preflight's estimate, until the link has been measured.
USUAL_BANDWIDTH_MBIT = 1000
# What a step is called in reports, and in errors.
PHASES = {"pre-copy": "pre-copy", "hand over": "handover"}


def precopy(params: dict[str, Any], progress: Progress, image: bool) -> dict[str, Any]:
    """The rounds while the service runs.

    :param image: send the image first.
    :raises MigrationError: it failed; the migration waits.
    """
    sent: dict[str, Any] = {}
    if image:
        sent = ask_source(params, "image", progress, reuse=True, timeout_s=IMAGE_TIMEOUT_S)
    result = ask_source(params, "precopy", progress, **_chosen(params, ROUNDS_OPTIONS))
    if sent:
        result = _one(sent, result)
    image_sent = {
        name: value for name, value in sent.items() if name not in ("phases", "received", "answered")
    }
    return dict(result, image=image_sent)


def hand_over(params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The frozen window, and with ``commit`` what comes after it.

    :raises MigrationError: it failed.
    """
    result = ask_source(params, "handover", progress, **_chosen(params, HANDOVER_OPTIONS))
    return dict(result, **warnings(result))


def warnings(result: dict[str, Any]) -> dict[str, list[str]]:
    """What did not go well on the target, although the service runs there."""
    target = result.get("target") or {}
    hook_error = (target.get("on_handover") or {}).get("error")
    told = [f"The service runs on the target, but on_handover failed: {hook_error}"] if hook_error else []
    told += [
        f"The service runs on the target, where this could not be set again: {each}"
        for each in target.get("not_put_back") or []
    ]
    told += [f"The service has moved, and this was lost: {each}" for each in unread_of(result)]
    if target.get("how_it_ended"):
        told.append(f"The service has moved, and on the target {target['how_it_ended']}")
    if target.get("meanwhile"):
        told.append(f"The service has moved; while it was frozen on the source {target['meanwhile']}")
    if target.get("not_told"):
        told.append(
            "The service has moved, but the target could not be told that the source is settled. It has "
            f"the migration's journal, which mec.migration.resolve removes: {target['not_told']}"
        )
    log_error = target.get("log_error") or result.get("log_error")
    if log_error:
        told.append(f"`docker logs` on the target does not show all from before the move: {log_error}")
    return {"warnings": told} if told else {}


def unread_of(result: dict[str, Any]) -> list[str]:
    """What the service had not read when it was frozen, of a hand-over's result."""
    return list((result.get("window") or {}).get("unread") or [])


def whole_migration(params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """All steps, one after the other.

    :returns: ``preflight``, ``precopy``, ``handover`` and ``warnings``.
    :raises MigrationError: it failed, and with it came what had been done before. It is cancelled, unless
        the service has been handed over.
    """
    done: dict[str, Any] = {"warnings": [], "handover": {}}
    step = "validate"
    try:
        looked = ask_source(
            params,
            "validate",
            progress,
            bandwidth_mbit=USUAL_BANDWIDTH_MBIT,
            **_chosen(params, PREFLIGHT_OPTIONS),
        )
        done["preflight"] = {"plan": looked.pop("plan"), "warnings": looked.pop("warnings")}
        done["container_id"] = looked.pop("container_id")
        done["precopy"], step = looked, "pre-copy"
        done["precopy"] = _one(looked, precopy(params, progress, image=True))
        if params["handover"]:
            step = "hand over"
            done["handover"] = hand_over(params, progress)
    except MigrationError as error:
        if "precopy" in done:
            failed = {"phase": step, "started": done["precopy"]["answered"], "ended": round(time.time(), 3)}
            done["precopy"] = dict(done["precopy"], phases=[*done["precopy"]["phases"], failed])
        if step != "validate" and error.phase in ("preflight", "unknown"):
            # It was refused in the midst of it.
            error.phase, error.phase_is_given = PHASES[step], True
        error.more = {**done, **error.more}
        # Once it has been handed over, or no one can know, that changes nothing.
        with contextlib.suppress(MigrationError):
            ask_source(params, "cancel", progress, why=f"it failed: {error.message}")
        raise
    done["warnings"] = done["preflight"]["warnings"] + done["handover"].pop("warnings", [])
    return done


def _chosen(params: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: params[name] for name in names}


def _one(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two requests to the agent as one: the second one's result, with the times of both."""
    return dict(second, phases=first["phases"] + second["phases"], received=first["received"])
