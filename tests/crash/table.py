"""Results of crash points, and the page that shows them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Of a virtual machine: see power.py.
POWER = "power"


class Result(NamedTuple):
    """Of one move with one fault.

    :ivar reached: the point was passed.
    :ivar moved: the playbook said that it has moved the service.
    :ivar where: it ran at the end on the ``source`` or the ``target`` of that move.
    :ivar resolved: what was needed to end it: nothing, ``resolve``, or ``word`` if the operator had to say
        ``resolve_from_older_state``.
    :ivar faults: what was not as it must be.
    :ivar answered: operations of the clients.
    :ivar look_every_ms: of the watch on who runs.
    """

    point: str
    fault: str
    reached: bool
    moved: bool
    where: str
    resolved: str
    faults: list[str]
    answered: int
    look_every_ms: float
    seconds: float

    def words(self) -> str:
        state = "ok" if not self.faults else "VIOLATED " + "; ".join(self.faults)
        reached = "" if self.reached else " not reached"
        return (
            f"{self.point} {self.fault}: {state}{reached}; {'moved' if self.moved else 'failed'}, "
            f"on the {self.where}, {self.resolved or 'by itself'}, {self.answered} answers, "
            f"{self.look_every_ms} ms, {self.seconds} s"
        )


def read_results(path: Path) -> list[dict[str, Any]]:
    """The last one of each point and fault."""
    if not path.exists():
        return []
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return list({(one["point"], one["fault"]): one for one in found}.values())


def cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not run"
    if result["faults"]:
        return "**violated**: " + "; ".join(result["faults"])[:120].replace("|", "/")
    if not result["reached"]:
        return "not passed"
    words = result["where"]
    return f"{words}, {result['resolved']}" if result["resolved"] else words


INTRODUCTION = """# Crash points: what happens if a process dies here

Written by `make crash`; not by hand.

A crash point lies before and after each message, journal write, call of Docker and call of CRIU of both
agents; the registry is `plugins/module_utils/base/crash_points.py`, and
[Security](../collections/ansible_collections/mec/migration/docs/security.md) says why it is safe. For each
point and each fault a service (Redis with an append-only file) really moves between two hosts of the
testbed. The fault strikes the process that comes to that point:

| fault | what |
|---|---|
| kill | SIGKILL of that process |
| stop | SIGSTOP, and SIGCONT after it has slept longer than all time-outs of the move |
| error | the call fails; after it: its answer is an error |
| drop | from there on no packet passes between the hosts, without a word |
| reset | likewise, and every connection is reset |

After each, all of this is checked, and a cell says **violated** if one does not hold:

- at no moment ran two copies: a watch reads both hosts' freezers and process tables every few milliseconds;
- three clients write unique values to a register and to an append log; what they saw is linearizable;
- the service runs on exactly one host, with its restart policy;
- nothing is left once it has settled: processes, journals, locks, images, sockets, mounts, containers,
  networks, volumes;
- where something is left for an operator, one run of `mec.migration.resolve` ends it.

A cell says where the service runs in the end, on the move's `source` or its `target`, and `resolve` where
that playbook was run. `word` means that `resolve` asked for `resolve_from_older_state`, as it must where
the target may have served clients and its copy is lost; there writes since the hand-over are lost by the
operator's word, and only the rest of the history is checked. `not passed` is a point that this move did not
come by; `not run` says that nobody has tried. The points of `memory.late` and `pages` are those of moves
with `migrate_postcopy: always`.
"""


def write_page(
    path: Path, points: Sequence[str], faults: Sequence[str], results: list[dict[str, Any]]
) -> None:
    off = [one for one in results if one["fault"] == POWER]
    results = [one for one in results if one["fault"] in faults]
    found = {(one["point"], one["fault"]): one for one in results}
    lines = [
        INTRODUCTION,
        "| fault | points run | passed by the move | violated | resolve | word | date | commits |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for fault in faults:
        ran = [one for point in points if (one := found.get((point, fault)))]
        count = Counter(one["resolved"] for one in ran)
        dates, commits = sorted({one["date"] for one in ran}), sorted({one["commit"] for one in ran})
        lines.append(
            f"| {fault} | {len(ran)} of {len(points)} | {sum(one['reached'] for one in ran)} | "
            f"{sum(bool(one['faults']) for one in ran)} | {count['resolve']} | {count['word']} | "
            f"{', '.join(dates)} | {', '.join(commits)} |"
        )
    watched = [one["look_every_ms"] for one in results if one["look_every_ms"]]
    seconds = [one["seconds"] for one in results if one["seconds"]]
    if watched and seconds:
        lines.append("")
        answered = sum(one["answered"] for one in results)
        lines.append(
            f"{len(results)} moves, {answered:,} answers to clients. The watch looked every "
            f"{sum(watched) / len(watched):.1f} ms on average; "
            f"a case took {sum(seconds) / len(seconds):.0f} s."
        )
    lines += ["", "| point | " + " | ".join(faults) + " |", "|---" * (len(faults) + 1) + "|"]
    for point in points:
        lines.append(
            f"| `{point}` | " + " | ".join(cell(found.get((point, fault))) for fault in faults) + " |"
        )
    lines += power_section(points, off)
    path.write_text("\n".join(lines) + "\n")


POWER_INTRODUCTION = """
## Power off and on again

Written by `make crash-power`. The hosts are virtual machines (emulated, Debian's kernel, cgroup v2). The
process that comes to the point stops there, and the emulator of its machine is killed at once: what the
machine's kernel had not yet written to the disk is lost. It starts again and boots. Redis syncs each write
(`appendfsync always`), so that what it has acknowledged is on its disk. The same is checked as above; two
copies are looked for on the machines themselves, whose clocks are compared.
"""


def power_section(points: Sequence[str], results: list[dict[str, Any]]) -> list[str]:
    """Only the points that were run: a case takes minutes."""
    found = {one["point"]: one for one in results}
    lines = [
        POWER_INTRODUCTION,
        "| points run | passed by the move | violated | resolve | word | answers | seconds a case |",
        "|---|---|---|---|---|---|---|",
    ]
    count = Counter(one["resolved"] for one in results)
    answered, seconds = sum(one["answered"] for one in results), sum(one["seconds"] for one in results)
    lines.append(
        f"| {len(results)} | {sum(one['reached'] for one in results)} | "
        f"{sum(bool(one['faults']) for one in results)} | {count['resolve']} | {count['word']} | "
        f"{answered:,} | {seconds / max(len(results), 1):.0f} |"
    )
    lines += ["", "| point | power of that side's host off | date | commit |", "|---|---|---|---|"]
    for point in points:
        if one := found.get(point):
            lines.append(f"| `{point}` | {cell(one)} | {one['date']} | {one['commit']} |")
    return lines
