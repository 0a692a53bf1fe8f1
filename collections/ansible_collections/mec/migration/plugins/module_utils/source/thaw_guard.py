# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside the process that freezes a service: a child that thaws it should that process die."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from ..base.errors import MigrationError
from ..criu.dump import Dump
from ..kernel.cgroup import Cgroup


class ThawGuard:
    """Thaws the container if this process dies before the end-of-images mark.

    The child is forked before anything is changed and waits for our end on a pipe. It holds what we held, the
    migration's lock too, so that nobody begins another one before it is done.

    :param roll_back: what is left to do once the service runs again.
    """

    def __init__(self, cgroup: Cgroup, dump: Dump, roll_back: Callable[[], None]) -> None:
        reader, self._writer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 0
            try:
                os.close(self._writer)
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if not os.read(reader, 1):
                    dump.outlive()
                    _thaw(cgroup)
                    roll_back()
            except BaseException:  # the child must never return into its parent's code
                code = 1
            finally:
                os._exit(code)
        os.close(reader)

    def release(self) -> None:
        """From here on the container is not thawed by the child.

        :raises OSError: the child is dead already.
        """
        if self._writer >= 0:
            writer, self._writer = self._writer, -1
            try:
                os.write(writer, b"r")
            finally:
                os.close(writer)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self._child, 0)


def _thaw(cgroup: Cgroup) -> None:
    """One that has ended needs no thaw, but its restart policy.

    :raises MigrationError: it is still frozen.
    """
    try:
        cgroup.thaw()
    except MigrationError as error:
        if error.container_state != "exited":
            raise
