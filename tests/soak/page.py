"""The page of a soak, made of the records of all its runs."""

from __future__ import annotations

import json
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
    """What all hosts together had after so many moves of a run."""

    moves: int
    found: dict[str, int]


class Run(NamedTuple):
    """One run, which may have been ended at any time."""

    seed: int
    commit: str
    date: str
    moves: list[Move]
    counts: list[Counted]


class Record:
    """A file to which runs are appended line by line: one that is killed is there as far as it came."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, seed: int, commit: str, date: str) -> None:
        self._append({"seed": seed, "commit": commit, "date": date})

    def move(self, move: Move) -> None:
        self._append(move._asdict())

    def count(self, counted: Counted) -> None:
        self._append(counted._asdict())

    def _append(self, line: dict[str, Any]) -> None:
        with self._path.open("a") as out:
            out.write(json.dumps(line) + "\n")

    def runs(self) -> list[Run]:
        """Those that came to a move, oldest first."""
        found: list[Run] = []
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            fields = json.loads(line)
            if "seed" in fields:
                found.append(Run(**fields, moves=[], counts=[]))
            elif "found" in fields:
                found[-1].counts.append(Counted(**fields))
            else:
                found[-1].moves.append(Move(**fields))
        return [run for run in found if run.moves]


# What all runs together should have before they say much.
ENOUGH = 1000
NOTES = "\n## Notes\n"
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


def write_page(path: Path, runs: list[Run]) -> None:
    """Write it anew, but for what stands under "Notes"."""
    moves = [move for run in runs for move in run.moves]
    wrong = [move for move in moves if move.wrong]
    lost = sum(any("lost" in one for one in move.wrong) for move in moves)
    answered: Counter[str] = Counter()
    for move in moves:
        answered.update(move.answered)
    minutes = sum(move.seconds for move in moves) / 60
    lines = [INTRODUCTION, "| what | |", "|---|---|"]
    lines += [
        f"| moves | {len(moves):,} in {minutes:.0f} minutes, {len(runs)} runs |",
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
    whose = [f"{run.date}, {run.commit}, seed {run.seed}" for run in runs for _move in run.moves]
    lines += _table("run", moves, whose)
    lines += _growth([run.counts for run in runs])
    if len(moves) < ENOUGH:
        lines += ["", f"That is not yet much: {ENOUGH:,} moves take half a day, and each run adds to these."]
    if wrong:
        lines += ["", "What was wrong:", ""]
        lines += [
            f"- move {move.number}, {move.service} {move.way}, {move.fault} {move.detail}: "
            f"{'; '.join(move.wrong)}"
            for move in wrong
        ]
    _before, heading, notes = path.read_text().partition(NOTES) if path.exists() else ("", "", "")
    path.write_text("\n".join(lines) + "\n" + heading + notes)


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


def _growth(runs: list[list[Counted]]) -> list[str]:
    """:param runs: what was counted in each, in order."""
    counts = [counted for run in runs for counted in run]
    lines = [
        "",
        f"All hosts together, counted {len(counts)} times; before and after are of the last run.",
        "`per 100 moves` is the slope of lines through the counts of each run, all with one slope (least",
        "squares). Memory of a daemon begins anew where it was killed.",
        "",
        "| what | before | after | least | most | per 100 moves |",
        "|---|---|---|---|---|---|",
    ]
    for what in sorted(counts[0].found if counts else {}):
        series = [[(counted.moves, counted.found[what]) for counted in run] for run in runs]
        all_of_it = [found for run in series for _moves, found in run]
        lines.append(
            f"| {what} | {series[-1][0][1]} | {series[-1][-1][1]} | {min(all_of_it)} | {max(all_of_it)} | "
            f"{100 * _slope(series):+.1f} |"
        )
    return lines


def _slope(runs: list[list[tuple[int, int]]]) -> float:
    """Of the lines with the least squares of their errors, one for each run; 0 where all have one point."""
    products = squares = 0.0
    for points in runs:
        x_mean = sum(x for x, _y in points) / len(points)
        y_mean = sum(y for _x, y in points) / len(points)
        products += sum((x - x_mean) * (y - y_mean) for x, y in points)
        squares += sum((x - x_mean) ** 2 for x, _y in points)
    return products / squares if squares else 0.0
