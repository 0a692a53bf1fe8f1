# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where processes have files open whose name was removed while another hard link to them stays."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from .processes import descriptors

# What /proc adds to the name of such a file, and to that of one without any link.
DELETED = " (deleted)"


def removed_on(pids: Iterable[int]) -> set[str]:
    """The devices of such files, ``major:minor`` as in the table of mounts."""
    found = set()
    for pid in pids:
        for number, link in descriptors(pid):
            if link.endswith(DELETED):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    if stat.S_ISREG(status.st_mode) and status.st_nlink:
                        found.add(f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}")
    return found
