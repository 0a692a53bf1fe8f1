# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that processes write through their memory."""

from __future__ import annotations

import os
from collections.abc import Iterable


def shared_writable_files(pids: Iterable[int], proc: str = "/proc") -> set[str]:
    """Files that processes have mapped shared and writable, as their container sees them.

    A store through such a mapping changes the file without changing its times until the page is
    written back (proc_pid_maps(5) for the format).
    """
    paths: set[str] = set()
    for pid in pids:
        try:
            with open(f"{proc}/{pid}/maps", "rb") as maps:
                for line in maps:
                    fields = line.rstrip(b"\n").split(None, 5)
                    if len(fields) < 6 or fields[1][1:2] != b"w" or fields[1][3:4] != b"s":
                        continue
                    if fields[5].startswith(b"/") and not fields[5].endswith(b" (deleted)"):
                        paths.add(os.fsdecode(fields[5].replace(b"\\012", b"\n")))
        except OSError:
            continue  # the process is gone
    return paths
