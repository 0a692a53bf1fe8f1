# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever fills memory lazily must not die and leave a service that reads zeros where it had content."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Callable


class KillGuard:
    """A child that holds the descriptors beside us and ends the service if we die with work left.

    Before :meth:`begin` nothing runs, and runc is left to put away what it has made.

    :param kill: ends every process of the restored container.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._ours, theirs = socket.socketpair()
        self._child = os.fork()
        if self._child == 0:
            code = 0
            try:
                self._ours.close()
                os.setsid()
                self._watch(theirs, kill)
            except BaseException:  # the child must never return into its parent's code
                code = 1
            finally:
                os._exit(code)
        theirs.close()

    @staticmethod
    def _watch(connection: socket.socket, kill: Callable[[], None]) -> None:
        begun = False
        while True:
            word, ancillary, _flags, _sender = connection.recvmsg(1, socket.CMSG_SPACE(4))
            if word == b"b":
                begun = True
            elif word == b"h":
                begun = True
                # Never closed before the end: a closed descriptor turns missing pages into zeros.
                if not ancillary:
                    kill()
                    return
            elif word == b"r":
                return
            else:
                if begun or word == b"k":
                    kill()
                return

    def begin(self) -> None:
        """CRIU restores from here on.

        :raises OSError: the guard is gone.
        """
        self._ours.send(b"b")

    def hold(self, descriptor: int) -> None:
        rights = array.array("i", [descriptor])
        self._ours.sendmsg([b"h"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def release(self) -> None:
        """All is in place."""
        self._end(b"r")

    def fire(self) -> None:
        """End the service."""
        self._end(b"k")

    def _end(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._ours.send(word)
        self._ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._child, 0)
