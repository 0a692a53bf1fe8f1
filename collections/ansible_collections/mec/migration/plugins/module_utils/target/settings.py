# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target's agent is told when it is started."""

from __future__ import annotations

from typing import NamedTuple

from ..transport.wire import Keys
from .hook import Hook


class TargetSettings(NamedTuple):
    """Of one migration's target. ``port`` 0 takes a free one; ``images_dir`` lies on tmpfs."""

    migration_id: str
    service: str
    address: str
    port: int
    keys: Keys
    images_dir: str
    idle_timeout_s: float
    lazy_restore: bool
    hook: Hook
