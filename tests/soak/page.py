"""The page of a soak."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple


class Move(NamedTuple):
    """One move.

    :ivar way: from which host to which.
    :ivar fault: its kind; *detail*: which one of that kind.
    :ivar struck: it came in the course of the move: an agent was there to kill, the crash point was passed.
    :ivar moved: the playbook said that it has moved the service.
    :ivar resolved: empty, ``resolve``, or ``word`` where it asked for ``resolve_from_older_state``.
    :ivar wrong: what was not as it must be.
    :ivar double: moments in which two copies ran.
    :ivar answered: operations of clients, by service.
    """

    number: int
    service: str
    way: str
    fault: str
    detail: str
    struck: bool
    moved: bool
    resolved: str
    wrong: list[str]
    double: int
    answered: dict[str, int]
    seconds: float

    def words(self) -> str:
        state = "WRONG " + "; ".join(self.wrong) if self.wrong else "ok"
        ended = f"{'moved' if self.moved else 'not moved'}, {self.resolved or 'by itself'}"
        fault = " ".join(
            filter(
                None, (self.fault, self.detail, "" if self.struck or not self.detail else "(came to nothing)")
            )
        )
        return f"{self.service} {self.way}, {fault}: {state}; {ended}, {self.double} double, {self.seconds} s"


class Counted(NamedTuple):
    """What all hosts together had after so many moves."""

    moves: int
    found: dict[str, int]


# What a run should have before it says much.
ENOUGH = 1000
INTRODUCTION = """# Soak: many moves, and a nemesis

Written by `make soak MOVES=n`; not by hand, but for what stands under "Notes".

Redis with an append-only file, a service of several processes (`web`) and PostgreSQL as Debian ships it go
round three hosts of the testbed, one move at a time, each to one of the two other hosts at random. Clients
write to all of them all the time: unique values to a register and an append log in Redis, whose history must
be linearizable; numbered slots of `web`, each of which is read back; unique rows of PostgreSQL, of which all
that were acknowledged must be there, in order. With each move a nemesis picks one fault at random, and the
moment and the host for it; its seed makes it repeatable as far as machines are. After each move the checks of
[crash points](crash-points.md) are made on all three hosts: at no moment two copies, one copy in the end, its
restart policy, nothing left.

| fault | what |
|---|---|
| AgentKilled | SIGKILL of the source's or the target's agent, up to one or four seconds after it is seen |
| AgentKilledAtAPoint | SIGKILL of an agent at one of the crash points |
| CallFails | a message, journal write, call of Docker or of CRIU fails at one of the crash points |
| DockerKilled with live-restore | SIGKILL of either host's Docker daemon, which starts again |
| DockerKilled without live-restore | likewise of the target's |
| NetworkCut | between source and target, silently or by reset, for some seconds or until the move ends |
| ImagesFull | the file system of the target's `/run/mec-migration` (256 MiB) is filled |
| VarFull | that of `/var/lib/mec-migration` of either host, or of the target's `/var/lib/docker/tmp`, is |
| ControllerKilled | SIGKILL of the playbook and all that it has started on the controller |
| TwoOperators | somebody else moves the service, too, to one of the two other hosts |

Not among the faults: a step of the clock, because the testbed's hosts are containers and have one clock.
Without live-restore no daemon is killed where `web` or a service that is not being moved may run: Docker
itself ends its containers then, and all that `web` knows is in memory.
"""


def write_page(path: Path, moves: list[Move], counts: list[Counted], facts: dict[str, Any]) -> None:
    wrong = [move for move in moves if move.wrong]
    lost = sum(any("lost" in one for one in move.wrong) for move in moves)
    answered: Counter[str] = Counter()
    for move in moves:
        answered.update(move.answered)
    lines = [INTRODUCTION, "| what | |", "|---|---|"]
    lines += [
        f"| moves | {len(moves)} in {facts['minutes']:.0f} minutes |",
        f"| seed | {facts['seed']} |",
        f"| date, commit | {facts['date']}, {facts['commit']} |",
        f"| moved | {sum(move.moved for move in moves)} |",
        f"| faults that came in the course of a move | {sum(move.struck for move in moves)} |",
    ]
    lines += [f"| answers to clients of {name} | {number:,} |" for name, number in sorted(answered.items())]
    lines += [
        f"| moves with lost writes | {lost} |",
        f"| moments with two copies | {sum(move.double for move in moves)} |",
        f"| moves after which something was not as it must be | {len(wrong)} |",
        f"| resolve was needed | {sum(move.resolved == 'resolve' for move in moves)} |",
        f"| the operator's word was needed | {sum(move.resolved == 'word' for move in moves)} |",
        "",
        "`struck` is the number of moves in whose course the fault came: for AgentKilled, that an agent was",
        "found and killed; for a crash point, that it was passed.",
    ]
    lines += _table("fault", moves, [move.fault for move in moves])
    lines += _table("service", moves, [move.service for move in moves])
    lines += _growth(counts)
    if len(moves) < ENOUGH:
        lines += ["", f"This is a short run: one of {ENOUGH:,} moves takes half a day."]
    if wrong:
        lines += ["", "What was wrong:", ""]
        lines += [
            f"- move {move.number}, {move.service} {move.way}, {move.fault} {move.detail}: "
            f"{'; '.join(move.wrong)}"
            for move in wrong
        ]
    path.write_text("\n".join(lines) + "\n")


def _table(what: str, moves: list[Move], names: list[str]) -> list[str]:
    """A row for each of the *names*, one of which each move has."""
    lines = [
        "",
        f"| {what} | moves | struck | moved | resolve | word | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(set(names)):
        those = [move for move, its_name in zip(moves, names) if its_name == name]
        resolved = Counter(move.resolved for move in those)
        lines.append(
            f"| {name} | {len(those)} | {sum(move.struck for move in those)} | "
            f"{sum(move.moved for move in those)} | {resolved['resolve']} | {resolved['word']} | "
            f"{sum(bool(move.wrong) for move in those)} |"
        )
    return lines


def _growth(counts: list[Counted]) -> list[str]:
    lines = [
        "",
        f"All hosts together, counted {len(counts)} times; `per 100 moves` is the slope of a line through",
        "all of them (least squares). Memory of a daemon begins anew where it was killed.",
        "",
        "| what | before | halfway | after | least | most | per 100 moves |",
        "|---|---|---|---|---|---|---|",
    ]
    for what in sorted(counts[0].found):
        series = [counted.found[what] for counted in counts]
        slope = 100 * _slope([counted.moves for counted in counts], series)
        lines.append(
            f"| {what} | {series[0]} | {series[len(series) // 2]} | {series[-1]} | {min(series)} | "
            f"{max(series)} | {slope:+.1f} |"
        )
    return lines


def _slope(xs: list[int], ys: list[int]) -> float:
    """Of the line with the least squares of its errors; 0 for one point."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys)) / spread if spread else 0.0
