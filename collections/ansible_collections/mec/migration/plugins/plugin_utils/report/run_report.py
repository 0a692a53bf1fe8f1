# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run: rounds of decisions and moves, where that was, what it cost, whether it went well."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..base.errors import DecisionError
from ..base.requirements import require_jsonschema
from ..inputs.hosts import Host
from ..inputs.policy import Policy

FORMAT = 2
SCHEMA_FILE = Path(__file__).with_name("run_report.schema.json")
WELL, ATTENTION, FAILED, PLANNED = "well", "attention", "failed", "planned"


class RunError(DecisionError):
    """A record of a run is not what it should be."""


def complete(run: Mapping[str, Any], policy: Policy | None, hosts: Sequence[Host]) -> dict[str, Any]:
    """The record of a run, with the map, the costs and the verdict.

    All moments are seconds since the epoch on the controller's clock, positions are metres on the map, x to
    the east and y to the north.

    :param run: ``run``, ``started``, ``ended``, ``policy``, ``leave``, ``check``, ``rounds``; moments of the
        run, of rounds and of moves may be text (ISO 8601).
    :param policy: the checked policy that decided, or None where none did; then there is no map and no cost.
    :raises RunError: it does not follow the schema.
    """
    rounds = [_on_one_clock(one) for one in run["rounds"]]
    record: dict[str, Any] = {
        "format": FORMAT,
        "run": run["run"],
        "started": moment(run["started"]),
        "ended": moment(run["ended"]),
        "policy": run["policy"],
        "leave": list(run["leave"]),
        "check": bool(run["check"]),
        "hosts": [{"name": host.name} for host in hosts],
        "map": None,
        "costs": None,
        "notes": [],
        "rounds": rounds,
    }
    if policy is not None:
        # Where no policy decided, as for one move, numpy need not be loaded.
        from ..evaluation.hindsight import hindsight  # noqa: PLC0415
        from .run_map import map_of  # noqa: PLC0415

        # What a run did must be told even where its map or its costs cannot be computed.
        try:
            record["map"] = map_of(policy, hosts, rounds)
        except DecisionError as error:
            record["notes"].append(f"There is no map: {error}")
        try:
            record["costs"] = hindsight(rounds, policy, hosts)
        except DecisionError as error:
            record["notes"].append(f"Costs could not be compared: {error}")
        except KeyError as error:
            record["notes"].append(f"Costs could not be compared: a decision has no {error}")
    for one in rounds:
        one["services"] = [
            # Costs are computed, and where there are many hosts a table of pairs is long.
            {key: value for key, value in entry.items() if key != "move_seconds"}
            for entry in one["services"]
        ]
    record["verdict"] = verdict(record)
    return check(record)


def of_migration(report: Mapping[str, Any], why: str = "") -> dict[str, Any]:
    """One migration as a run of one round.

    :param report: as ``migration_report.build`` or ``build_failed`` returns it.
    :param why: of one that failed: what was said.
    """
    failed = "failed_task" in report
    ends = {key: report[key] for key in ("service", "source", "target", "started", "ended")}
    reason = "asked for"
    move = {**ends, "reason": reason, "outcome": "failed" if failed else "moved", "report": dict(report)}
    if failed:
        move["why"] = why or f"{report['failed_task']} failed"
    entry = {
        "service": report["service"],
        "user": "",
        "action": "move",
        "reason": reason,
        "current_host": report["source"],
        "target": report["target"],
    }
    times = {"started": report["started"], "ended": report["ended"]}
    one = {"round": 1, **times, "positions": {"format": 1, "users": {}}, "services": [entry], "moves": [move]}
    return {
        "run": report["migration_id"],
        **times,
        "policy": "",
        "leave": [],
        "check": False,
        "rounds": [one],
    }


def _on_one_clock(one: Mapping[str, Any]) -> dict[str, Any]:
    """A round whose own moments and those of its moves are numbers."""

    def timed(record: Mapping[str, Any]) -> dict[str, Any]:
        return {**record, "started": moment(record["started"]), "ended": moment(record["ended"])}

    return {**timed(one), "moves": [timed(move) for move in one["moves"]]}


def moment(value: Any) -> float:
    """Seconds since the epoch of a number or of an ISO 8601 time, which is UTC where it does not say."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return round(float(value), 3)
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise RunError(f"a time is {value!r}; allowed: seconds since the epoch, or ISO 8601") from None
    return round((found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp(), 3)


def verdict(record: Mapping[str, Any]) -> dict[str, Any]:
    """Whether all went well, in one word, a sentence, and the numbers behind it."""
    moves = [move for one in record["rounds"] for move in one["moves"]]
    by_outcome = dict.fromkeys(("moved", "failed", "skipped"), 0)
    for move in moves:
        by_outcome[move["outcome"]] += 1
    reports = [move["report"] for move in moves if move["outcome"] == "moved"]
    left_out = sorted(
        {
            entry["service"]
            for one in record["rounds"]
            for entry in one["services"]
            if entry["action"] == "skip"
        }
    )
    gaps = [report["downtime_client_ms"] for report in reports if report["downtime_client_ms"] is not None]
    numbers = {
        "moves": len(moves),
        **by_outcome,
        "planned": sum(entry["action"] == "move" for one in record["rounds"] for entry in one["services"]),
        "left_out": left_out,
        "services": len({entry["service"] for one in record["rounds"] for entry in one["services"]}),
        "rounds": len(record["rounds"]),
        "seconds": round(record["ended"] - record["started"], 1),
        "longest_frozen_ms": max((report["frozen_ms"] for report in reports), default=None),
        "longest_client_gap_ms": max(gaps, default=None),
        "lost_writes": sum(report.get("lost_writes") or 0 for report in reports),
        "wrong_answers": sum(report.get("wrong_answers") or 0 for report in reports),
        "total_bytes": sum(report["total_bytes"] for report in reports),
    }
    state, sentence = _judge(numbers, bool(record["check"]))
    return {"state": state, "sentence": sentence, **numbers}


def _judge(numbers: Mapping[str, Any], checked: bool) -> tuple[str, str]:
    lost = numbers["lost_writes"] + numbers["wrong_answers"]
    if numbers["failed"] == numbers["moves"] == 1:
        return FAILED, "The move failed"
    if numbers["failed"]:
        return FAILED, f"{numbers['failed']} of {_count(numbers['moves'], 'move')} failed"
    if lost:
        return FAILED, f"Clients lost or misread {_count(lost, 'write')}"
    if checked:
        return PLANNED, f"Only planned: {_count(numbers['planned'], 'move')} to make, nothing was touched"
    aside = []
    if numbers["skipped"]:
        aside.append(f"{_count(numbers['skipped'], 'move')} left to others")
    if numbers["left_out"]:
        aside.append(f"no decision for {', '.join(numbers['left_out'])}")
    if aside:
        return ATTENTION, f"Nothing failed, but {' and '.join(aside)}"
    return WELL, "All went well" if numbers["moves"] else "All went well: nothing had to move"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def check(record: dict[str, Any]) -> dict[str, Any]:
    """*record* unchanged.

    :raises RunError: it does not follow the schema; the message names the key.
    """
    error = next(_validator().iter_errors(record), None)
    if error is not None:
        key = ".".join(str(part) for part in error.absolute_path) or "$"
        raise RunError(f"record of run {record.get('run')}: key {key}: {error.message[:200]}")
    if not math.isfinite(record["ended"] - record["started"]):
        raise RunError(f"record of run {record['run']}: a time is no finite number")
    return record


@lru_cache(maxsize=1)
def _validator() -> Any:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return require_jsonschema().Draft202012Validator(schema)
