# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who processes are to the kernel, and how one is started that may read another user's limits.

prlimit(2) takes CAP_SYS_RESOURCE, or a caller whose real user and group are all those of the process that
is asked about (``check_prlimit_permission``, kernel/sys.c). Containers and restricted machines often lack
that capability. The effective user, which all else goes by, stays root.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from ..base.threads import InThread
from .calls import syscall
from .libc import call
from .processes import status

# linux/prctl.h, linux/securebits.h
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
SECBIT_NO_SETUID_FIXUP = 1 << 2

Value = TypeVar("Value")


class Identity(NamedTuple):
    user: int
    group: int


def limits_readable(pid: int) -> bool:
    """CRIU asks each process for its limits with prlimit(2), from outside."""
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU)
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def identity_of(pid: int) -> Identity | None:
    """Whom it runs as; None if its real, effective and saved ids are not the same, or it is gone."""
    users, groups = (set(status(pid, name).split()[:3]) for name in ("Uid", "Gid"))
    if len(users) != 1 or len(groups) != 1:
        return None
    return Identity(int(users.pop()), int(groups.pop()))


def common_identity(pids: Iterable[int]) -> Identity | None:
    """Whom all of them run as; None if that differs."""
    found = {identity_of(pid) for pid in pids if status(pid, "Uid")}
    return found.pop() if len(found) == 1 else None


def needed_identity(pids: Iterable[int]) -> Identity | None:
    """As whom CRIU must be started, to read their limits; None if it reads them as root, or never can."""
    every = list(pids)
    return None if all(limits_readable(pid) for pid in every) else common_identity(every)


def as_real(identity: Identity | None, start: Callable[[], Value]) -> Value:
    """Call *start* with the real user and group of *identity*, which what it starts inherits.

    In a thread of its own; with None, *start* is called as it is.

    :raises OSError: the kernel does not allow it.
    """
    if identity is None:
        return start()

    def apart() -> Value:
        # access(2) goes by the real user, and takes its capabilities away unless this is set.
        bits = call("prctl", PR_GET_SECUREBITS)
        call("prctl", PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP)
        # Unlike those of the C library they change one thread only.
        syscall("setresgid", identity.group, -1, -1)
        syscall("setresuid", identity.user, -1, -1)
        return start()

    return InThread(apart).result()
