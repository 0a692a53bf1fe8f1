# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of segments of shared memory."""

from __future__ import annotations

# Above all inode numbers of shared memory.
SYSTEM_V = 1 << 40


def segment_number(shmid: int, *, system_v: bool = False) -> int:
    """How a segment of shared memory is known beside processes, whose numbers are positive.

    :param shmid: CRIU's name for it: its inode number or, where shmget(2) made it, its identifier there.
    """
    return -(shmid + (SYSTEM_V if system_v else 0))
