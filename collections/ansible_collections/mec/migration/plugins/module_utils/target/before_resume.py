# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something to be done when a service is restored and none of its processes goes on yet.

CRIU calls a script then (role edge_host's criu_actions), which rings by one named pipe and waits at another
one, for a second at most.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable

from ..base.threads import InThread

# Looked for by role edge_host's criu_gate.py.
BELL = "before_resume"
ANSWER = f"{BELL}.done"


class BeforeResume:
    """:param directory: of CRIU's images.
    :param act: is given the number of the container's first process; its errors do not count.

    :raises OSError: the pipes could not be made.
    """

    def __init__(self, directory: str, act: Callable[[int], object]) -> None:
        self._act = act
        # Both ends of each, so that nobody waits for another one or sees an end.
        self._bell, self._answer = (_made(os.path.join(directory, name)) for name in (BELL, ANSWER))
        self._waiting = InThread(self._wait)

    def _wait(self) -> None:
        select.select([self._bell], [], [])
        first = int(os.read(self._bell, 99) or b"0")
        if first:
            try:
                with contextlib.suppress(Exception):
                    self._act(first)
            finally:
                os.write(self._answer, b"\n")

    def close(self) -> None:
        """The restore is over, one way or another."""
        os.write(self._bell, b"0\n")
        with contextlib.suppress(ValueError):
            self._waiting.result()
        os.close(self._bell)
        os.close(self._answer)


def _made(path: str) -> int:
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)
