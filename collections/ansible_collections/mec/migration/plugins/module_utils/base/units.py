# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units in which people give what is counted in bytes."""

from __future__ import annotations

BYTES_PER_S_OF_MBIT = 125_000
