# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations did, as metrics for Prometheus: a file that the textfile collector of node exporter reads.

Totals must go on from run to run, so the file is read before it is written. It is replaced as a whole, under
a lock of its own; plays may share it.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import DecisionError
from ..base.whole_file import READABLE, whole_file

MOVED, FAILED, REFUSED = OUTCOMES = ("moved", "failed", "refused")
MAX_FILE_BYTES = 64 << 20

Labels = tuple[tuple[str, str], ...]

# By name: kind, and what it is.
FAMILIES = {
    "mec_migrations_total": ("counter", "Migrations that ended, by outcome."),
    "mec_migration_seconds_total": ("counter", "Time that migrations took, from begin to end."),
    "mec_migration_sent_bytes_total": ("counter", "Bytes that migrations sent: image, memory and files."),
    "mec_migration_frozen_seconds_total": ("counter", "Time that services were frozen."),
    "mec_migration_last_end_timestamp_seconds": ("gauge", "When the last migration ended."),
    "mec_migration_last_seconds": ("gauge", "Time that the last migration took."),
    "mec_migration_last_sent_bytes": ("gauge", "Bytes that the last migration sent."),
    "mec_migration_last_frozen_seconds": ("gauge", "Time that the service was frozen by the last migration."),
    "mec_migration_last_phase_seconds": ("gauge", "Time that a phase of the last migration took."),
}
LINE = re.compile(r"([a-z_]+)\{(.*)\} ([^ ]+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


@dataclass(frozen=True)
class Ended:
    """A migration that ended.

    :param report: of the filter ``migration_report``; empty of a migration that was refused.
    """

    service: str
    source: str
    target: str
    outcome: str
    ended_s: float
    report: Mapping[str, Any]


@dataclass
class Metrics:
    """The samples of a file: value by name and labels."""

    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, one: Ended) -> None:
        """Count *one*, and let it be the last of its service between its hosts."""
        ends = (("service", one.service), ("source", one.source), ("target", one.target))
        self._count("mec_migrations_total", (*ends, ("outcome", one.outcome)), 1)
        self._set("mec_migration_last_end_timestamp_seconds", (*ends, ("outcome", one.outcome)), one.ended_s)
        report = one.report
        if not report:
            return
        seconds = float(report["total_seconds"])
        self._count("mec_migration_seconds_total", (*ends, ("outcome", one.outcome)), seconds)
        if one.outcome != MOVED:
            return
        sent, frozen = float(report["total_bytes"]), float(report["frozen_ms"]) / 1000
        self._count("mec_migration_sent_bytes_total", ends, sent)
        self._count("mec_migration_frozen_seconds_total", ends, frozen)
        self._set("mec_migration_last_seconds", ends, seconds)
        self._set("mec_migration_last_sent_bytes", ends, sent)
        self._set("mec_migration_last_frozen_seconds", ends, frozen)
        phases = "mec_migration_last_phase_seconds"
        # A phase that this move did not have must not be left of one before.
        self.samples = {
            key: value for key, value in self.samples.items() if key[0] != phases or key[1][:3] != ends
        }
        for phase in report["phases"]:
            self._set(phases, (*ends, ("phase", str(phase["phase"]))), float(phase["seconds"]))

    def text(self) -> str:
        """In Prometheus' text format."""
        lines = []
        for name, (kind, words) in FAMILIES.items():
            own = {labels: value for (one, labels), value in self.samples.items() if one == name}
            if own:
                lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
                lines += [f"{name}{{{_labels(labels)}}} {value!r}" for labels, value in sorted(own.items())]
        return "".join(f"{line}\n" for line in lines)

    def _count(self, name: str, labels: Labels, value: float) -> None:
        self.samples[name, labels] = self.samples.get((name, labels), 0.0) + float(value)

    def _set(self, name: str, labels: Labels, value: float) -> None:
        self.samples[name, labels] = float(value)


def parse(text: str, where: str) -> Metrics:
    """What :meth:`Metrics.text` wrote.

    :raises DecisionError: it is something else; another program's file must not be overwritten.
    """
    found = Metrics()
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        try:
            if match is None or match[1] not in FAMILIES:
                raise ValueError
            labels = tuple((name, _plain(value)) for name, value in LABEL.findall(match[2]))
            if _labels(labels) != match[2]:
                raise ValueError
            found.samples[match[1], labels] = float(match[3])
        except ValueError:
            raise DecisionError(
                f"{where}, line {number}: {line[:80]!r} is none of the collection's metrics; "
                "name a file that is only for them"
            ) from None
    return found


def record(path: Path, one: Ended) -> None:
    """Add *one* to the file at *path*, which is replaced as a whole.

    :raises DecisionError: it cannot be read or written, or is another program's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise DecisionError(f"{path} has more than {MAX_FILE_BYTES} bytes")
            metrics = parse(content, str(path))
            metrics.add(one)
            with whole_file(path, mode=READABLE) as replacement:
                replacement.write(metrics.text().encode())
    except (OSError, UnicodeError) as error:
        raise DecisionError(f"metrics file {path}: {error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[Any]:
    """The file, locked; it is made empty, which is a valid one, if need be."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            here, held = os.stat(path), os.fstat(descriptor)
            if (here.st_dev, here.st_ino) == (held.st_dev, held.st_ino):
                yield stream
                return
            # Somebody replaced it while this one waited.


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return "".join(ESCAPES.get(letter, letter) for letter in value)


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)
