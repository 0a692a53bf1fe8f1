"""The page of a soak."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple


class Move(NamedTuple):
    """One move.

    :ivar moved: the playbook said that it has moved the service.
    :ivar resolved: empty, ``resolve``, or ``word`` where it asked for ``resolve_from_older_state``.
    :ivar wrong: what was not as it must be.
    :ivar double: moments in which two copies ran.
    :ivar answered: operations on the register and the log.
    """

    number: int
    service: str
    fault: str
    moved: bool
    resolved: str
    wrong: list[str]
    double: int
    answered: int
    seconds: float

    def words(self) -> str:
        state = "WRONG " + "; ".join(self.wrong) if self.wrong else "ok"
        ended = f"{'moved' if self.moved else 'not moved'}, {self.resolved or 'by itself'}"
        return f"{self.service}, {self.fault}: {state}; {ended}, {self.double} double, {self.seconds} s"


# What a run should have before it says much.
ENOUGH = 1000
INTRODUCTION = """# Soak: many moves, and a nemesis

Written by `make soak MOVES=n`; not by hand.

Redis with an append-only file and a service of several processes (`web`) go round two hosts of the testbed.
Clients write to both all the time: unique values to a register and an append log in Redis, whose history
must be linearizable, and numbered slots of `web`, each of which is read back. With each move a nemesis
picks one fault at random, and the moment and the host for it; its seed makes it repeatable as far as
machines are. After each move the checks of [crash points](crash-points.md) are made: at no moment two
copies, one copy in the end, its restart policy, nothing left.

Not among the faults: a step of the clock, because the testbed's hosts are containers and have one clock;
PostgreSQL and a third host; a full disk below `/var`.
"""


def write_page(
    path: Path, moves: list[Move], before: dict[str, int], after: dict[str, int], facts: dict[str, Any]
) -> None:
    wrong = [move for move in moves if move.wrong]
    lost = sum(any("lost" in one for one in move.wrong) for move in moves)
    lines = [INTRODUCTION, "| what | |", "|---|---|"]
    lines += [
        f"| moves | {len(moves)} in {facts['minutes']:.0f} minutes |",
        f"| seed | {facts['seed']} |",
        f"| date, commit | {facts['date']}, {facts['commit']} |",
        f"| moved | {sum(move.moved for move in moves)} |",
        f"| answers to clients of Redis | {sum(move.answered for move in moves):,} |",
        f"| moves with lost writes | {lost} |",
        f"| moments with two copies | {sum(move.double for move in moves)} |",
        f"| moves after which something was not as it must be | {len(wrong)} |",
        f"| resolve was needed | {sum(move.resolved == 'resolve' for move in moves)} |",
        f"| the operator's word was needed | {sum(move.resolved == 'word' for move in moves)} |",
        "",
        "| fault | moves | moved | resolve | word | wrong |",
        "|---|---|---|---|---|---|",
    ]
    kinds = Counter(kind(move) for move in moves)
    for name, number in sorted(kinds.items()):
        of_kind = [move for move in moves if kind(move) == name]
        resolved = Counter(move.resolved for move in of_kind)
        lines.append(
            f"| {name} | {number} | {sum(move.moved for move in of_kind)} | {resolved['resolve']} | "
            f"{resolved['word']} | {sum(bool(move.wrong) for move in of_kind)} |"
        )
    lines += ["", "Both hosts together, before and after:", "", "| what | before | after | per 100 moves |"]
    lines.append("|---|---|---|---|")
    for what in sorted(before):
        grown = after[what] - before[what]
        lines.append(f"| {what} | {before[what]} | {after[what]} | {100 * grown / max(len(moves), 1):+.0f} |")
    if len(moves) < ENOUGH:
        lines += [
            "",
            f"This is a short run. One of {ENOUGH:,} moves, which takes hours, has not been recorded here.",
        ]
    if wrong:
        lines += ["", "What was wrong:", ""]
        lines += [
            f"- move {move.number}, {move.service}, {move.fault}: {'; '.join(move.wrong)}" for move in wrong
        ]
    path.write_text("\n".join(lines) + "\n")


def kind(move: Move) -> str:
    """Without the crash point's name."""
    return move.fault.split("/", maxsplit=1)[0].removesuffix(" source").removesuffix(" target")
