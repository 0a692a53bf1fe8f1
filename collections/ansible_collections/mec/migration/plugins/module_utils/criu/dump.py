# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU over its RPC (``criu swrk``), started before the freeze so that only the dump itself is paid in it.

runc drives CRIU the same way (``libcontainer/criu_linux.go``); the options that a container's dump
needs are taken from runc's own state file, so that ``runc restore`` finds what it expects. What runc
cannot ask for, and the reason to speak to CRIU directly: a lazy dump whose page server is a socket of
ours. CRIU then writes everything but the contents of private anonymous memory, which have been sent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator

from ..base.crash_points import around
from ..base.errors import MigrationError
from ..docker.reconnected_mounts import external_mounts, masked_files
from ..docker.runc_state import RuncState
from ..kernel.identity import Identity, as_real
from ..kernel.mptcp import tell_tcp
from ..kernel.process_memory import areas
from ..kernel.processes import start_time
from .images import decode_fields, read_dump_stats
from .log import cause_line, explain, log_tail
from .options import (
    CGROUP_MODES,
    DUMP_LOG,
    GHOST_LIMIT_BYTES,
    LOG_WARNINGS,
    NETWORK_LOCK_SKIP,
    PAGE_SERVER_CLOSE,
    Given,
    Option,
    dump_request,
    external_mount,
)
from .own_mounts import with_own_mounts
from .parent import ParentOfAll
from .program import criu_program

# Address space of a process that a lazy dump pays for: 256 MiB for this much.
LAZY_DUMP_BYTES = 64 << 30


def standard_streams(pid: int) -> list[str]:
    """What standard input, output and error were: the content of runc's ``descriptors.json``."""
    names = []
    for number in range(3):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            names.append("/dev/null")
    return names


def cgroup_mode(state: RuncState) -> str:
    """``ignore`` where the container has no cgroups below the one that Docker makes for it, else ``soft``.

    Docker sets that one up again on the target; dumping it as well reads every property of every
    controller while the service is frozen.
    """
    if "NEWCGROUP" in state.namespaces:
        return "soft"
    paths = (state.cgroup_paths or {}).values()
    nested = any(entry.is_dir() for path in paths if os.path.isdir(path) for entry in os.scandir(path))
    return "soft" if nested else "ignore"


def network_option(state: RuncState) -> list[str]:
    """For CRIU's option ``external``: the network namespace, which the target has made already.

    The key is the one that ``runc restore`` gives it (``criuNsToKey``).
    """
    if "NEWNET" not in state.namespaces:
        return []
    return [f"net[{os.stat(f'/proc/{state.pid}/ns/net').st_ino}]:extRootNetNS"]


def lazily(pids: Iterable[int]) -> bool:
    """Whether CRIU can be asked for a lazy dump of these processes.

    For one it allocates and fills 16 bytes for each page of all private mappings of a process
    (``create_page_pipe`` in criu/page-pipe.c), touched or not. A database may reserve terabytes of addresses.
    A plain dump does not do that; what it dumps of memory that the target has is left out afterwards.
    """
    return all(
        sum(area.end - area.start for area in areas(pid) if area.permissions[3] == "p") < LAZY_DUMP_BYTES
        for pid in pids
    )


class Dump:
    """One final dump of a frozen container: prepare before the freeze, :meth:`run` inside it.

    After the dump the processes are where they were: alive, and frozen by the container's cgroup.

    :param image_dir: an existing directory on tmpfs for the images.
    :param work_dir: an existing directory for the log and CRIU's statistics.
    :param external: more of what CRIU must not dump, in the form of its option ``external``.
    :param mode: what :func:`cgroup_mode` says; the restore must be told the same.
    :param parent: what claims to hold all memory, so that CRIU passes over it; None: there is nothing.
    :param lazy: what :func:`lazily` says.
    :param watched: paths in the container of what is watched and cannot be found by its handle.
    :param identity: whose CRIU must be to read the processes' limits; None: root's.
    :param mptcp: whether there are sockets of MPTCP, which CRIU is told are of TCP.
    """

    def __init__(
        self,
        state: RuncState,
        freeze_cgroup: str,
        image_dir: str,
        work_dir: str,
        external: list[str],
        mode: str,
        parent: ParentOfAll | None = None,
        *,
        lazy: bool = True,
        watched: Iterable[str] = (),
        identity: Identity | None = None,
        mptcp: bool = False,
    ) -> None:
        self._work_dir = work_dir
        criu = criu_program()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pages, their_pages = socket.socketpair()
        # The page server ends at once: the contents are sent elsewhere, and the freezer holds the tasks.
        pages.send(PAGE_SERVER_CLOSE)
        self._pages = pages
        config = os.path.join(work_dir, "criu.conf")
        with open(config, "w", encoding="utf-8", errors="surrogateescape") as out:
            if lazy:
                out.write(f"ps-socket {their_pages.fileno()}\n")
            out.writelines(f'irmap-scan-path "{path}"\n' for path in watched)
            # What it finds no path for it would else look for by the handle: on the target, another file.
            out.write("force-irmap\n")
        # CRIU opens these through /proc/<our pid>/fd when the request comes.
        image_fd = os.open(image_dir, os.O_RDONLY | os.O_DIRECTORY)
        work_fd = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY)
        self._directories: tuple[int, ...] = (image_fd, work_fd)
        self._request = dump_request(
            [
                *_dump_options(state, freeze_cgroup, image_fd, work_fd, config, mode),
                *(parent.options if parent is not None else ()),
                (Option.LAZY_PAGES, lazy),
                *((Option.EXTERNAL, option) for option in external),
            ]
        )

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [criu, "swrk", str(theirs.fileno())],
                pass_fds=[theirs.fileno(), their_pages.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A signal to our group must not end it while it holds the service's processes.
                start_new_session=True,
            )

        try:
            with around("criu.start"):
                self._process = as_real(
                    identity, lambda: with_own_mounts(start) if parent is None else parent.start(start)
                )
        except OSError as error:
            raise MigrationError(f"cannot start {criu}: {error}; install criu 4.2 or later") from error
        finally:
            theirs.close()
            their_pages.close()
        self._started = start_time(self._process.pid)
        self._link = -1
        if mptcp:
            # Without it CRIU names the socket that it cannot dump.
            with contextlib.suppress(OSError):
                self._link = tell_tcp(self._process.pid)

    def run(self, timeout_s: float = 60.0) -> dict[str, int]:
        """Dump; returns CRIU's statistics.

        :raises MigrationError: CRIU refused or failed; the processes are as they were.
        """
        start = time.monotonic()
        self._socket.settimeout(timeout_s)
        try:
            with around("criu.dump"):
                self._socket.send(self._request)
                answer = dict(decode_fields(self._socket.recv(1 << 16)))
        except (OSError, ValueError) as error:
            raise self._failure(f"CRIU gave no answer: {error}") from error
        if not answer.get(2):
            raise self._failure("CRIU refused")
        stats = read_dump_stats(self._work_dir)
        stats["dump_time_us"] = int((time.monotonic() - start) * 1e6)
        return stats

    def outlive(self, timeout_s: float = 60.0) -> None:
        """In a fork, after the death of the process that dumps: wait until CRIU has let go of the tasks.

        It freezes again what it found frozen, so a thaw before that would not last.
        """
        self._socket.close()
        self._pages.close()
        end = time.monotonic() + timeout_s
        while start_time(self._process.pid) == self._started:
            if time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGKILL)
            time.sleep(0.005)

    def close(self) -> None:
        """End the CRIU process, which holds no task afterwards. A second call does nothing."""
        self._socket.close()
        self._pages.close()
        for descriptor in (*self._directories, *([self._link] if self._link >= 0 else [])):
            os.close(descriptor)
        self._directories, self._link = (), -1
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _failure(self, reason: str) -> MigrationError:
        tail = log_tail(os.path.join(self._work_dir, DUMP_LOG))
        line = cause_line(tail) or "no log"
        return MigrationError(
            f"the final dump failed: {reason} ({line}). {explain(tail)}", phase="handover", log_tail=tail
        )


def _dump_options(
    state: RuncState, freeze_cgroup: str, image_fd: int, work_fd: int, config: str, mode: str
) -> Iterator[Given]:
    yield Option.IMAGES_DIR_FD, image_fd
    yield Option.PID, state.pid
    yield Option.LEAVE_RUNNING, True
    yield Option.FILE_LOCKS, True
    yield Option.LOG_LEVEL, LOG_WARNINGS
    yield Option.LOG_FILE, DUMP_LOG
    yield Option.ROOT, state.config["rootfs"]
    yield Option.WORK_DIR_FD, work_fd
    yield Option.LINK_REMAP, True
    yield Option.MANAGE_CGROUPS_MODE, CGROUP_MODES[mode]
    yield Option.GHOST_LIMIT, GHOST_LIMIT_BYTES
    yield Option.FREEZE_CGROUP, freeze_cgroup
    # Half-open connections are opened anew by their clients.
    yield Option.TCP_SKIP_IN_FLIGHT, True
    yield Option.ORPHAN_PTS_MASTER, True
    yield Option.CONFIG_FILE, config
    yield Option.TCP_CLOSE, True
    yield Option.NETWORK_LOCK, NETWORK_LOCK_SKIP
    for point in external_mounts(state):
        yield Option.EXT_MNT, external_mount(point, point)
    for path in masked_files(state):
        yield Option.EXT_MNT, external_mount(path, "/dev/null")
    for option in network_option(state):
        yield Option.EXTERNAL, option
