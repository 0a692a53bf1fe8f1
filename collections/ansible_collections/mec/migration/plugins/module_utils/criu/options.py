# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for the numbers of CRIU's RPC protocol (images/rpc.proto)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Union

from .images import encode_field

REQUEST_DUMP, REQUEST_FEATURE_CHECK = 1, 9
# enum criu_cg_mode, by the names of the option --manage-cgroups
CGROUP_MODES = {"ignore": 0, "soft": 3}
LOG_WARNINGS, LOG_ALL = 2, 4
NETWORK_LOCK_SKIP = 3
# criu/page-xfer.c: struct page_server_iov {u32 cmd; u32 pages; u64 address; u64 id}, command "close".
PAGE_SERVER_CLOSE = (0x1023).to_bytes(4, "little") + bytes(28)

GHOST_LIMIT_BYTES = 1 << 30
DUMP_LOG = "dump.log"


class Option(IntEnum):
    """Fields of criu_opts in images/rpc.proto, by their names there."""

    IMAGES_DIR_FD = 1
    PID = 2
    LEAVE_RUNNING = 3
    FILE_LOCKS = 8
    LOG_LEVEL = 9
    LOG_FILE = 10
    ROOT = 13
    PARENT_IMG = 14
    TRACK_MEM = 15
    WORK_DIR_FD = 17
    LINK_REMAP = 18
    EXT_MNT = 23
    MANAGE_CGROUPS_MODE = 34
    GHOST_LIMIT = 35
    EXTERNAL = 37
    FREEZE_CGROUP = 44
    TCP_SKIP_IN_FLIGHT = 46
    LAZY_PAGES = 48
    ORPHAN_PTS_MASTER = 50
    CONFIG_FILE = 51
    TCP_CLOSE = 52
    NETWORK_LOCK = 64


Given = tuple[Option, Union[int, bool, str, bytes]]


def external_mount(point: str, source: str) -> bytes:
    """A value of EXT_MNT: what the mount point is called in the images."""
    return encode_field(1, point) + encode_field(2, source)


def dump_request(options: Iterable[Given]) -> bytes:
    """A ``criu_req`` of type DUMP."""
    body = b"".join(encode_field(option, value) for option, value in options)
    return encode_field(1, REQUEST_DUMP) + encode_field(2, body)
