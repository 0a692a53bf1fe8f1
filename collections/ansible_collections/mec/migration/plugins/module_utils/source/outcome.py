# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the frozen window of a hand-over was made of."""

from __future__ import annotations

from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What the frozen window was made of. All ``_ms`` on the source's clock, except ``target``'s.

    ``started``: the moment of the freeze, seconds since the epoch. ``dump_note``: why CRIU could not pass
    over memory but had to walk through it; empty if it could. ``left_bytes``: of memory that the target
    fetches once the service runs there. ``unread``: see :func:`unread`.
    """

    started: float
    frozen_ms: float
    frozen_bytes: int
    freeze_ms: float
    memory_ms: float
    files_ms: float
    dump_ms: float
    images_ms: float
    restore_wait_ms: float
    pages_scanned: int
    pages_changed: int
    left_bytes: int
    dump_note: str
    files_note: str
    target: dict[str, Any]
    unread: list[str] = []  # noqa: RUF012 - never changed
