# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pre-copy: rounds of changed files and pages while the service runs, until a stop rule holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..base.stop_rule import NO_CONVERGENCE, DirtyModel, LookModel, Moment, StopRule
from ..files.sync import FileRound, FileSync
from ..kernel.mapped_files import shared_writable_files
from ..kernel.process_memory import PAGE_BYTES
from ..memory.source import MemorySource, RoundResult
from ..service.service import Service
from ..transport.wire import Channel
from .throttle import Throttle

# A round that sends less is bound by looking at memory, and says nothing of the link.
TELLING_BYTES = 4 << 20
# So many more are made each time the service was slowed down.
ROUNDS_A_STEP = 3
LIMIT = "the limit of"
# To see whether rounds would help. Of less memory than so many times as much all is sent at once.
PROBE_BYTES, PROBE_SHARE = 8 << 20, 4
# They do not if so much of what they send would be dirty again.
HOPELESS_SHARE = 0.6
Progress = Callable[..., None]


class Round(NamedTuple):
    """A round of files and memory, as reported. ``started``: seconds since the epoch on this host's clock.

    ``cpu_percent``: of what the service used of processors, what it was allowed meanwhile.
    """

    number: int
    started: float
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
    cpu_percent: float


class PreCopy:
    """Runs rounds and knows how much would be left to send if the service froze now."""

    def __init__(
        self, service: Service, memory: MemorySource, files: FileSync, channel: Callable[[], Channel]
    ) -> None:
        self._service = service
        self._channel = channel
        self._memory = memory
        self._files = files
        self.progress: Progress = lambda **line: None
        self._model = DirtyModel()
        self._last_read: float | None = None
        self._bytes_per_s = 0.0
        self._look = LookModel(looks_at_all=memory.looks_at_all)
        self._page_bytes = float(PAGE_BYTES)
        self._moments: list[Moment] = []
        self.rounds: list[Round] = []
        self.stop_reason = ""
        # Another one can be put here between two rounds.
        self.rule = StopRule()
        # Post-copy: what does not converge may be left for the target to fetch.
        self.may_leave = False
        # None: the service is never slowed down.
        self.throttle: Throttle | None = None

    def run(self, rule: StopRule, check: Callable[[], object] = lambda: None) -> list[Round]:
        """Rounds until *rule* holds; ``stop_reason`` then says why it does.

        :param check: is called before each round; what it raises ends them.
        :returns: the rounds of this run.
        """
        # What earlier runs have seen must not end this one; what they have learnt of link and service stays.
        self._moments, first = [], len(self.rounds)
        self.rule = rule
        if self.throttle is not None:
            self.throttle.watch()
        more = 0
        if self.may_leave and not self.rounds and self._probe():
            return self.rounds[first:]
        while len(self.rounds) - first < self.rule.max_rounds + more:
            check()
            self._memory.between_rounds()
            self.round()
            self.stop_reason = self.rule.reason(self._moments, self._model)
            if not self.stop_reason and len(self.rounds) - first == self.rule.max_rounds + more:
                self.stop_reason = self._limit_reached(more)
            elif self.stop_reason and not self.stop_reason.startswith(NO_CONVERGENCE):
                break
            if self.stop_reason:
                if not self._slow_down():
                    break
                more += ROUNDS_A_STEP
        else:
            self.stop_reason = self._limit_reached(more)
        return self.rounds[first:]

    @property
    def stuck(self) -> bool:
        """Whether the rounds were ended because more of them would not help."""
        return self.stop_reason.startswith((NO_CONVERGENCE, LIMIT))

    @property
    def too_much(self) -> bool:
        """Whether what is left would take too long to send while the service is frozen."""
        return bool(self._moments) and self.rule.worth_leaving(self._moments[-1])

    def _limit_reached(self, more: int) -> str:
        return f"{LIMIT} {self.rule.max_rounds + more} rounds is reached"

    def _slow_down(self) -> bool:
        """Let the service write less, if that would shorten the freeze and is allowed."""
        throttle = self.throttle
        if throttle is None or not self.rule.worth_slowing(self._moments[-1]) or not throttle.lower():
            return False
        # What it did before says little of what it will do now.
        self._moments, self._model = [], DirtyModel()
        self.progress(phase="pre-copy", cpu_percent=throttle.percent)
        return True

    def _probe(self) -> bool:
        """Send a little of memory and see how much is written meanwhile; returns whether rounds are hopeless.

        Where most of what they send would be dirty again by their end, each page is to travel once, when the
        service has come to rest.
        """
        if self._memory.looks_at_all or self._service.memory_bytes < PROBE_SHARE * PROBE_BYTES:
            return False
        self.round(PROBE_BYTES)
        pids, seconds = self._service.processes(), time.monotonic() - (self._last_read or 0.0)
        written_pages = self._memory.look(pids) // PAGE_BYTES
        self._model.observe(seconds, written_pages, self._service.memory_bytes // PAGE_BYTES)
        # The next round brings what was never sent, and says nothing of what was written.
        self._last_read = None
        all_s = self._memory.kept_bytes / max(self._bytes_per_s, 1.0)
        dirty_bytes = self._model.pages_after(all_s) * PAGE_BYTES
        moment = Moment(dirty_bytes / PAGE_BYTES, self._page_bytes, self._bytes_per_s, 0.0)
        if dirty_bytes < HOPELESS_SHARE * self._memory.kept_bytes or not self.rule.worth_leaving(moment):
            return False
        self._moments.append(moment)
        self.stop_reason = (
            f"{NO_CONVERGENCE}: {written_pages / max(seconds, 1e-3):.0f} pages a second were written when "
            f"{PROBE_BYTES >> 20} MiB had been sent"
        )
        return True

    def round(self, most_bytes: int = 0) -> Round:
        """One round: files, then pages, both acknowledged by the target.

        :param most_bytes: of pages; 0 for all.
        """
        started, start = time.time(), time.monotonic()
        cpu_percent = 100.0 if self.throttle is None else self.throttle.percent
        channel = self._channel()
        files = self._files.round(channel, mapped=mapped_files(self._service))
        read_at = time.monotonic()
        memory = self._memory.round(channel, self._service.processes(), most_bytes=most_bytes)
        channel.answer("memory.round_end")
        self._memory.acknowledged()
        end = time.monotonic()
        done = self._account(files, memory, started, start, read_at, end)._replace(cpu_percent=cpu_percent)
        self.rounds.append(done)
        self.progress(
            phase="pre-copy",
            round=done.number,
            pages_changed=done.pages_changed,
            sent_bytes=done.sent_bytes + done.files_sent_bytes,
            seconds=round(done.seconds, 3),
            left_bytes=done.residual_bytes,
        )
        return done

    def _account(
        self,
        files: FileRound,
        memory: RoundResult,
        started: float,
        start: float,
        read_at: float,
        end: float,
    ) -> Round:
        sent = memory.sent_bytes + files.sent_bytes
        seconds = end - start
        if sent > TELLING_BYTES or not self._bytes_per_s:
            self._bytes_per_s = max(self._bytes_per_s, sent / max(seconds, 1e-3))
        look_s = max(seconds - sent / self._bytes_per_s, 0.0) if self._bytes_per_s else seconds
        self._look.observe(look_s, memory.pages_scanned, memory.pages_changed)
        if memory.pages_changed:
            self._page_bytes = memory.sent_bytes / memory.pages_changed
        if self._last_read is not None:
            present = self._service.memory_bytes // PAGE_BYTES
            self._model.observe(read_at - self._last_read, memory.pages_changed, present)
        self._last_read = read_at
        # Before a second read nothing is known of how fast pages are dirtied.
        dirty_pages = self._model.pages_after(end - read_at) if self._model.known else memory.pages_changed
        look_s = self._look.seconds(dirty_pages)
        self._moments.append(Moment(dirty_pages, self._page_bytes, self._bytes_per_s, look_s))
        return Round(
            number=memory.number,
            started=round(started, 3),
            pages_scanned=memory.pages_scanned,
            pages_changed=memory.pages_changed,
            changed_bytes=memory.changed_bytes,
            sent_bytes=memory.sent_bytes,
            compression=round(memory.changed_bytes / max(memory.sent_bytes, 1), 2),
            seconds=seconds,
            frozen_ms=memory.frozen_ms,
            files_changed=files.changed_files + files.deleted_files,
            files_sent_bytes=files.sent_bytes,
            residual_bytes=int(dirty_pages * self._page_bytes),
            dirty_pages_per_s=round(self._model.pages_per_s, 1),
            cpu_percent=100.0,
        )

    @property
    def bytes_per_s(self) -> float:
        """What the link gave, as seen in the last round that sent enough to tell."""
        return self._bytes_per_s


def mapped_files(service: Service) -> list[str]:
    """Files whose content may change through memory without a change of their times.

    Also by what `docker exec` has started: that does not move, but the files do.
    """
    return sorted(shared_writable_files(service.cgroup.pids()))


def as_fields(rounds: list[Round]) -> list[dict[str, Any]]:
    """For an Ansible result."""
    return [done._asdict() for done in rounds]
