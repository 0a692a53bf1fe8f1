# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that the kernel answers by the namespaces of the thread that asks.

Only the thread that calls setns(2) or unshare(2) changes its namespace. So each question has a thread of its
own, which ends with the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from ..base.threads import InThread
from .libc import call

# include/uapi/linux/sched.h, by the names in /proc/PID/ns.
KINDS = {"ipc": 0x08000000, "net": 0x40000000}
Value = TypeVar("Value")


def asked_in(pid: int, kind: str, question: Callable[[], Value]) -> Value:
    """What *question* answers in a namespace of a process.

    :param kind: of the namespace, one of :data:`KINDS`.
    :raises OSError: the process is gone, or the kernel lets nobody in. What *question* raises, too.
    """

    def ask() -> Value:
        namespace = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", namespace, KINDS[kind])
        finally:
            os.close(namespace)
        return question()

    return InThread(ask).result()


def asked_in_new(kind: str, question: Callable[[], Value]) -> Value:
    """What *question* answers in a new namespace.

    :param kind: of the namespace, one of :data:`KINDS`.
    :raises OSError: the kernel makes none. What *question* raises, too.
    """

    def ask() -> Value:
        call("unshare", KINDS[kind])
        return question()

    return InThread(ask).result()
