"""Checks the protocol with spin: the old one must show its faults, the new one must have none.

    tests/model/run.py [--jobs 2] [--keep DIRECTORY] [NAME ...]

Prints a table and ends with 1 if a run says something else than it must.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.mec.migration.plugins.plugin_utils.resolve.decision import (
    OLDER_STATE,
    OnSource,
    OnTarget,
    decide,
)
from ansible_collections.mec.migration.plugins.plugin_utils.resolve.says import (
    Container,
    Reach,
    SourceSays,
    SourceState,
    TargetSays,
    TargetState,
)

# In the order of their numbers in new.pml.
SOURCE_STATES = (
    SourceState.MISSING,
    SourceState.OPEN,
    SourceState.FROZEN,
    SourceState.MARK_SENT,
    SourceState.HANDED_OVER,
    SourceState.COMMITTED,
    SourceState.ROLLED_BACK,
)
TARGET_STATES = (
    TargetState.MISSING,
    TargetState.OPEN,
    TargetState.ARMED,
    TargetState.RESTORING,
    TargetState.RUNNING,
    TargetState.FILLED,
    TargetState.KEPT,
    TargetState.DESTROYED,
)
CONTAINERS = (Container.RUNNING, Container.FROZEN, Container.EXITED, Container.CREATED, Container.ABSENT)
ON_TARGET = {OnTarget.NOTHING: 0, OnTarget.DESTROY: 1, OnTarget.FINISH: 2, OnTarget.START: 3}
ON_SOURCE = {OnSource.NOTHING: 0, OnSource.RELEASE: 4, OnSource.END: 8}
WORD_ASKED = 16


class Run(NamedTuple):
    """One run of the checker. *fails*: a property must be violated in it; else none may be."""

    name: str
    model: str
    about: str
    options: dict[str, int]
    fails: bool


class Outcome(NamedTuple):
    """What the checker said. *violated*: the assertion, empty if none was."""

    violated: str
    states: int
    depth: int
    seconds: float
    complete: bool


COPIES, PROOF, UNDONE, FILLED, END = (
    f"CHECK_{name}" for name in ("COPIES", "PROOF", "UNDONE", "FILLED", "END")
)
ALL = dict.fromkeys((COPIES, PROOF, UNDONE, FILLED, END), 1)


def old(name: str, about: str, check: str, **options: int) -> Run:
    """A run of the old protocol in which only *check* is on, and must be violated."""
    return Run(f"old: {name}", "old.pml", about, {check: 1, **options}, fails=True)


def new(name: str, about: str, **options: int) -> Run:
    return Run(f"new: {name}", "new.pml", about, {**ALL, **options}, fails=False)


RUNS = [
    old("1 two runs", "the second's undo thaws what the first has handed over", COPIES, MIGRATIONS=2),
    old("2 full disk", "an exception after the mark thaws", COPIES, CAN_FILL_DISK=1),
    old("2 proof", "the same: a thaw without proof", PROOF, CAN_FILL_DISK=1),
    old("3 statistics", "'destroyed' although it runs", COPIES, CAN_LOSE_STATISTICS=1),
    old("4 orphan", "an orphaned restore comes to its end", COPIES, CAN_KILL_RUNTIME=1),
    old("5 limit", "resolve asks only the source", COPIES, CAN_LIMIT=1),
    old("5 namesake", "resolve ends the only copy", FILLED, CAN_HAVE_NAMESAKES=1),
    old("6 exited", "the frozen source's container has ended", END, CAN_REBOOT_SOURCE=1),
    old("7 older state", "the target reboots, the source thaws", UNDONE, CAN_REBOOT_TARGET=1),
    old("8 not filled", "receiver and guard are killed", FILLED, CAN_KILL_BOTH=1),
    new("no fault", "two resolvers look on", FAULTS=0, RESOLVERS=2),
    new("two runs", "of one move, and a resolver", FAULTS=0, MIGRATIONS=2),
    new("two runs, a fault", "of one move", FAULTS=1, MIGRATIONS=2, RESOLVERS=0),
    new("two crashes", "processes, disks, Docker, network; a resolver", FAULTS=2),
    new("two reboots", "hosts and daemons, too; a resolver", FAULTS=2, REBOOTS=1),
]


def table() -> str:
    """The decision for all combinations as a C table, in the numbers of new.pml."""
    dimensions = [len(SOURCE_STATES), len(CONTAINERS), 2, len(TARGET_STATES), len(CONTAINERS), 2, 2]
    values = []
    sources = [
        SourceSays("s", Reach.ANSWERS, *says) for says in product(SOURCE_STATES, CONTAINERS, (False, True))
    ]
    targets = [
        TargetSays("t", Reach.ANSWERS, *says) for says in product(TARGET_STATES, CONTAINERS, (False, True))
    ]
    for source, target, word in product(sources, targets, (False, True)):
        decision = decide(source, target, from_older_state=word)
        asked = WORD_ASKED if decision.word == OLDER_STATE else 0
        values.append(ON_TARGET[decision.target] + ON_SOURCE[decision.source] + asked)
    size = "".join(f"[{dimension}]" for dimension in dimensions)
    # One flat list: C fills nested arrays in this order.
    return f"static const unsigned char decision_table{size} = {{{','.join(map(str, values))}}};\n"


def check(run: Run, table_text: str, memory_mib: int, directory: Path) -> Outcome:
    """One run of spin, in a directory of its own.

    :raises RuntimeError: spin, the compiler or the checker failed.
    """
    for model in HERE.glob("*.pml"):
        (directory / model.name).write_bytes(model.read_bytes())
    (directory / "table.h").write_text(table_text)
    start = time.monotonic()
    _call(["spin", *(f"-D{key}={value}" for key, value in run.options.items()), "-a", run.model], directory)
    limits = ["-DVECTORSZ=2048", f"-DMEMLIM={memory_mib}", "-DCOLLAPSE", "-DSAFETY", "-DNOFAIR"]
    _call(["gcc", "-w", "-O1", *limits, "-o", "pan", "pan.c"], directory)
    # -E: who only waits at the end has nothing to do, which is no deadlock.
    output = _call(["./pan", "-E", "-m200000", "-n"], directory)
    violated = re.search(r"assertion violated (.*) \(at depth", output)
    stored = re.search(r"([0-9.e+]+) states, stored", output)
    depth = re.search(r"depth reached (\d+)", output)
    if stored is None or depth is None:
        raise RuntimeError(f"{run.name}: the checker said\n{output}")
    cut = any(
        sign in output for sign in ("max search depth too small", "Search not completed", "out of memory")
    )
    return Outcome(
        violated.group(1) if violated else "",
        int(float(stored.group(1))),
        int(depth.group(1)),
        time.monotonic() - start,
        not cut,
    )


def _call(words: list[str], directory: Path) -> str:
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} in the model failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def verdict(run: Run, outcome: Outcome) -> str:
    """Empty if the outcome is what it must be."""
    if run.fails:
        return "" if outcome.violated else "its fault was not found"
    if outcome.violated:
        return f"violated: {outcome.violated}"
    return "" if outcome.complete else "not all states were seen"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="only the runs whose name holds one of these")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--memory-mib", type=int, default=3072, help="of each run")
    parser.add_argument("--keep", type=Path, help="leave the checkers and their trails below this directory")
    arguments = parser.parse_args()
    runs = [run for run in RUNS if not arguments.names or any(name in run.name for name in arguments.names)]
    if not runs:
        parser.error("no run has such a name")
    table_text = table()
    wrong = 0
    print(f"{'run':24} {'states':>10} {'depth':>7} {'seconds':>8}  result")
    with (
        tempfile.TemporaryDirectory(prefix="mec-model-") as scratch,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        directories = []
        for number, _run in enumerate(runs):
            directories.append((arguments.keep or Path(scratch)) / str(number))
            directories[-1].mkdir(parents=True, exist_ok=True)
        outcomes = pool.map(
            lambda run, directory: check(run, table_text, arguments.memory_mib, directory), runs, directories
        )
        for run, outcome in zip(runs, outcomes):
            problem = verdict(run, outcome)
            wrong += bool(problem)
            found = f"counterexample: {run.about}" if run.fails else f"holds: {run.about}"
            shown = f"WRONG, {problem}" if problem else found
            print(
                f"{run.name:24} {outcome.states:10} {outcome.depth:7} {outcome.seconds:8.1f}  {shown}",
                flush=True,
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
