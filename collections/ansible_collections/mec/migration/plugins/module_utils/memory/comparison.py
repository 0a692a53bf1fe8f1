# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two pieces of this process's memory agree."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.libc import libc
from ..kernel.process_memory import PAGE_BYTES

# Of one comparison. What differs inside is compared page by page.
PROBE_BYTES = 64 << 10


def compared(first: int, second: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """Both pieces cut at pages, in order.

    :param first: address of one piece; *second*: of the other; *size*: of both in bytes, whole pages.
    :returns: of each part where it begins and ends, counted from their beginning, and whether it agrees.
    """
    for at in range(0, size, PROBE_BYTES):
        end = min(at + PROBE_BYTES, size)
        if libc.memcmp(first + at, second + at, end - at) == 0:
            yield at, end, True
        else:
            for page in range(at, end, PAGE_BYTES):
                same = libc.memcmp(first + page, second + page, PAGE_BYTES) == 0
                yield page, page + PAGE_BYTES, same
