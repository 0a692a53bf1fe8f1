# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a thread may hurry while a service is frozen."""

from __future__ import annotations

import contextlib
import os

# Before what else a busy host does, behind what the kernel does for itself.
HURRIED_NICE = -15


_usual_nice = os.getpriority(os.PRIO_PROCESS, 0)


def hurry() -> None:
    """Let this thread, and what it starts, run before others: a service is frozen meanwhile."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, HURRIED_NICE)


def no_hurry() -> None:
    """Let this thread no longer run before others, the service that goes on among them."""
    os.setpriority(os.PRIO_PROCESS, 0, _usual_nice)


class Hurry:
    """Of a thread that hurries only while a service waits for it.

    On a busy host it would wait longer for a processor than a page for the link.
    """

    def __init__(self, hurried: bool = False) -> None:
        self._hurried = hurried

    def set(self, hurried: bool) -> None:
        if hurried is not self._hurried:
            self._hurried = hurried
            (hurry if hurried else no_hurry)()
