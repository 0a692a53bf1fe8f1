# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's cgroup: freezing it, thawing it, what runs in it. cgroup v1 and v2."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import NamedTuple

from ..base.crash_points import around
from ..base.errors import MigrationError
from .ptrace import sharing_memory
from .stopped import put_stops_back

POLL_S = 0.0005
# From one attempt to the next, where the freeze came between a vfork and its exec.
VFORK_PAUSES_S = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.02, 0.03, 0.05, 0.1)
CGROUP_ROOT = "/sys/fs/cgroup"


class Cgroup:
    """The freezer of the cgroup that a container's *first* process is in."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._dir, self._v2 = _freezer_dir(first)
        self._file = os.path.join(self._dir, "cgroup.freeze" if self._v2 else "freezer.state")

    @property
    def path(self) -> str:
        """The directory below /sys/fs/cgroup, as CRIU's ``freeze_cgroup`` wants it."""
        return self._dir

    @property
    def frozen(self) -> bool:
        if self._v2:
            return "frozen 1" in _read(os.path.join(self._dir, "cgroup.events"))
        return _read(self._file) == "FROZEN"

    @property
    def thawed(self) -> bool:
        """Neither frozen nor about to be."""
        if self._v2:
            return not self.frozen and _read(self._file) == "0"
        return _read(self._file) == "THAWED"

    @around("cgroup.freeze", MigrationError)
    def freeze(self, timeout_s: float = 5.0) -> float:
        """Stop every process of the container; returns how long that took, in ms.

        Not where one of them waits for a child that it has vforked: nobody could seize it, since the child
        cannot go on. Such a wait is over in a moment, so it is thawed and frozen again.

        :raises MigrationError: not frozen in time (a task in uninterruptible sleep), or always with such a
            wait; thawed again.
        """
        start = time.monotonic()
        for pause_s in VFORK_PAUSES_S:
            self._freeze_once(timeout_s)
            waiting = sharing_memory(self.pids())
            if not waiting:
                return (time.monotonic() - start) * 1000
            self.thaw()
            time.sleep(pause_s)
        child, parent = next(iter(waiting.items()))
        raise MigrationError(
            f"process {parent} has the same memory as its child {child} (vfork, or clone with CLONE_VM), "
            f"also at the {len(VFORK_PAUSES_S)}th attempt to freeze the container. CRIU cannot dump that. It "
            "runs on; try again when that child has executed its program",
            phase="handover",
            container_state="running",
            rolled_back=True,
        )

    def _freeze_once(self, timeout_s: float) -> None:
        start = time.monotonic()
        self._write("1" if self._v2 else "FROZEN")
        while not self.frozen:
            if time.monotonic() - start > timeout_s:
                self.thaw()
                raise MigrationError(
                    f"the container could not be frozen in {timeout_s:g} s: {self._file} does not "
                    "settle, so one of its tasks is in uninterruptible sleep. It runs on; try again "
                    "when its input/output (network file system?) is healthy",
                    phase="handover",
                    container_state="running",
                    rolled_back=True,
                )
            time.sleep(POLL_S)
            if not self._v2:
                # Version 1 asks each task once; one that was about to wait for its vforked child misses it.
                self._write("FROZEN")

    def prepare_seizing(self) -> None:
        """While it is frozen: let CRIU seize stopped processes, too. Version 2 needs nothing for that."""
        if not self._v2:
            put_stops_back(self.pids())

    @around("cgroup.thaw", MigrationError)
    def thaw(self, timeout_s: float = 5.0) -> None:
        """Let every process of the container go on, and see that the freezer says so.

        :raises MigrationError: it does not, or the container has ended.
        """
        try:
            self._thaw(timeout_s)
        except (MigrationError, OSError):
            if os.path.exists(self._file):
                raise
            # Also in the midst of it.
            raise MigrationError(
                f"the container has ended: {self._file} is gone", phase="handover", container_state="exited"
            ) from None

    def _thaw(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        self._write("0" if self._v2 else "THAWED")
        while not self.thawed:
            if time.monotonic() > end:
                raise MigrationError(
                    f"the container is not thawed after {timeout_s:g} s: {self._file} says "
                    f"{_read(self._file)}. Something freezes it again, or a cgroup above it is frozen",
                    phase="handover",
                    container_state="frozen",
                )
            time.sleep(POLL_S)
            self._write("0" if self._v2 else "THAWED")

    def pids(self) -> list[int]:
        """Every process in the container, those of nested cgroups included, in ascending order."""
        found: list[int] = []
        for path, _dirs, _files in os.walk(self._dir):
            try:
                found += [int(line) for line in _read(os.path.join(path, "cgroup.procs")).split()]
            except FileNotFoundError:
                continue
        return sorted(found)

    @around("cgroup.kill", MigrationError)
    def kill(self, timeout_s: float = 10.0) -> None:
        """End a frozen container without letting it execute one more instruction.

        SIGKILL is pending before the thaw, and a thawed task handles signals before it returns to
        its program.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if not pids:
                return
            self._write("0" if self._v2 else "THAWED")
            time.sleep(0.005)
        raise MigrationError(
            f"processes {self.pids()} of the frozen container do not end after SIGKILL",
            phase="commit",
        )

    def _write(self, value: str) -> None:
        try:
            with open(self._file, "r+", encoding="ascii") as state:
                state.write(value)
        except OSError as error:
            raise MigrationError(
                f"cannot write {value} to {self._file}: {error}", phase="handover"
            ) from error


def container_cgroups(container_id: str, root: str = CGROUP_ROOT) -> list[str]:
    """The directories of a container's cgroup in every hierarchy, whatever their parent is.

    Docker calls them ``<id>``, or ``docker-<id>.scope`` where systemd manages them.
    """
    names = (container_id, f"docker-{container_id}.scope")
    found = []
    for path, directories, _files in os.walk(root):
        here = [name for name in directories if name in names]
        found += [os.path.join(path, name) for name in here]
        directories[:] = [name for name in directories if name not in names]
    return sorted(found)


def container_processes(container_id: str, root: str = CGROUP_ROOT) -> list[int]:
    """Every process in the container's cgroup or below it, whoever put it there, Docker knowing or not."""
    found: set[int] = set()
    for directory in container_cgroups(container_id, root):
        for path, _directories, _files in os.walk(directory):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in _read(os.path.join(path, "cgroup.procs")).split())
    return sorted(found)


@around("cgroup.end", MigrationError)
def end_container(container_id: str, timeout_s: float = 10.0, root: str = CGROUP_ROOT) -> None:
    """Kill until the container's cgroup is seen empty; frozen processes execute nothing more.

    :raises MigrationError: processes are left.
    """
    end = time.monotonic() + timeout_s
    while True:
        pids = container_processes(container_id, root)
        if not pids:
            return
        if time.monotonic() > end:
            raise MigrationError(
                f"processes {pids} of container {container_id[:12]} do not end after SIGKILL",
                phase="cleanup",
                container_state="running",
            )
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The signal is pending before the thaw, and a thawed task handles it before it returns to its
        # program.
        for directory in container_cgroups(container_id, root):
            for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                with contextlib.suppress(OSError), open(os.path.join(directory, name), "r+") as state:
                    state.write(word)
        time.sleep(0.005)


class Membership(NamedTuple):
    """A line of /proc/PID/cgroup (cgroups(7)).

    :ivar controllers: of the hierarchy, with commas; empty for version 2.
    :ivar path: of the cgroup in that hierarchy; begins with a slash.
    """

    controllers: str
    path: str


def memberships(pid: int, proc: str = "/proc") -> list[Membership]:
    """The cgroups that a process is in.

    :raises OSError: it is gone.
    """
    with open(f"{proc}/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        return [Membership(*line.rstrip("\n").split(":", 2)[1:]) for line in lines]


def tasks_left(pid: int) -> int | None:
    """How many more processes and threads a process's cgroup may have; None if it has no limit."""
    with contextlib.suppress(OSError):
        for controllers, path in memberships(pid):
            if "pids" in controllers.split(",") or not controllers:
                directory = CGROUP_ROOT + ("/pids" if controllers else "") + path
                with contextlib.suppress(OSError):
                    most = _read(f"{directory}/pids.max")
                    return None if most == "max" else int(most) - int(_read(f"{directory}/pids.current"))
    return None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as lines:
        return lines.read().strip()


def _freezer_dir(pid: int) -> tuple[str, bool]:
    """The freezer's directory of *pid*, and whether it is a cgroup v2 one.

    :raises MigrationError: the process is gone or the host has no freezer.
    """
    unified = ""
    try:
        for controllers, path in memberships(pid):
            if path == "/":
                # All of the host is in it. A process whose first thread has ended is not in another one.
                continue
            if "freezer" in controllers.split(","):
                found = f"{CGROUP_ROOT}/freezer{path}"
                if os.path.exists(os.path.join(found, "freezer.state")):
                    return found, False
            if not controllers:
                unified = path
    except (FileNotFoundError, ProcessLookupError):
        raise MigrationError(f"process {pid} is gone", container_state="exited") from None
    found = CGROUP_ROOT + unified
    if unified and os.path.exists(os.path.join(found, "cgroup.freeze")):
        return found, True
    raise MigrationError(
        f"process {pid} is in no cgroup that can be frozen: neither {found}/cgroup.freeze nor a v1 freezer "
        f"hierarchy at {CGROUP_ROOT}/freezer has one of its own; or its first thread has ended"
    )
