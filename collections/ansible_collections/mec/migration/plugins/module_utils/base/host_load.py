# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy a host is."""

from __future__ import annotations

import os


def load_per_cpu() -> float:
    """Processes that run or wait for a processor, for each processor, over the last minute."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
