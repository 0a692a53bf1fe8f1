# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What resolve does on one host to one side of one migration.

Everything goes by the migration's id and the container's id. Each action looks again, in the host's lock: if
the journal is not any more in the state for which it was decided, nothing is done.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base.errors import MigrationError
from ..base.paths import migration_dir
from ..docker.container_state import ABSENT, FROZEN, RUNNING, container_state, remove_container
from ..docker.restart_policy import give_back, give_back_policy
from ..kernel.cgroup import Cgroup, end_container
from ..kernel.scratch import wipe
from ..state import journal as states
from ..state.journal import JOURNAL_DIR, SOURCE, TARGET, Journal, read_journals
from ..state.migration_lock import LockHeldError, MigrationLock, Owner
from ..target.endings import wipe_arrived
from ..target.runtime_calls import RUNTIME_END_S, end_restore, put_away
from ..transport.control import CONTROL, NoAgentError, control

MISSING, DAMAGED = "missing", "damaged"


class Order(NamedTuple):
    """What to do about one side.

    :ivar seen: the journal's state (the outcome if it was settled) for which it was decided.
    :ivar container_id: by what the other side says, where this one's journal does not tell.
    :ivar by_word: the operator gives up what the target may have acknowledged.
    :ivar why: for the journal.
    """

    migration_id: str
    service: str
    seen: str
    container_id: str
    by_word: bool
    why: str


def destroy(client: Any, order: Order, check_mode: bool) -> str:
    """On the target: end the copy, see that nothing of it is left, and only then note it.

    :returns: why something was, or would be, changed; empty if nothing was.
    :raises MigrationError: it may have run and the word was not given, or is not as it was seen any more.
    """
    now = _state(order, TARGET)
    if now not in (MISSING, states.OPEN, states.ARMED, states.DESTROYED) and not (
        order.by_word and now == order.seen
    ):
        raise _changed(order, TARGET, now)
    if check_mode:
        return f"the target's side is {now}"
    try:
        words = {"reason": order.why, "by_word": order.by_word}
        control(order.migration_id, "abort", words, name=CONTROL)
    except NoAgentError:
        _destroy(client, order, RUNTIME_END_S if now in (MISSING, states.OPEN, states.ARMED) else 0.0)
    return f"the target's side was {now}; its copy is destroyed"


def _destroy(client: Any, order: Order, patience_s: float) -> None:
    """Where no agent is left that could do it.

    :param patience_s: see :func:`end_restore`.
    """
    with _locked(f"name-{order.service}", order):
        journal = _journal(order, TARGET)
        container_id = journal.entry.container_id or order.container_id
        if container_id:
            end_restore(container_id, patience_s=patience_s)
            end_container(container_id)
            remove_container(client, container_id)
            # Removing it may have taken the daemon a while; nothing may have come up meanwhile.
            end_container(container_id)
            put_away(container_id)
        journal.write(
            states.SETTLED,
            outcome=states.DESTROYED,
            reason=order.why,
            service=order.service,
            container_id=container_id,
        )
        wipe_arrived(journal)


def keep(client: Any, order: Order, check_mode: bool) -> str:
    """On the target: wait until the copy is complete, give it its restart policy, do what that says.

    :returns: why something was, or would be, changed; empty if nothing was.
    :raises MigrationError: it is not complete, or Docker does not start it.
    """
    now = _state(order, TARGET)
    if now == states.KEPT:
        return ""
    if now not in (states.RUNNING, states.FILLED):
        raise _changed(order, TARGET, now)
    if check_mode:
        return f"the target's side is {now}"
    container_id = Journal(order.migration_id, TARGET).entry.container_id
    if container_state(client, container_id)[0] != ABSENT:
        with contextlib.suppress(NoAgentError):
            # It waits until the memory is complete, and does what is to be done about a copy that has ended.
            kept = control(order.migration_id, "finish", timeout_s=180.0, name=CONTROL)
            what = f"the service is kept here by its agent, which was in state {now}"
            return "; ".join(filter(None, (what, str(kept.get("how_it_ended") or ""))))
    with _locked(f"name-{order.service}", order):
        journal, now = _journal(order, TARGET), _state(order, TARGET)
        complete = now in (states.FILLED, states.KEPT) or (now == states.RUNNING and not journal.entry.lazy)
        if not complete:
            raise MigrationError(
                f"the agent of migration {order.migration_id} ended before the memory of {order.service} was "
                "complete here: what runs cannot be trusted. Run the playbook mec.migration.resolve again",
                phase="resolve",
            )
        ended = give_back(client, container_id, journal.entry.restart_policy)
        wipe_arrived(journal)
        journal.write(states.SETTLED, outcome=states.KEPT, reason=order.why)
    return "; ".join(filter(None, (f"the target's side was {now}; it is kept", ended)))


def release(client: Any, order: Order, check_mode: bool) -> str:
    """On the source: let the service run again, with its restart policy.

    :returns: why something was, or would be, changed; empty if nothing was.
    :raises MigrationError: it is not there any more as it was seen, or another migration needs it as it is.
    """
    now = _state(order, SOURCE)
    if now == states.ROLLED_BACK:
        return ""
    if now != order.seen:
        raise _changed(order, SOURCE, now)
    if check_mode:
        return f"the source's side is {now}"
    with _source_side(order) as (journal, container_id):
        state = container_state(client, container_id)[0]
        if state != ABSENT:
            if state == FROZEN:
                _thaw(client, container_id)
            give_back_policy(client, container_id, journal.entry.restart_policy)
            # After the policy: what ended while it was frozen, or since its thaw, starts now or by that.
            if now != states.OPEN and container_state(client, container_id)[0] != RUNNING:
                client.start(container_id)
        if now != MISSING:
            journal.write(states.SETTLED, outcome=states.ROLLED_BACK, reason=order.why)
    return f"the source's side was {now} and its container {state}; it runs here again"


def end(client: Any, order: Order, check_mode: bool) -> str:
    """On the source: end what was handed over. Whoever orders it has seen that the target's copy is complete.

    :returns: why something was, or would be, changed; empty if nothing was.
    :raises MigrationError: it runs, or is not there any more as it was seen.
    """
    now = _state(order, SOURCE)
    if now == states.COMMITTED:
        return ""
    if now != order.seen:
        raise _changed(order, SOURCE, now)
    if check_mode:
        return f"the source's side is {now}"
    with _source_side(order) as (journal, container_id):
        state = container_state(client, container_id)[0]
        if state == RUNNING:
            raise MigrationError(
                f"container {container_id[:12]} of {order.service} runs on this host; only a frozen one "
                "that has been handed over is removed",
                phase="resolve",
                container_state=RUNNING,
            )
        if state != ABSENT:
            end_container(container_id)
            remove_container(client, container_id)
        if now != MISSING:
            journal.write(states.SETTLED, outcome=states.COMMITTED, reason=order.why)
    return f"the source's side was {now} and its container {state}; it is ended"


def forget(order: Order, side: str, check_mode: bool) -> str:
    """Remove what is on this host of a migration that is settled, here and on the other host if there is one.

    :raises MigrationError: it is not settled here.
    """
    journal = Journal(order.migration_id, side)
    if not journal.exists:
        return ""
    if journal.state != states.SETTLED:
        raise _changed(order, side, journal.state)
    if not check_mode:
        wipe_arrived(journal)
        wipe(migration_dir(order.migration_id))
        journal.remove()
    return f"migration {order.migration_id} is settled"


def _state(order: Order, side: str) -> str:
    """The state of this side's journal, or its outcome where it is settled."""
    try:
        journal = Journal(order.migration_id, side)
    except MigrationError:
        return DAMAGED
    if not journal.exists:
        return MISSING
    return journal.entry.outcome or journal.state


def _journal(order: Order, side: str) -> Journal:
    """The journal, to be written; one that cannot be read is put aside."""
    try:
        return Journal(order.migration_id, side)
    except MigrationError:
        path = os.path.join(JOURNAL_DIR, f"{order.migration_id}.{side}.json")
        os.replace(path, path + ".damaged")
        return Journal(order.migration_id, side)


def _changed(order: Order, side: str, now: str) -> MigrationError:
    return MigrationError(
        f"migration {order.migration_id} is in state {now} on this host, its {side}, and was seen in state "
        f"{order.seen}; nothing was done. Somebody else works on it: run the playbook mec.migration.resolve "
        "again",
        phase="resolve",
        more={"outdated": True},
    )


def _refuse_if_needed(order: Order, container_id: str) -> None:
    """:raises MigrationError: another migration of this container has come further than its beginning."""
    for entry in read_journals().entries:
        if (
            entry.side == SOURCE
            and entry.container_id == container_id
            and entry.migration_id != order.migration_id
            and entry.state not in (states.OPEN, states.SETTLED)
        ):
            raise MigrationError(
                f"migration {entry.migration_id} of the same container is in state {entry.state} on this "
                "host; it must be ended first",
                phase="resolve",
            )


def _thaw(client: Any, container_id: str) -> None:
    inspected = client.inspect_container(container_id)
    if inspected["State"].get("Paused"):
        client.unpause(container_id)
    else:
        Cgroup(inspected["State"]["Pid"]).thaw()


@contextlib.contextmanager
def _source_side(order: Order) -> Iterator[tuple[Journal, str]]:
    """The source's journal and container, in its lock, where both are still as they were seen.

    :raises MigrationError: they are not, or another migration is not ended.
    """
    container_id = order.container_id
    if _state(order, SOURCE) not in (MISSING, DAMAGED):
        container_id = Journal(order.migration_id, SOURCE).entry.container_id
    with _locked(container_id or f"name-{order.service}", order):
        now = _state(order, SOURCE)
        if now != order.seen:
            raise _changed(order, SOURCE, now)
        _refuse_if_needed(order, container_id)
        yield _journal(order, SOURCE), container_id


@contextlib.contextmanager
def _locked(name: str, order: Order) -> Iterator[None]:
    """In the lock that an agent holds for its whole life.

    :raises MigrationError: somebody has it.
    """
    lock = MigrationLock(name)
    try:
        lock.take(Owner(order.migration_id, order.service, "resolve", time.time()), patience_s=5.0)
    except LockHeldError as held:
        raise MigrationError(
            f"migration {held.owner.migration_id} of {order.service} is in progress on this host, by "
            f"{held.owner.started_by or 'someone unknown'}; wait for its end and run the playbook "
            "mec.migration.resolve again",
            phase="resolve",
        ) from held
    try:
        yield
    finally:
        lock.release()
