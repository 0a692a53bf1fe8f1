# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a migration on the source, and what is left to do when something went wrong in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Any

from ..base.daemon import detach_process
from ..base.errors import MigrationError
from ..base.paths import migration_dir
from ..docker.container_state import ABSENT, FROZEN, RUNNING, container_state, remove_container
from ..kernel.cgroup import Cgroup
from ..state import journal as states
from ..state.journal import SOURCE, Journal, read_journals


def commit_source(client: Any, migration_id: str, container: str, check_mode: bool) -> str:
    """End the frozen processes on the source and remove their container. Named volumes stay.

    :param container: its name, for messages only; what is ended is the container of the migration's journal.
    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: it was not handed over, or runs; nothing is done to one that runs.
    """
    journal = Journal(migration_id, SOURCE)
    if not journal.exists:
        return ""
    entry = journal.entry
    if entry.state in (states.OPEN, states.FROZEN) or entry.outcome == states.ROLLED_BACK:
        raise MigrationError(
            f"migration {migration_id} of {container} is in state {entry.outcome or entry.state}: it was not "
            "handed over, so nothing is removed here",
            phase="commit",
        )
    container_id = entry.container_id
    state, inspected = container_state(client, container_id)
    if state == ABSENT:
        _forget_source(migration_id, journal, check_mode)
        return ""
    if state == RUNNING:
        raise MigrationError(
            f"container {container} ({container_id[:12]}) runs on this host; only a frozen one that has been "
            "handed over is removed",
            phase="commit",
            container_state=RUNNING,
        )
    if check_mode:
        return f"the source's container is {state}"
    if state == FROZEN:
        cgroup = Cgroup(inspected["State"]["Pid"])
        cgroup.kill()
    with contextlib.suppress(Exception):
        client.wait(container_id, timeout=10)
    remove_container(client, container_id)
    journal.write(states.SETTLED, outcome=states.COMMITTED)
    _forget_source(migration_id, journal, check_mode)
    return f"the source's container was {state} and is removed"


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
            _give_back_policy(client, container_id, journal)
        _forget_source(migration_id, journal, check_mode)
        return ""
    reason = f"the source's container {container} was {state}"
    if check_mode:
        return reason
    if inspected.get("State", {}).get("Paused"):
        client.unpause(container_id)
    elif state == FROZEN:
        Cgroup(inspected["State"]["Pid"]).thaw()
    else:
        # It ended while it was frozen (a reboot): the restart policy had been taken away from it.
        client.start(container_id)
    _give_back_policy(client, container_id, journal)
    journal.write(states.SETTLED, outcome=states.ROLLED_BACK)
    _forget_source(migration_id, journal, check_mode)
    return f"{reason} and runs again"


def begin_source(service: str, container_id: str, migration_id: str, idle_timeout_s: float) -> None:
    """Note that a migration of *service* begins here, and wipe what an interrupted one has left.

    The copy of the service's memory that pre-copy keeps is wiped *idle_timeout_s* after this process has
    ended if no hand-over comes: a controller that died does not leave it behind.
    """
    for entry in read_journals(service).entries:
        if entry.side == SOURCE and entry.migration_id != migration_id:
            if entry.state not in (states.OPEN, states.SETTLED):
                raise MigrationError(
                    f"migration {entry.migration_id} of {service} is in state {entry.state} on this host; "
                    "run the playbook mec.migration.resolve to end it",
                    phase="pre-copy",
                )
            _forget_source(entry.migration_id, Journal(entry.migration_id, SOURCE), check_mode=False)
    journal = Journal(migration_id, SOURCE)
    journal.write(states.OPEN, service=service, container_id=container_id)
    ended, held_open = os.pipe()
    if os.fork() == 0:
        try:
            os.close(held_open)
            detach_process()
            # Pre-copy takes as long as it takes: the time begins with its end.
            os.read(ended, 1)
            time.sleep(idle_timeout_s)
            if Journal(migration_id, SOURCE).state == states.OPEN:
                _forget_source(migration_id, journal, check_mode=False)
        finally:
            os._exit(0)


def _give_back_policy(client: Any, container_id: str, journal: Journal) -> None:
    """The restart policy that the hand-over took away."""
    policy = journal.entry.restart_policy
    if policy and policy.get("Name") not in ("", "no", None):
        client.update_container(container_id, restart_policy=policy)


def _forget_source(migration_id: str, journal: Journal, check_mode: bool) -> None:
    if not check_mode:
        shutil.rmtree(migration_dir(migration_id), ignore_errors=True)
        journal.remove()
