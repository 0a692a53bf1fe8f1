# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dirty-page tracking by userfaultfd, for kernels without soft-dirty: what was written is asked of the
kernel, so that the frozen window no longer reads all memory.

Each process is given a userfaultfd from outside, in a stop of milliseconds; it notices nothing. What
cannot be tracked is named whole, so that the comparison decides: a process with an obstacle, one that
came after the last round, a mapping that is new or of a kind that cannot be.
"""

from __future__ import annotations

import os

from ..base.page_ranges import Range, RangeSet
from ..kernel.cgroup import Cgroup
from ..kernel.process_memory import (
    PRESENT,
    Pagemap,
    anonymous_ranges,
    areas,
    present_pages,
)
from ..kernel.processes import start_time, status
from ..kernel.ptrace import RemoteError, share_memory
from ..kernel.ptrace_child import in_child
from ..kernel.write_protect import CLEAR, LINK, UNTRACKED, WRITTEN, WriteProtection, attach

UFFD = "uffd"
# Fewer bytes than this in new mappings are compared, which is faster than to stop the process.
WORTH_A_STOP_BYTES = 1 << 20
# What lets the kernel write memory behind the marks, by the name of the descriptor.
BEHIND_THE_MARKS = {
    "anon_inode:[io_uring]": "it uses io_uring, which writes memory unseen",
    LINK: "it has a userfaultfd of its own",
}


class _Tracked:
    """A process that has a userfaultfd of ours.

    ``armed`` are the ranges that were registered and freed of old marks; what is mapped there now may be
    something newer, which the kernel then tells as untracked.
    """

    def __init__(self, pid: int, born: str) -> None:
        self.pid = pid
        self.born = born
        self.armed = RangeSet()
        self.protection: WriteProtection | None = None

    def attach(self) -> float:
        """Have tracked whatever is not. Returns for how many ms the process was stopped.

        :raises RemoteError: it cannot be done; what was tracked is so still.
        """
        answer, descriptors = in_child(lambda: attach(self.pid, self.protection))
        if descriptors:
            self.close()
            self.protection = WriteProtection(descriptors[0])
            self.armed = RangeSet()
        registered = [Range(*one) for one in answer["registered"]]
        if self.protection is not None:
            self.armed = (self.armed - RangeSet(registered)) | self._armed_of(registered, self.protection)
        return float(answer["stopped_ms"])

    def _armed_of(self, registered: list[Range], protection: WriteProtection) -> RangeSet:
        armed = []
        for one in registered:
            pieces = [one]
            if not protection.forget_marks(*one):
                # It has changed since the process went on: piece by piece, without what is new in it.
                mapped = RangeSet([one])
                pieces = [
                    piece
                    for area in areas(self.pid)
                    for piece in mapped & RangeSet([(area.start, area.end)])
                    if protection.forget_marks(*piece)
                ]
            armed += pieces
        return RangeSet(armed)

    def untracked(self) -> RangeSet:
        """Pages that no mark tells of: all that is there, of what is not armed."""
        ranges = anonymous_ranges(self.pid)
        with Pagemap(self.pid) as pagemap:
            return pagemap.scan(ranges, UNTRACKED) | pagemap.scan(ranges - self.armed, PRESENT)

    def written(self, *, clear: bool) -> RangeSet:
        """Pages that were written since the last time they were asked for with *clear*."""
        ranges = anonymous_ranges(self.pid) & self.armed
        with Pagemap(self.pid) as pagemap:
            return pagemap.scan(ranges, CLEAR if clear else WRITTEN)

    def close(self) -> None:
        if self.protection is not None:
            self.protection.close()
            self.protection = None


class UffdTracker:
    """Names the pages that were written since the call before, by userfaultfd and PAGEMAP_SCAN.

    In the first call on a process that is every page. The marks live as long as this object's process.
    """

    name = UFFD
    looks_at_all = False

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._tracked: dict[int, _Tracked] = {}
        self._whole: dict[int, str] = {}

    @property
    def notes(self) -> list[str]:
        """One clause for each process that is compared as a whole, with the reason."""
        return [f"process {pid} was compared whole: {why}" for pid, why in sorted(self._whole.items())]

    def candidates(self, pids: list[int], frozen: bool) -> tuple[dict[int, RangeSet], float]:
        self._forget(set(pids))
        found = {}
        stopped_ms = 0.0
        for pid in pids:
            try:
                if frozen:
                    found[pid] = self._final(pid)
                else:
                    found[pid], ms = self._round(pid, pids)
                    stopped_ms += ms
            except (FileNotFoundError, ProcessLookupError):
                # It has ended; if not, all of it.
                found[pid] = present_pages(pid)
        return found, stopped_ms

    def _round(self, pid: int, pids: list[int]) -> tuple[RangeSet, float]:
        born = start_time(pid)
        if pid in self._tracked and self._tracked[pid].born != born:
            self._drop(pid)
        why = obstacle(pid, [] if pid in self._tracked else pids)
        if why:
            return self._give_up(pid, why), 0.0
        tracked = self._tracked.get(pid) or _Tracked(pid, born)
        stopped_ms = 0.0
        if tracked.protection is None or tracked.untracked().size_bytes >= WORTH_A_STOP_BYTES:
            try:
                stopped_ms = self._attach(tracked)
            except RemoteError as error:
                self._whole[pid] = str(error)
                if tracked.protection is None:
                    return present_pages(pid), 0.0
        pages = tracked.written(clear=True) | tracked.untracked()
        why = obstacle(pid, [])
        if why:
            # It may have been there when the marks were set.
            return self._give_up(pid, why), stopped_ms
        return pages, stopped_ms

    def _attach(self, tracked: _Tracked) -> float:
        if not self._cgroup.thawed:
            raise RemoteError("the container is frozen by someone else")
        stopped_ms = tracked.attach()
        self._tracked[tracked.pid] = tracked
        self._whole.pop(tracked.pid, None)
        return stopped_ms

    def _final(self, pid: int) -> RangeSet:
        """In the frozen container nothing is changed any more, only looked at."""
        tracked = self._tracked.get(pid)
        if tracked is None or tracked.born != start_time(pid):
            self._whole.setdefault(pid, "it is newer than the last round before the freeze")
            return present_pages(pid)
        return tracked.written(clear=False) | tracked.untracked()

    def _give_up(self, pid: int, why: str) -> RangeSet:
        self._whole[pid] = why
        self._drop(pid)
        return present_pages(pid)

    def _drop(self, pid: int) -> None:
        tracked = self._tracked.pop(pid, None)
        if tracked is not None:
            tracked.close()

    def _forget(self, pids: set[int]) -> None:
        for pid in set(self._tracked) - pids:
            self._drop(pid)
        self._whole = {pid: why for pid, why in self._whole.items() if pid in pids}


def obstacle(pid: int, others: list[int]) -> str:
    """Why marks would not tell all that is written to *pid*'s memory, as a clause; empty if they do.

    :param others: processes that may share its memory.
    :raises OSError: it is gone.
    """
    tracer, pinned = status(pid, "TracerPid"), status(pid, "VmPin")
    if tracer not in ("", "0"):
        return f"process {tracer} traces it"
    if pinned and not pinned.startswith("0 "):
        return f"{pinned} of its memory are pinned for a device"
    if any(area.path.startswith("/[aio]") for area in areas(pid)):
        return "it uses asynchronous input/output, which writes memory unseen"
    for other in others:
        if other != pid and _shares_memory(pid, other):
            return f"it shares its memory with process {other}"
    return _descriptor_obstacle(pid)


def _descriptor_obstacle(pid: int) -> str:
    directory = f"/proc/{pid}/fd"
    for number in os.listdir(directory):
        try:
            link = os.readlink(f"{directory}/{number}")
            if link in BEHIND_THE_MARKS:
                return BEHIND_THE_MARKS[link]
            if link.startswith("/") and _flags(pid, number) & os.O_DIRECT:
                return f"it reads {link} directly (O_DIRECT), which writes memory unseen"
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ""


def _flags(pid: int, number: str) -> int:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("flags:"):
                return int(line.split()[1], 8)
    return 0


def _shares_memory(pid: int, other: int) -> bool:
    try:
        return share_memory(pid, other)
    except ProcessLookupError:
        return False
