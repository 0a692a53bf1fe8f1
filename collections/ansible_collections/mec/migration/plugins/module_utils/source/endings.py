# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a migration on the source, and what is left to do when something went wrong in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base.errors import MigrationError
from ..base.paths import migration_dir
from ..docker.container_state import ABSENT, FROZEN, RUNNING, container_state, remove_container
from ..docker.events import done_since
from ..docker.restart_policy import give_back_policy
from ..kernel.cgroup import Cgroup
from ..kernel.scratch import wipe
from ..kernel.trace_buffer import remove_left_instances
from ..state import journal as states
from ..state.journal import SOURCE, Journal
from ..state.migration_lock import LockHeldError, MigrationLock, Owner

# A guard whose agent has died waits so long for CRIU to end.
GUARD_TIMEOUT_S = 90.0


@contextlib.contextmanager
def alone(migration_id: str) -> Iterator[None]:
    """Nobody else touches the container meanwhile; a guard that still thaws it is waited for.

    :raises MigrationError: somebody does.
    """
    container_id = Journal(migration_id, SOURCE).entry.container_id
    lock = MigrationLock(container_id)
    if container_id:
        try:
            lock.take(Owner(migration_id, since=time.time()), GUARD_TIMEOUT_S)
        except LockHeldError as held:
            raise MigrationError(
                f"migration {held.owner.migration_id} holds the lock of container {container_id[:12]}; "
                f"nothing is done to it for migration {migration_id} meanwhile",
                phase="cleanup",
            ) from held
    try:
        yield
    finally:
        lock.release()


class Committed(NamedTuple):
    """What came of the end of a migration on its source.

    :ivar reason: for a change; empty if there was none.
    :ivar meanwhile: what somebody did to the frozen container, see :func:`done_since`; empty if nobody did.
    """

    reason: str = ""
    meanwhile: str = ""


def commit_source(
    client: Any,
    migration_id: str,
    container: str,
    check_mode: bool,
    *,
    forget: bool = True,
    frozen_since: float = 0.0,
    held_since: float = 0.0,
) -> Committed:
    """End the frozen processes on the source and remove their container. Named volumes stay.

    :param container: its name, for messages only; what is ended is the container of the migration's journal.
    :param forget: whether to remove the migration's journal, too.
    :param frozen_since: seconds since the epoch; without it since the journal was written last.
    :param held_since: likewise, since when no change of the container has come to the target.
    :raises MigrationError: it was not handed over, or runs; nothing is done to one that runs.
    """
    journal = Journal(migration_id, SOURCE)
    if not journal.exists:
        return Committed()
    entry = journal.entry
    if entry.state in (states.OPEN, states.FROZEN) or entry.outcome == states.ROLLED_BACK:
        raise MigrationError(
            f"migration {migration_id} of {container} is in state {entry.outcome or entry.state}: it was not "
            "handed over, so nothing is removed here",
            phase="commit",
        )
    container_id = entry.container_id
    state, inspected = container_state(client, container_id)
    meanwhile = done_since(client, container_id, frozen_since or entry.time, held_since)
    if state == ABSENT:
        if forget and not check_mode:
            forget_source(migration_id)
        return Committed("", meanwhile)
    if state == RUNNING:
        raise MigrationError(
            f"container {container} ({container_id[:12]}) runs on this host; only a frozen one that has been "
            f"handed over is removed{meanwhile and '. While it was frozen, ' + meanwhile}",
            phase="commit",
            container_state=RUNNING,
        )
    if check_mode:
        return Committed(f"the source's container is {state}", meanwhile)
    if state == FROZEN:
        cgroup = Cgroup(inspected["State"]["Pid"])
        cgroup.kill()
    with contextlib.suppress(Exception):
        client.wait(container_id, timeout=10)
    remove_container(client, container_id)
    journal.write(states.SETTLED, outcome=states.COMMITTED)
    if forget:
        forget_source(migration_id)
    return Committed(f"the source's container was {state} and is removed", meanwhile)


def roll_back_source(client: Any, migration_id: str, container: str, check_mode: bool) -> str:
    """Let the source's container run again. Only on proof that the target has no copy.

    :param container: its name, for messages only; what is touched is the container of the migration's
        journal.
    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: it does not run afterwards.
    """
    journal = Journal(migration_id, SOURCE)
    if not journal.exists:
        return ""
    container_id = journal.entry.container_id
    state, inspected = container_state(client, container_id)
    if state in (ABSENT, RUNNING) or not container_id:
        if state == RUNNING and not check_mode:
            give_back_policy(client, container_id, journal.entry.restart_policy)
        if not check_mode:
            forget_source(migration_id)
        return ""
    reason = f"the source's container {container} was {state}"
    if check_mode:
        return reason
    if inspected.get("State", {}).get("Paused"):
        client.unpause(container_id)
    elif state == FROZEN:
        Cgroup(inspected["State"]["Pid"]).thaw()
    give_back_policy(client, container_id, journal.entry.restart_policy)
    if container_state(client, container_id)[0] not in (RUNNING, FROZEN):
        # It ended while its restart policy was taken away (a reboot): Docker did not start it.
        client.start(container_id)
    journal.write(states.SETTLED, outcome=states.ROLLED_BACK)
    forget_source(migration_id)
    return f"{reason} and runs again"


def forget_source(migration_id: str) -> None:
    """Remove what is on this host of a migration that is settled here."""
    wipe(migration_dir(migration_id))
    remove_left_instances()
    Journal(migration_id, SOURCE).remove()
