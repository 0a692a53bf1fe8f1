# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's table of mounts."""

from __future__ import annotations

from typing import NamedTuple


class Mount(NamedTuple):
    """One line of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

    device: str
    root: str
    point: str
    propagation: list[str]
    kind: str
    source: str
    super_options: str


def mounts(pid: int | str = "self") -> list[Mount]:
    """What is mounted in the mount namespace of *pid*, in the kernel's order."""
    found = []
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            # The source may be empty.
            words = line.rstrip("\n").split(" ")
            dash = words.index("-")
            found.append(
                Mount(
                    words[2],
                    unescape(words[3]),
                    unescape(words[4]),
                    words[6:dash],
                    words[dash + 1],
                    unescape(words[dash + 2]),
                    words[dash + 3],
                )
            )
    return found


def unescape(text: str) -> str:
    """A field of the table as it was before the kernel made white space and backslashes octal."""
    for octal, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, plain)
    return text
