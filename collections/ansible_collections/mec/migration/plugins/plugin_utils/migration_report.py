# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration did and took, as one flat record and as lines for a person."""

from __future__ import annotations

from typing import Any

FORMAT = 1


def build(facts: dict[str, Any]) -> dict[str, Any]:
    """The report of one migration from the results of its phases.

    :param facts: ``service``, ``source``, ``target``, ``migration_id``, ``moves_at_once``, ``times`` (phase
        and seconds since the epoch, the last one named ``end``) and the results of ``image``, ``precopy``,
        ``handover``. Where services move at the same time the results tell when each phase's last task was
        done, and what comes between that and the next phase is time waited for others.
    :returns: a JSON-ready record; the ``client`` keys are None until :func:`with_client` fills them.
    """
    precopy, handover, image = facts["precopy"], facts["handover"], facts["image"]
    window = handover["window"]
    rounds = [*precopy["rounds"], *handover["rounds"]]
    image_bytes = int(image.get("sent_bytes") or 0)
    precopy_bytes = _round_bytes(precopy["rounds"])
    handover_bytes = int(handover["sent_bytes"])
    moves_at_once = int(facts.get("moves_at_once") or 1)
    ended = {}
    if moves_at_once > 1:
        ended = {"image": image["ended"], "pre-copy": precopy["ended"], "hand over": handover["ended"]}
    bytes_by_phase = {"image": image_bytes, "pre-copy": precopy_bytes, "hand over": handover_bytes}
    phases = _phases(facts["times"], bytes_by_phase, ended)
    total_seconds = round(_at(facts["times"], -1) - _at(facts["times"], 0), 2)
    return {
        "format": FORMAT,
        "migration_id": str(facts["migration_id"]),
        "service": str(facts["service"]),
        "source": str(facts["source"]),
        "target": str(facts["target"]),
        "tracker": str(handover["tracker"]),
        "tracker_reason": str(precopy["tracker_reason"]),
        "stop_reason": str(precopy["stop_reason"]),
        "memory_bytes": int(precopy["memory_bytes"]),
        "image_bytes": image_bytes,
        "image_missing_bytes": int(image.get("layer_bytes") or 0),
        "total_bytes": image_bytes + precopy_bytes + handover_bytes,
        "frozen_bytes": int(window["frozen_bytes"]),
        "frozen_ms": round(float(window["frozen_ms"]), 1),
        "bandwidth_bytes_per_s": float(precopy["bandwidth_bytes_per_s"]),
        "dirty_pages_per_s": float(rounds[-1]["dirty_pages_per_s"]) if rounds else 0.0,
        "window": window,
        "rounds": rounds,
        "moves_at_once": moves_at_once,
        "phases": phases,
        "total_seconds": total_seconds,
        "waited_seconds": round(max(0.0, total_seconds - sum(phase["seconds"] for phase in phases)), 2),
        "downtime_client_ms": None,
        "acknowledged_writes": None,
        "lost_writes": None,
    }


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
    told.append(
        f"frozen {report['frozen_ms']:.0f} ms, {_mb(report['frozen_bytes'])} inside: pages and files "
        f"{window['memory_ms'] + window['files_ms']:.0f} ms beside the dump of {window['dump_ms']:.0f} ms, "
        f"images {window['images_ms']:.0f} ms, restore {window['restore_wait_ms']:.0f} ms"
    )
    if report["downtime_client_ms"] is not None:
        told.append(
            f"the client saw a gap of {report['downtime_client_ms']:.0f} ms; {report['acknowledged_writes']} "
            f"writes acknowledged, {report['lost_writes']} lost"
        )
    return told


def _phases(times: list[dict[str, Any]], sent: dict[str, int], ended: dict[str, Any]) -> list[dict[str, Any]]:
    phases = []
    for index, entry in enumerate(times[:-1]):
        name = str(entry["phase"])
        end = float(ended.get(name, _at(times, index + 1)))
        seconds = round(end - _at(times, index), 3)
        phases.append({"phase": name, "seconds": seconds, "bytes": sent.get(name, 0)})
    return phases


def _at(times: list[dict[str, Any]], index: int) -> float:
    return float(times[index]["at"])


def _round_bytes(rounds: list[dict[str, Any]]) -> int:
    return sum(int(done["sent_bytes"]) + int(done["files_sent_bytes"]) for done in rounds)


def _mb(count: float) -> str:
    return f"{count / 1e6:.2f} MB"
