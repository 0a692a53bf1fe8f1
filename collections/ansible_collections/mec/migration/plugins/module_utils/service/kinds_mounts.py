# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that are mounts which the service made or took away itself, and files open on them."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.removed_files import DELETED
from .holdings import Holdings
from .kinds import KEPT, REFUSED, Found, Kind
from .kinds_files import MQUEUE_MAGIC

TEST = "tests/unit/plugins/module_utils/test_holdings_mounts.py::"
# criu/filesystems.c: what CRIU mounts anew by itself. An overlay it does not find again where its directories
# are on other mounts of the container.
RESTORED_SYSTEMS = (
    "proc",
    "sysfs",
    "devtmpfs",
    "binfmt_misc",
    "tmpfs",
    "devpts",
    "pstore",
    "mqueue",
    "securityfs",
    "fusectl",
    "debugfs",
    "tracefs",
    "cgroup",
    "cgroup2",
)


def _own_system(holdings: Holdings) -> Iterator[Found]:
    for mount in holdings.own_systems:
        if mount.kind not in RESTORED_SYSTEMS:
            yield Found(None, f"has mounted a file system of type {mount.kind} itself, at {mount.point}")


def _on_unmounted(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        # Mounts of the kernel's own are in no table either: POSIX queues, and what never had a name.
        internal = file.magic == MQUEUE_MAGIC or file.link.endswith(DELETED)
        if file.mount in holdings.unmounted and not internal:
            what = f"has {file.link} open ({file.place}) on a mount that was unmounted"
            yield Found(process, what)


def _on_hosts_mount(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.mount in holdings.of_host:
            yield Found(process, f"has {file.link} of the host open ({file.place}), not of the container")


def _on_hidden(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.mount in holdings.hidden:
            yield Found(
                process,
                f"has {file.link} open ({file.place}) on a mount at "
                f"{holdings.hidden[file.mount]}, which another mount hides",
            )


def _long_mount_line(holdings: Holdings) -> Iterator[Found]:
    for point in holdings.unreadable_mounts:
        yield Found(None, f"has a mount at {point} whose line in mountinfo is longer than 4094 bytes")


KINDS = (
    Kind(
        "own-mounts",
        "Mounts that the service made itself: tmpfs, proc and the like, bind mounts",
        KEPT,
        "/proc/PID/mountinfo",
        "CRIU makes them again",
        "",
        TEST + "test_mounts_of_its_own",
    ),
    Kind(
        "own-system",
        "A file system that the service has mounted itself and that is no tmpfs, proc or the like: overlay, "
        "FUSE, network storage, a loop device",
        REFUSED,
        "/proc/PID/mountinfo, beside the host's and the container's specification",
        "CRIU does not mount it again",
        "Let Docker mount it (a volume), or unmount it before the move",
        TEST + "test_a_file_system_of_its_own",
        _own_system,
    ),
    Kind(
        "on-unmounted",
        "A file that is open on a mount which was unmounted (`umount --lazy`)",
        REFUSED,
        "`mnt_id` in /proc/PID/fdinfo is in no table of mounts",
        "CRIU cannot tell where it is",
        "Close it before the move",
        TEST + "test_a_file_on_an_unmounted_mount",
        _on_unmounted,
    ),
    Kind(
        "on-hosts-mount",
        "A file that is open on a mount of the host, as the standard input of what `docker exec` or a health "
        "check started and left to the service (/dev/null)",
        REFUSED,
        "`mnt_id` in /proc/PID/fdinfo is in the host's table of mounts and not in the container's; looked at "
        "again a few times",
        "CRIU cannot tell where it is",
        "End that process, or have a shell in the container start it with `< /dev/null`: `docker exec` gives "
        "it the host's",
        TEST + "test_a_file_on_a_mount_of_the_host",
        _on_hosts_mount,
    ),
    Kind(
        "on-hidden",
        "A file that is open on a mount which another one is mounted over",
        REFUSED,
        "the path of the mount with that `mnt_id` leads to another mount",
        "CRIU cannot open it again below the other one",
        "Close it before the move, or unmount what hides it",
        TEST + "test_a_file_on_a_hidden_mount",
        _on_hidden,
    ),
    Kind(
        "long-mount-line",
        "A mount whose line in /proc/PID/mountinfo is longer than 4094 bytes (an image of some 69 layers)",
        REFUSED,
        "the length of the line",
        "CRIU up to 4.2 reads no longer ones (those of other containers are kept from it)",
        "Build its image with fewer layers, or with many more: Docker shortens the paths then",
        TEST + "test_a_mount_whose_line_is_too_long",
        _long_mount_line,
    ),
)
