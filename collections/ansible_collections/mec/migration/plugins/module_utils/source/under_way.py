# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to say to whoever wants to move a service that is being moved already."""

from __future__ import annotations

import contextlib
import time

from ..base.errors import MigrationError
from ..state.migration_lock import Owner
from ..transport.control import SOURCE_CONTROL, control


def under_way(owner: Owner) -> str:
    """A sentence about the migration that is in the way, and what can be done."""
    phase, since = "", time.strftime("%H:%M:%S UTC", time.gmtime(owner.since))
    with contextlib.suppress(MigrationError):
        phase = (
            f", in phase {control(owner.migration_id, 'status', timeout_s=5.0, name=SOURCE_CONTROL)['phase']}"
        )
    return (
        f"{owner.service} is being moved already: migration {owner.migration_id}, started by "
        f"{owner.started_by or 'someone unknown'} at {since}{phase}. Nothing of it was touched. Module "
        "mec.migration.migration_journal_info follows it; to end it run the playbook mec.migration.cancel "
        f"-e service={owner.service}"
    )
