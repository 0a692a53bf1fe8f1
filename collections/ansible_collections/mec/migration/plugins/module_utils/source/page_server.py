# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-copy on the source: the frozen service's memory, read page by page as the target asks for it.

The connection is made before the freeze. When it breaks later it is made anew, again and again: the service
runs on the target by then, and waits there for what only this host has.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ..base.errors import MigrationError, TransferError
from ..base.page_ranges import PAGE_BYTES, RangeSet, unpack_runs
from ..base.priority import Hurry, no_hurry
from ..kernel.process_memory import anonymous_ranges, read_pages
from ..kernel.processes import start_time
from ..transport.wire import Channel, Message

# The target waits as long for a page, see `memory/lazy_restore.py`.
PATIENCE_S = 300.0
# Its host answers, and nobody listens there: the agent has ended, unless a firewall says so for a while.
REFUSED_S = 20.0
RETRY_S = 0.5
HEARD_S = 10.0
MOST_BYTES = 1 << 20
WAITED_FOR_BYTES = 64 << 10
# Whether pages may be left to be fetched once the service runs on the target.
NEVER, WHEN_NEEDED, ALWAYS = "never", "when_needed", "always"


class LeftPages(NamedTuple):
    """What of a process was left to be fetched.

    :ivar born: its :func:`start_time`, for another process may get its number.
    """

    pid: int
    born: str
    pages: RangeSet


class PageServer:
    """Answers ``pages.fetch`` in a thread of its own.

    :param connect: makes a connection to the target's agent.
    :ivar error: why it was given up; empty if it was not.
    """

    def __init__(self, connect: Callable[[], Channel]) -> None:
        self._connect = connect
        self._left: dict[int, LeftPages] = {}
        self._memories: dict[int, _Memory] = {}
        self._channel: Channel | None = None
        self._stopped = False
        self._over = threading.Event()
        self.error = ""
        self._sent_before = 0

    @property
    def used(self) -> bool:
        """Whether something was left to be fetched."""
        return bool(self._left)

    @property
    def left_bytes(self) -> int:
        return sum(left.pages.size_bytes for left in self._left.values())

    @property
    def sent_bytes(self) -> int:
        """On the wire, until now."""
        channel = self._channel
        return self._sent_before + (channel.sent_bytes if channel is not None else 0)

    def start(self) -> None:
        """Before the freeze.

        :raises MigrationError: no connection.
        """
        self._channel = self._offer()
        threading.Thread(target=self._run, daemon=True).start()

    def serve(self, left: dict[int, LeftPages]) -> None:
        """The service is frozen: what the target may fetch, by number of the process in the container."""
        self._left = left

    def wait(self, timeout_s: float) -> bool:
        """Whether the target has fetched all, or that was given up, within *timeout_s*."""
        return self._over.wait(timeout_s)

    def limit(self, mbit: float) -> None:
        """From another thread: send no faster from now on."""
        channel = self._channel
        if channel is not None:
            # One that is just being closed needs no limit.
            with contextlib.suppress(OSError):
                channel.limit(mbit)

    def stop(self) -> None:
        """Nobody needs the pages from here any more."""
        self._stopped = True
        channel = self._channel
        if channel is not None:
            channel.interrupt()

    def _offer(self) -> Channel:
        channel = self._connect()
        # Requests come whenever the service touches a page, or none for long before it runs.
        channel.set_timeout(None)
        channel.send("pages.offer")
        return channel

    def _run(self) -> None:
        # The thread that made this one hurries, as the service is about to be frozen.
        no_hurry()
        try:
            self._serve()
        except Exception as error:
            self.error = error.message if isinstance(error, MigrationError) else repr(error)
        finally:
            self._close()
            for memory in self._memories.values():
                memory.close()
            self._over.set()

    def _serve(self) -> None:
        """Until the target has all.

        :raises MigrationError: it cannot be reached any more, or asked for what is not here.
        """
        broken = refused = 0.0
        while not self._stopped:
            channel = self._channel
            try:
                if channel is None:
                    channel = self._channel = self._offer()
                broken = 0.0
                self._answer(channel)
                return
            except (MigrationError, OSError) as error:
                if channel is not None and not isinstance(error, (TransferError, OSError)):
                    raise
                # Also what kept the connection from being made (a full disk) may be over soon.
                self._close()
                now = time.monotonic()
                broken = broken or now
                refused = (refused or now) if isinstance(error.__cause__, ConnectionRefusedError) else 0.0
                if now - broken > PATIENCE_S or (refused and now - refused > REFUSED_S):
                    raise
                time.sleep(RETRY_S)

    def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._sent_before += channel.sent_bytes
            channel.close()

    def _answer(self, channel: Channel) -> None:
        """Until the target has all.

        :raises TransferError: the connection broke.
        :raises MigrationError: what was asked for is not here; the target was told.
        """
        hurry = Hurry()
        while True:
            message = channel.receive()
            if message is None:
                raise TransferError("the target closed the connection over which it fetches pages")
            if message.kind == "pages.done":
                channel.send("ok")
                return
            if message.kind != "pages.fetch":
                raise TransferError(f"the target asked for {message.kind} where it fetches pages")
            try:
                content = self._read(message)
                # The service waits for little at a time. What it does not wait for is more, unless the link
                # is slow.
                hurry.set(len(content) <= WAITED_FOR_BYTES)
            except MigrationError as error:
                channel.send("error", message=error.message, phase="handover")
                _wait_until_heard(channel)
                raise
            channel.send("ok", content)

    def _read(self, message: Message) -> bytes:
        process = message.integer("process", least=1)
        try:
            wanted = RangeSet.ordered((run.start, run.end) for run in unpack_runs(message.integers("runs")))
        except ValueError as error:
            raise MigrationError(f"the target asked for pages of process {process}: {error}") from error
        left = self._left.get(process)
        if left is None or wanted - left.pages or wanted.size_bytes > MOST_BYTES:
            raise MigrationError(f"the target asked for pages of process {process} that were not left to it")
        memory = self._memories.get(process)
        if memory is None:
            memory = self._memories[process] = _Memory(left)
        return memory.content(wanted)


def _wait_until_heard(channel: Channel) -> None:
    """A connection that is closed at once may take with it what the target has not read yet."""
    channel.set_timeout(HEARD_S)
    with contextlib.suppress(MigrationError):
        while (message := channel.receive()) is not None and message.kind != "error":
            pass


class _Memory:
    """A frozen process's memory, opened once: whoever gets its number later is not meant by it.

    :raises MigrationError: the process is gone.
    """

    def __init__(self, left: LeftPages) -> None:
        self._left = left
        try:
            self._fd = os.open(f"/proc/{left.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise self._gone() from error
        if start_time(left.pid) != left.born:
            os.close(self._fd)
            raise self._gone()

    def close(self) -> None:
        os.close(self._fd)

    def content(self, wanted: RangeSet) -> bytes:
        """The content of *wanted*; zeros for pages that nobody may read (guard pages), which CRIU skips.

        :raises MigrationError: the process is gone.
        """
        content = bytearray(wanted.size_bytes)
        room = memoryview(content)
        at, complete = 0, True
        for start, end in wanted:
            complete = self._read(start, room[at : at + end - start]) and complete
            at += end - start
        # After reading: a process that is gone has no memory, and would have given zeros for all.
        if not complete and (
            wanted - anonymous_ranges(self._left.pid) or start_time(self._left.pid) != self._left.born
        ):
            raise self._gone()
        return bytes(content)

    def _read(self, start: int, room: memoryview) -> bool:
        """Fill *room* with what lies from *start* on; whether all of it could be read."""
        at, complete = 0, True
        while at < len(room):
            got = read_pages(self._fd, start + at, room[at:])
            if got is None:
                return False
            if not got:
                complete = False
            at += got or PAGE_BYTES
        return complete

    def _gone(self) -> MigrationError:
        return MigrationError(
            f"memory of process {self._left.pid} cannot be read on the source any more; somebody has ended "
            "its frozen container"
        )
