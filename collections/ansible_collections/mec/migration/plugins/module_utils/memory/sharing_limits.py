# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what size on forked processes share memory again on the target; :mod:`.copy_on_write` does it."""

from __future__ import annotations

# Below it the copies are worth less than the time in which CRIU compares, which is spent frozen: it reads
# page by page, some 4 us each. More than a share of what the host has free is never given away for that.
WORTHWHILE_BYTES = 256 << 20
FREE_SHARE = 1 / 16
# What a memory limit must leave free for the kernel's own use (page tables, sockets).
LIMIT_SHARE = 0.8
