# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's table of mounts."""

from __future__ import annotations

import os
from typing import NamedTuple

MAX_LINKS = 255


class Mount(NamedTuple):
    """One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).

    :ivar number: what ``mnt_id`` in /proc/PID/fdinfo refers to.
    """

    device: str
    root: str
    point: str
    propagation: list[str]
    kind: str
    source: str
    super_options: str
    number: int = 0


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
                    int(words[0]),
                )
            )
    return found


def upper_dir(mount: Mount) -> str:
    """The directory that an overlay mount writes to, empty if it is no overlay or read-only.

    The kernel makes commas in a value octal (fs/seq_file.c: seq_show_option; overlayfs escapes them before
    with a backslash).
    """
    if mount.kind == "overlay":
        for option in mount.super_options.split(","):
            if option.startswith("upperdir="):
                return unescape(option[len("upperdir=") :]).replace("\\054", ",").replace("\\,", ",")
    return ""


def root_upper_dir(pid: int) -> str:
    """The directory that the root file system of *pid* writes to, empty if that is no overlay."""
    upper = ""
    for mount in mounts(pid):
        # The last of several mounts on one point is the one that is seen.
        if mount.point == "/":
            upper = upper_dir(mount)
    return upper


def upper_dirs() -> set[str]:
    """The directories that the overlays of this mount namespace write to."""
    return {upper for upper in map(upper_dir, mounts()) if upper}


def is_below(path: str, point: str) -> bool:
    """Whether *path* is *point* itself, which may be a single file that is mounted, or lies below it."""
    return path == point or path.startswith(f"{point.rstrip('/')}/")


def unescape(text: str) -> str:
    """A field of the table as it was before the kernel made white space and backslashes octal."""
    for octal, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, plain)
    return text


def inside_root(root: str, path: str) -> str:
    """Where *path* leads for a process whose root directory is *root*; begins with a slash.

    The rules are those of runc's ``SecureJoin``: a link cannot lead out of *root*, and what does not exist
    is taken as it is written. *path* may be given with *root* before it, as runc has it in its state.
    """
    if path == root or path.startswith(root + "/"):
        path = path[len(root) :]
    resolved, left, links = "/", path, 0
    while left:
        name, _slash, left = left.partition("/")
        if name in ("", "."):
            continue
        if name == "..":
            resolved = os.path.dirname(resolved)
            continue
        below = os.path.join(resolved, name)
        try:
            link = os.readlink(root + below)
        except OSError:
            resolved = below
            continue
        links += 1
        if links > MAX_LINKS:
            return below
        if link.startswith("/"):
            resolved = "/"
        left = f"{link}/{left}"
    return resolved
