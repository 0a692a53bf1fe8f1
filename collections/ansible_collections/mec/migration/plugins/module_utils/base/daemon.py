# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forks that outlive the module they come from."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable


def leave_session() -> None:
    """Go on, as the same process, without a terminal or files of the parent's that someone waits for."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)


def detach_process() -> None:
    """Make this fork a daemon, in one more process, which never gets a terminal again."""
    leave_session()
    if os.fork():
        os._exit(0)


def allow_descriptors() -> None:
    """As many as may be: an agent needs one for each process of its service, which may have thousands."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def fork_off(serve: Callable[[], None], leave: Callable[[], None]) -> None:
    """Go on in a process of its own: the caller returns, the fork serves and never does.

    :param leave: what the caller gives up, because the fork has it now.
    """
    if os.fork():
        leave()
        return
    code = 1
    try:
        detach_process()
        allow_descriptors()
        serve()
        code = 0
    finally:
        os._exit(code)
