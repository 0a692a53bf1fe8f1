# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to say to whoever wants to move a service that is being moved already."""

from __future__ import annotations

import contextlib
import time

from ..base.errors import MigrationError
from ..state.journal import OPEN
from ..state.migration_lock import Owner
from ..transport.control import ABANDONED_S, CONTROL, SOURCE_CONTROL, control


def in_the_way(owner: Owner) -> str:
    """As :func:`under_way`; empty where the migration was abandoned, which the next one takes over."""
    with contextlib.suppress(MigrationError):
        status = control(owner.migration_id, "status", timeout_s=5.0, name=SOURCE_CONTROL)
        between_steps = not status["busy"] and status["state"] == OPEN and status["phase"] != OPEN
        if between_steps and status["idle_s"] > ABANDONED_S:
            return ""
    return under_way(owner)


def under_way(owner: Owner) -> str:
    """A sentence about the migration that is in the way, and what can be done."""
    phase, since = "", time.strftime("%H:%M:%S UTC", time.gmtime(owner.since))
    with contextlib.suppress(MigrationError):
        status = control(owner.migration_id, "status", timeout_s=5.0, name=SOURCE_CONTROL)
        phase = f", in phase {status['phase']}"
    if not phase:
        with contextlib.suppress(MigrationError):
            status = control(owner.migration_id, "status", timeout_s=5.0, name=CONTROL)
            phase = f", in state {status['state']} on its target"
    return (
        f"{owner.service} is being moved already: migration {owner.migration_id}, started by "
        f"{owner.started_by or 'someone unknown'} at {since}{phase}. Nothing of it was touched. Module "
        "mec.migration.migration_journal_info follows it; to end it run the playbook mec.migration.cancel "
        f"-e service={owner.service}"
    )
