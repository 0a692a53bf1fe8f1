# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for the numbers of CRIU's RPC protocol (images/rpc.proto)."""

from __future__ import annotations

REQUEST_DUMP, REQUEST_FEATURE_CHECK = 1, 9
# enum criu_cg_mode, by the names of the option --manage-cgroups
CGROUP_MODES = {"ignore": 0, "soft": 3}
LOG_WARNINGS = 2
NETWORK_LOCK_SKIP = 3
# criu/page-xfer.c: struct page_server_iov {u32 cmd; u32 pages; u64 address; u64 id}, command "close".
PAGE_SERVER_CLOSE = (0x1023).to_bytes(4, "little") + bytes(28)

GHOST_LIMIT_BYTES = 1 << 30
DUMP_LOG = "dump.log"
