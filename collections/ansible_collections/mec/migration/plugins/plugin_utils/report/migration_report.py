# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration did and took, as one flat record and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FORMAT = 2
# What came late, to be worth a line: less is the connection's own.
TELLING_LATE_BYTES = 10_000


def build(facts: dict[str, Any]) -> dict[str, Any]:
    """The report of one migration from the results of its phases.

    All moments in it are seconds since the epoch on the controller's clock, see :func:`clock_of`.

    :param facts: ``service``, ``source``, ``target``, ``migration_id``, ``moves_at_once``, ``started``,
        ``ended``, ``preflight`` and the results of ``image``, ``precopy``, ``handover``, see
        :func:`times_of`. Where services move at the same time, what comes between the end of a phase and the
        next one is time waited for others.
    :returns: a JSON-ready record; ``image_exact_reason`` says why the image has a manifest, id and digest of
        its own on the target, if it has; the ``client`` keys are None until :func:`with_client` fills them.
    """
    precopy, handover, image = facts["precopy"], facts["handover"], facts["image"]
    times, done_at = times_of(facts)
    moves_at_once = int(facts.get("moves_at_once") or 1)
    phases = _phases(times, done_at if moves_at_once > 1 else {})
    clock = clock_of(phases, precopy["rounds"], handover["rounds"], handover["window"])
    window = _on_our_clock(handover["window"], clock)
    rounds = [_on_our_clock(done, clock) for done in (*precopy["rounds"], *handover["rounds"])]
    image_bytes = int(image.get("sent_bytes") or 0)
    precopy_bytes = _round_bytes(precopy["rounds"])
    handover_bytes = int(handover["sent_bytes"])
    late_bytes = int((handover.get("target") or {}).get("late_sent_bytes") or 0)
    sent = {
        "image": image_bytes,
        "pre-copy": precopy_bytes,
        "hand over": handover_bytes,
        "post-copy": late_bytes,
    }
    total_seconds = round(_at(times, -1) - _at(times, 0), 2)
    return {
        "format": FORMAT,
        "migration_id": str(facts["migration_id"]),
        "service": str(facts["service"]),
        "source": str(facts["source"]),
        "target": str(facts["target"]),
        "started": _at(times, 0),
        "ended": _at(times, -1),
        "clock": clock,
        "tracker": str(handover["tracker"]),
        "tracker_reason": str(handover["tracker_reason"]),
        "stop_reason": str(handover["stop_reason"]),
        "memory": str(handover.get("memory", "full")),
        "cpu_percent": min(float(each.get("cpu_percent", 100.0)) for each in (precopy, handover)),
        "throttle_obstacle": str(handover.get("throttle_obstacle") or precopy.get("throttle_obstacle") or ""),
        "memory_bytes": int(precopy["memory_bytes"]),
        "image_bytes": image_bytes,
        "image_missing_bytes": int(image.get("layer_bytes") or 0),
        "image_exact_reason": str(image.get("exact_reason") or ""),
        "total_bytes": image_bytes + precopy_bytes + handover_bytes + late_bytes,
        "frozen_bytes": int(window["frozen_bytes"]),
        "frozen_ms": round(float(window["frozen_ms"]), 1),
        "bandwidth_bytes_per_s": float(precopy["bandwidth_bytes_per_s"]),
        "dirty_pages_per_s": float(rounds[-1]["dirty_pages_per_s"]) if rounds else 0.0,
        "window": window,
        "rounds": rounds,
        "moves_at_once": moves_at_once,
        "phases": [{**phase, "bytes": sent.get(phase["phase"], 0)} for phase in phases],
        "total_seconds": total_seconds,
        "waited_seconds": round(max(0.0, total_seconds - sum(phase["seconds"] for phase in phases)), 2),
        "on_handover": dict((handover.get("target") or {}).get("on_handover") or {}),
        "warnings": _told_before(facts),
        "not_put_back": list((handover.get("target") or {}).get("not_put_back") or []),
        "how_it_ended": str((handover.get("target") or {}).get("how_it_ended") or ""),
        "meanwhile": str((handover.get("target") or {}).get("meanwhile") or ""),
        "late_bytes": late_bytes,
        "late_waits": int(_figures(handover).get("late_waits") or 0),
        "downtime_client_ms": None,
        "acknowledged_writes": None,
        "lost_writes": None,
    }


def _told_before(facts: dict[str, Any]) -> list[str]:
    """What the preflight had found that a user should know of; empty if it did not come so far."""
    return list((facts.get("preflight") or {}).get("warnings") or [])


def _figures(handover: dict[str, Any]) -> dict[str, Any]:
    """What the target measured until it needed the source no more; empty before it said so."""
    return dict((handover.get("target") or {}).get("figures") or {})


def build_failed(facts: dict[str, Any]) -> dict[str, Any]:
    """What is known of a migration that failed: how far it came.

    :param facts: as for :func:`build`, with ``failed_task``; ``precopy`` and ``handover`` are empty where it
        did not come to them.
    """
    times, _done_at = times_of(facts)
    phases = _phases(times, {})
    rounds = facts["precopy"].get("rounds", [])
    clock = clock_of(phases, rounds, [], None)
    return {
        "format": FORMAT,
        "migration_id": str(facts["migration_id"]),
        "service": str(facts["service"]),
        "source": str(facts["source"]),
        "target": str(facts["target"]),
        "failed_task": str(facts["failed_task"]),
        "started": _at(times, 0),
        "ended": _at(times, -1),
        "clock": clock,
        "rounds": [_on_our_clock(done, clock) for done in rounds],
        "phases": [{**phase, "bytes": 0} for phase in phases],
        "warnings": _told_before(facts),
        "total_seconds": round(_at(times, -1) - _at(times, 0), 2),
    }


def times_of(facts: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """When each phase began and was done, on the controller's clock.

    The agent noted it on the source's clock. How far that one is ahead lies between what the two say of a
    task's begin and of its end; the value in that range that corrects least is used.

    :param facts: ``started``, ``ended`` and the results ``precopy`` and ``handover``: each with ``begun`` and
        ``ended`` on the controller's clock and, if it went well, ``received``, ``answered`` and ``phases`` on
        the source's.
    :returns: phase and time of its begin, the last one named ``end``; and the time of the end of each phase.
    """
    results = [one for one in (facts["precopy"], facts["handover"]) if one.get("begun")]
    noted = [one for one in results if "received" in one]
    most = min((float(one["received"]) - float(one["begun"]) for one in noted), default=0.0)
    least = max((float(one["answered"]) - float(one["ended"]) for one in noted), default=0.0)
    ahead = min(max(0.0, least), max(most, least))
    times = [{"phase": "validate", "at": facts["started"]}]
    done = {}
    for name, one in zip(("pre-copy", "hand over"), (facts["precopy"], facts["handover"])):
        for phase in one.get("phases", []):
            # The controller's own part of it came before, so it has begun already.
            if phase["phase"] != "validate":
                times.append({"phase": phase["phase"], "at": float(phase["started"]) - ahead})
            done[str(phase["phase"])] = float(phase["ended"]) - ahead
        if one.get("begun") and "phases" not in one:
            # It failed; what it had done before is not known.
            times.append({"phase": name, "at": float(one["begun"])})
    times.append({"phase": "end", "at": facts["ended"]})
    return times, done


def clock_of(
    phases: list[dict[str, Any]],
    precopy: list[dict[str, Any]],
    handover: list[dict[str, Any]],
    window: dict[str, Any] | None,
) -> dict[str, float]:
    """How far the source's clock is ahead of the controller's, in seconds.

    Rounds and window carry the source's time. Each happened within its phase, of which the controller
    noted the time; so the difference lies between ``least`` and ``most``. ``source_ahead_s`` is the value
    in that range that corrects least, 0 where the clocks agree as far as can be seen.
    """
    happened = [("pre-copy", done["started"], done["seconds"]) for done in precopy]
    happened += [("hand over", done["started"], done["seconds"]) for done in handover]
    if window is not None:
        happened.append(("hand over", window["started"], window["frozen_ms"] / 1000))
    within = {phase["phase"]: phase for phase in phases}
    most = min((start - within[name]["started"] for name, start, _seconds in happened), default=0.0)
    least = max((start + seconds - within[name]["ended"] for name, start, seconds in happened), default=0.0)
    # Clocks are noted to the millisecond; a range of less than nothing is one of rounding.
    ahead = min(max(0.0, least), max(most, least))
    return {"source_ahead_s": round(ahead, 3), "least": round(least, 3), "most": round(most, 3)}


def with_client(report: dict[str, Any], client: dict[str, Any]) -> dict[str, Any]:
    """*report* with what a client of the service saw while it moved."""
    seen = ("downtime_client_ms", "acknowledged_writes", "lost_writes", "wrong_answers")
    return {**report, **{key: client[key] for key in seen if key in client}}


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    window = report["window"]
    told = [
        f"{report['service']} moved from {report['source']} to {report['target']} in "
        f"{report['total_seconds']:.1f} s, {_mb(report['total_bytes'])} in all"
    ]
    if report["moves_at_once"] > 1:
        told[0] += (
            f"; one of {report['moves_at_once']} at the same time, for which it waited "
            f"{report['waited_seconds']:.1f} s"
        )
    for phase in report["phases"]:
        sent = f", {_mb(phase['bytes'])}" if phase["bytes"] else ""
        told.append(f"  {phase['phase']:<10} {phase['seconds']:6.2f} s{sent}")
    told.append(
        f"memory {_mb(report['memory_bytes'])} in {len(report['rounds'])} rounds, tracker "
        f"{report['tracker']} ({report['tracker_reason']}); stopped because {report['stop_reason']}"
    )
    if report.get("memory") == "lean":
        told.append(
            "neither host kept the memory twice, so that changed pages travelled whole (migrate_memory: lean)"
        )
    if report.get("cpu_percent", 100.0) < 100:
        told.append(
            "it wrote faster than the link sent, and was slowed down until it was frozen, to "
            f"{report['cpu_percent']:.0f} % of what it used of the processors (migrate_throttle)"
        )
    if report.get("late_bytes", 0) >= TELLING_LATE_BYTES:
        told.append(
            f"{_mb(report['late_bytes'])} of it came while the service ran on the target already, which "
            f"waited {report['late_waits']} times for some of that (migrate_postcopy)"
        )
    if report.get("throttle_obstacle"):
        told.append(f"warning: {report['throttle_obstacle']}")
    told.append(
        f"frozen {report['frozen_ms']:.0f} ms, {_mb(report['frozen_bytes'])} inside: pages and files "
        f"{window['memory_ms'] + window['files_ms']:.0f} ms beside the dump of {window['dump_ms']:.0f} ms, "
        f"images {window['images_ms']:.0f} ms, restore {window['restore_wait_ms']:.0f} ms"
    )
    if report.get("on_handover"):
        hook = report["on_handover"]
        told.append(
            f"on_handover took {hook['ms']:.0f} ms"
            + (f" and failed: {hook['error']}" if hook["error"] else "")
        )
    told += [f"warning: {each}" for each in _warnings(report)]
    if report["downtime_client_ms"] is not None:
        told.append(
            f"the client saw a gap of {report['downtime_client_ms']:.0f} ms; {report['acknowledged_writes']} "
            f"writes acknowledged, {report['lost_writes']} lost"
        )
    return told


def _warnings(report: dict[str, Any]) -> Iterator[str]:
    """What did not go well although the service has moved."""
    yield from report.get("warnings", [])
    for each in report["window"].get("unread", []):
        yield f"lost in the move: {each}"
    if report.get("how_it_ended"):
        yield f"on the target {report['how_it_ended']}"
    if report.get("meanwhile"):
        yield f"while it was frozen on the source {report['meanwhile']}"
    for each in report.get("not_put_back", []):
        yield f"on the target this could not be set again: {each}"


def _phases(times: list[dict[str, Any]], ended: dict[str, Any]) -> list[dict[str, Any]]:
    phases = []
    for index, entry in enumerate(times[:-1]):
        name, start = str(entry["phase"]), _at(times, index)
        end = round(float(ended.get(name, _at(times, index + 1))), 3)
        seconds = round(end - start, 3)
        phases.append({"phase": name, "started": start, "ended": end, "seconds": seconds})
    return phases


def _at(times: list[dict[str, Any]], index: int) -> float:
    return round(float(times[index]["at"]), 3)


def _on_our_clock(measured: dict[str, Any], clock: dict[str, float]) -> dict[str, Any]:
    return {**measured, "started": round(measured["started"] - clock["source_ahead_s"], 3)}


def _round_bytes(rounds: list[dict[str, Any]]) -> int:
    return sum(int(done["sent_bytes"]) + int(done["files_sent_bytes"]) for done in rounds)


def _mb(count: float) -> str:
    return f"{count / 1e6:.2f} MB"
