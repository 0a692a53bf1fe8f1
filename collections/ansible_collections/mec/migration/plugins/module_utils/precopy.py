# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pre-copy: rounds of changed files and pages while the service runs, until a stop rule holds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .file_sync import FileRound, FileSync, shared_writable_files
from .memory_source import MemorySource, RoundResult
from .process_memory import PAGE_BYTES
from .service import Service
from .wire import Channel

FILES_STATE = "files.json"
# A round that sends less is bound by looking at memory, and says nothing of the link.
TELLING_BYTES = 4 << 20
Progress = Callable[..., None]


class StopRule(NamedTuple):
    """When to stop copying and freeze.

    :param downtime_ms: residual pages must fit through the link in this time.
    :param max_rounds: stop after so many rounds whatever is left.
    :param min_gain: stop when a round leaves more than this share of what the round before left.
    """

    downtime_ms: float = 100.0
    max_rounds: int = 10
    min_gain: float = 0.9


class Round(NamedTuple):
    """A round of files and memory, as reported."""

    number: int
    pages_scanned: int
    pages_changed: int
    changed_bytes: int
    sent_bytes: int
    compression: float
    seconds: float
    frozen_ms: float
    files_changed: int
    files_sent_bytes: int
    residual_bytes: int
    dirty_pages_per_s: float


class PreCopy:
    """Runs rounds over one channel and knows how much would be left to send if the service froze now."""

    def __init__(
        self, service: Service, channel: Channel, memory: MemorySource, files: FileSync, progress: Progress
    ) -> None:
        self._service = service
        self._channel = channel
        self._memory = memory
        self._files = files
        self._progress = progress
        self._last_read: float | None = None
        self._bytes_per_s = 0.0
        self.rounds: list[Round] = []

    def run(self, rule: StopRule) -> str:
        """Rounds until *rule* holds; returns why it stopped, as a sentence."""
        previous_left = None
        for _turn in range(rule.max_rounds):
            done = self.round()
            left = done.residual_bytes
            fits = self._bytes_per_s * rule.downtime_ms / 1000
            if len(self.rounds) > 1 and left <= fits:
                return (
                    f"the {left / 1e6:.1f} MB that are left pass in {rule.downtime_ms:g} ms "
                    f"at {self._bytes_per_s / 1e6:.0f} MB/s"
                )
            if previous_left is not None and left > rule.min_gain * previous_left:
                return (
                    f"no further convergence: {left / 1e6:.1f} MB left, {previous_left / 1e6:.1f} MB before"
                )
            if len(self.rounds) > 1:
                previous_left = left
        return f"the limit of {rule.max_rounds} rounds is reached"

    def round(self) -> Round:
        """One round: files, then pages, both acknowledged by the target."""
        start = time.monotonic()
        files = self._files.round(self._channel)
        read_at = time.monotonic()
        memory = self._memory.round(self._channel, self._service.processes())
        self._channel.answer("memory.round_end")
        self._memory.acknowledged()
        end = time.monotonic()
        done = self._account(files, memory, start, read_at, end)
        self.rounds.append(done)
        self._progress(
            phase="pre-copy",
            round=done.number,
            pages_changed=done.pages_changed,
            sent_bytes=done.sent_bytes + done.files_sent_bytes,
            seconds=round(done.seconds, 3),
            left_bytes=done.residual_bytes,
        )
        return done

    def _account(
        self, files: FileRound, memory: RoundResult, start: float, read_at: float, end: float
    ) -> Round:
        sent = memory.sent_bytes + files.sent_bytes
        if sent > TELLING_BYTES or not self._bytes_per_s:
            self._bytes_per_s = max(self._bytes_per_s, sent / max(end - start, 1e-3))
        dirty_bytes_per_s = 0.0
        if self._last_read is None:
            # Nothing is known yet of how fast pages are dirtied.
            residual = memory.changed_bytes
        else:
            dirty_bytes_per_s = memory.changed_bytes / max(read_at - self._last_read, 1e-3)
            residual = int(min(dirty_bytes_per_s * (end - read_at), memory.pages_scanned * PAGE_BYTES))
        self._last_read = read_at
        return Round(
            number=memory.number,
            pages_scanned=memory.pages_scanned,
            pages_changed=memory.pages_changed,
            changed_bytes=memory.changed_bytes,
            sent_bytes=memory.sent_bytes,
            compression=round(memory.changed_bytes / max(memory.sent_bytes, 1), 2),
            seconds=end - start,
            frozen_ms=memory.frozen_ms,
            files_changed=files.changed_files + files.deleted_files,
            files_sent_bytes=files.sent_bytes,
            residual_bytes=residual,
            dirty_pages_per_s=round(dirty_bytes_per_s / PAGE_BYTES, 1),
        )

    @property
    def bytes_per_s(self) -> float:
        """What the link gave, as seen in the last round that sent enough to tell."""
        return self._bytes_per_s


def files_state(state_dir: str) -> str:
    return os.path.join(state_dir, FILES_STATE)


def shared_files(service: Service) -> list[str]:
    """Files whose content may change through memory without a change of their times."""
    return sorted(shared_writable_files(service.cgroup.pids()))


def as_fields(rounds: list[Round]) -> list[dict[str, Any]]:
    """For an Ansible result."""
    return [done._asdict() for done in rounds]
