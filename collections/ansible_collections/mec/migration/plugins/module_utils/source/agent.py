# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's process of one migration, from its first step to its end.

It holds the lock on the container, the connection, and what is known of what the target has; modules ask it
for one step after the other. It is a fork of the module that started it, so nothing has to be installed for
it. It ends when the migration is settled, when no one can know who runs the service (then the journal says
so), or when nobody has asked for anything for too long.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, NamedTuple

from ..base.daemon import fork_off
from ..base.errors import InDoubtError, MigrationError, PreflightError
from ..base.paths import state_dir
from ..docker.container_state import ABSENT, FROZEN, RUNNING, container_state
from ..docker.restart_policy import give_back_on_source
from ..kernel.scratch import wipe
from ..service.service import Service
from ..state import journal as states
from ..state.journal import SOURCE, TARGET, Journal, read_journals
from ..state.migration_lock import LockHeldError, MigrationLock, Owner
from ..transport.control import ABANDONED_S, SOURCE_CONTROL, ControlServer, NoAgentError, Request, control
from .endings import commit_source, forget_source
from .log_copy import LogCopy
from .move import Move, Peer
from .under_way import between_steps, under_way

# Beside a lock that was just given back, or is being looked at.
PATIENCE_S = 0.5


class SourceSettings(NamedTuple):
    """Of one migration's source.

    :ivar container: name or id.
    :ivar started_by: user and controller, for whoever else wants to move it.
    :ivar address: by which the target knows this host.
    :ivar idle_timeout_s: the agent gives up when nobody has asked it for anything for so long.
    """

    migration_id: str
    container: str
    move_binds: list[str]
    started_by: str
    address: str
    idle_timeout_s: float


class SourceAgent:
    """One migration on the source: :meth:`open` first, then :func:`detach`."""

    def __init__(self, settings: SourceSettings, client: Any) -> None:
        self._settings = settings
        self._client = client
        self._stop = threading.Event()
        # Held by the step that is under way.
        self._stepping = threading.Lock()

    # -- the beginning -----------------------------------------------------------------------------

    def open(self) -> None:
        """Take the container's lock and begin the migration.

        :raises PreflightError: it cannot be moved, or another migration is under way; nothing was touched.
        """
        settings = self._settings
        container_id = self._container_id()
        self._lock = MigrationLock(container_id)
        self._take_lock()
        try:
            # While this waited for the lock, whoever held it may have moved the container and removed it.
            state, _inspected = container_state(self._client, container_id)
            if state not in (RUNNING, FROZEN):
                raise self._does_not_run(state, container_id)
            settle_leftovers(container_id, settings.container)
            self._service = Service(self._client, container_id, settings.move_binds)
            engine = self._client.info()
            log = LogCopy.of(str(engine["DockerRootDir"]), self._service.inspected)
            # Before anything else is made here: by it whoever comes after a crash finds the rest.
            self._journal = Journal(settings.migration_id, SOURCE)
            self._journal.write(
                states.OPEN,
                service=self._service.name,
                container_id=container_id,
                started_by=settings.started_by,
                opened=time.time(),
                engine_id=str(engine.get("ID", "")),
                address=settings.address,
                phase="open",
            )
            self._dir = state_dir(settings.migration_id)
            self._server = ControlServer(os.path.join(self._dir, SOURCE_CONTROL))
        except BaseException:
            forget_source(settings.migration_id)
            self._lock.release()
            raise
        self._move = Move(self._service, self._journal, self._dir, log)

    def _container_id(self) -> str:
        """Of what runs here, or of what somebody moves: who that is the lock tells.

        :raises PreflightError: it does neither.
        """
        name = self._settings.container
        # Whoever moves it may come to the end between the look at it and the one at its lock.
        for _look in range(2):
            state, inspected = container_state(self._client, name)
            container_id = str(inspected.get("Id", ""))
            if state == RUNNING or (container_id and MigrationLock(container_id).held() is not None):
                return container_id
            if not container_id and (owner := MigrationLock(f"name-{name}").held()) is not None:
                # It is being moved to this host, where it may run at any moment.
                raise PreflightError(under_way(owner), container_state=state)
        raise self._does_not_run(state, container_id)

    def _does_not_run(self, state: str, container_id: str) -> PreflightError:
        """Why it is refused, and what to do: to start what somebody moves would make a second copy."""
        name = self._settings.container
        left_by = [
            entry.migration_id
            for entry in read_journals().entries
            # Docker says nothing of one that waits for its restore.
            if (entry.container_id == container_id if container_id else entry.service == name)
        ]
        if state == ABSENT:
            what_to_do = (
                "Nothing was touched. If it was here a moment ago, another migration has moved it: run the "
                "playbook again, which looks for it anew. Only where no host has it, start it"
            )
        elif left_by:
            what_to_do = f"Migration {left_by[-1]} left it so: run the playbook mec.migration.resolve"
        elif state == FROZEN:
            what_to_do = "Let it run first (docker unpause, or its freezer)"
        else:
            what_to_do = "Start it, or name the host where it runs"
        return PreflightError(
            f"Container {name} is {state} on this host, and must be running to be moved. {what_to_do}",
            container_state=state,
        )

    def _take_lock(self) -> None:
        settings = self._settings
        owner = Owner(settings.migration_id, settings.container, settings.started_by, time.time())
        try:
            self._lock.take(owner, PATIENCE_S)
            return
        except LockHeldError as held:
            if not _abandoned(held.owner.migration_id):
                raise PreflightError(under_way(held.owner), container_state="unknown") from held
        # Whoever began it is gone; its agent rolls back and ends.
        why = f"taken over by {settings.started_by}"
        control(self._lock.owner().migration_id, "cancel", {"why": why}, name=SOURCE_CONTROL)
        try:
            self._lock.take(owner, 10.0)
        except LockHeldError as held:
            raise PreflightError(under_way(held.owner)) from held

    def facts(self) -> dict[str, Any]:
        """What the rest of a move needs to know of the service."""
        service = self._service
        return {
            "service": service.name,
            "container_id": service.id,
            "image_id": service.spec["image_id"],
            "mounts": [mount["destination"] for mount in service.moved_mounts()],
            "bind_sources": service.paths_of_host(),
            "memory_bytes": service.memory_bytes,
            "engine_id": self._journal.entry.engine_id,
            "clock_s": time.time(),
        }

    # -- the process that stays --------------------------------------------------------------------

    def serve(self) -> None:
        """Answer until the migration is over on this side."""
        self._server.start(
            {
                "status": self._status,
                "validate": self._step,
                "image": self._step,
                "precopy": self._step,
                "handover": self._hand_over,
                "commit": self._commit,
                "cancel": self._cancel,
                "change": self._change,
            }
        )
        while not self._stop.wait(0.2):
            idle_s = time.monotonic() - self._server.last_word
            if self._server.busy == 0 and idle_s > self._settings.idle_timeout_s:
                self._give_up(f"nobody asked the source's agent for anything for {idle_s:.0f} s")
        self._server.close()
        self._move.close()
        wipe(self._dir)
        self._lock.release()

    def close(self) -> None:
        """End it where it was opened."""
        self._server.close()
        forget_source(self._settings.migration_id)
        self._lock.release()

    def leave_to_fork(self) -> None:
        """In the module's process, once a fork serves."""
        self._lock.leave()

    def _give_up(self, why: str) -> None:
        with self._stepping:
            if self._journal.state != states.HANDED_OVER:
                self._roll_back(why)
                return
            # Where the service runs is known; what is left to do needs nobody's word.
            try:
                self._finish(30.0)
            except (MigrationError, OSError):
                self._stop.set()

    # -- requests ----------------------------------------------------------------------------------

    def _status(self, _request: Request) -> dict[str, Any]:
        entry = self._journal.entry
        return {
            "state": entry.state,
            "phase": self._move.phase,
            "started_by": entry.started_by,
            "opened": entry.opened,
            "busy": self._stepping.locked(),
            "idle_s": time.monotonic() - self._server.last_word,
        }

    def _take_step(self) -> None:
        """:raises MigrationError: another step is under way, or the migration is being cancelled."""
        if not self._stepping.acquire(blocking=False):
            self._move.check()
            raise MigrationError(
                f"the migration is in phase {self._move.phase}, and does one thing at a time",
                phase="preflight",
            )

    def _step(self, request: Request) -> dict[str, Any]:
        self._take_step()
        try:
            received = time.time()
            if request.fields.get("peer"):
                self._move.use(Peer.of(request.fields["peer"]))
            self._need(states.OPEN)
            first = len(self._move.phases)
            if request.operation == "image":
                result = self._move.image(request.fields, request.progress)
            elif request.operation == "validate":
                result = self._validate(request.fields)
            else:
                result = self._move.precopy(request.fields, request.progress)
            return self._timed(result, received, first)
        except OSError as error:
            raise self._explained(error) from error
        finally:
            self._stepping.release()

    def _validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        """:raises PreflightError: it cannot work; nothing is left of the migration."""
        try:
            looked = self._move.validate(fields, self._client)
            return dict(looked, container_id=self._service.id)
        except Exception as error:
            self._roll_back(f"it was refused: {error}")
            raise

    def _hand_over(self, request: Request) -> dict[str, Any]:
        self._take_step()
        try:
            received = time.time()
            if request.fields.get("peer"):
                self._move.use(Peer.of(request.fields["peer"]))
            self._need(states.OPEN)
            first = len(self._move.phases)
            result = self._move.hand_over(request.fields, request.progress)
            if request.fields.get("commit"):
                result = dict(result, target=self._finish(float(request.fields["health_timeout_s"])))
            return self._timed(result, received, first)
        except InDoubtError:
            # The journal says all that is known; whoever resolves it must find no one in the way.
            self._stop.set()
            raise
        except Exception as error:
            if self._journal.state == states.SETTLED:
                # It was rolled back; what waits on the target must not wait any longer.
                self._roll_back("the hand-over failed")
            elif self._journal.state == states.HANDED_OVER:
                # The service runs there, and only a person can say what is wrong with it.
                self._stop.set()
            elif isinstance(error, OSError):
                raise self._explained(error) from error
            raise
        finally:
            self._stepping.release()

    def _commit(self, request: Request) -> dict[str, Any]:
        self._take_step()
        try:
            received = time.time()
            self._need(states.HANDED_OVER)
            first = len(self._move.phases)
            target = self._finish(float(request.fields["health_timeout_s"]))
            return self._timed({"target": target}, received, first)
        finally:
            self._stepping.release()

    def _finish(self, health_timeout_s: float) -> dict[str, Any]:
        """The target verifies, then the source's container ends, then the target may forget."""
        target = self._move.finish(health_timeout_s)
        with self._move.step("commit"):
            done = commit_source(
                self._client,
                self._settings.migration_id,
                self._service.name,
                False,
                forget=False,
                frozen_since=self._move.frozen_since,
                held_since=self._move.held_since,
            )
            not_told = self._move.end_target("forget", "the migration is committed")
            forget_source(self._settings.migration_id)
        self._stop.set()
        return dict(target, meanwhile=done.meanwhile, not_told=not_told)

    def _cancel(self, request: Request) -> dict[str, Any]:
        """End it before the mark; say so after it."""
        why = str(request.fields.get("why") or "no reason was given")
        state = self._journal.state
        if state == states.HANDED_OVER:
            # What is under way is its end, which may take minutes.
            return {"cancelled": False, "state": state, "target_left": ""}
        self._move.cancel(why)
        # What is under way ends at once, or is the frozen window.
        if not self._stepping.acquire(timeout=120):
            raise MigrationError(f"the migration is in phase {self._move.phase}, which does not end")
        try:
            state = self._journal.state
            if state in (states.MARK_SENT, states.HANDED_OVER) or (
                self._journal.entry.outcome == states.COMMITTED
            ):
                return {"cancelled": False, "state": state, "target_left": ""}
            left = self._roll_back(f"cancelled: {why}")
            return {"cancelled": True, "state": state, "target_left": left}
        finally:
            self._stepping.release()

    def _change(self, request: Request) -> dict[str, Any]:
        values = request.fields["values"]
        return self._move.change(values["bandwidth_limit_mbit"], values["downtime_ms"])

    # -- helpers -----------------------------------------------------------------------------------

    def _explained(self, error: OSError) -> Exception:
        """The error itself, unless it comes of the container's end, which takes away what is read of it."""
        state, inspected = container_state(self._client, self._service.id)
        if state in (RUNNING, FROZEN) and inspected["State"]["Pid"] == self._service.runc.pid:
            return error
        now = "runs again" if state == RUNNING else f"is {state}"
        return MigrationError(
            f"container {self._service.name} has ended on this host while it was copied, and {now}. See why "
            "(`docker logs`), have it running, and migrate it again",
            phase=self._move.phase,
            container_state=state,
        )

    def _need(self, state: str) -> None:
        if self._journal.state != state:
            raise MigrationError(
                f"migration {self._settings.migration_id} is in state {self._journal.state}, not {state}",
                phase="handover",
            )

    def _roll_back(self, why: str) -> str:
        """Put away what is on both sides: the service was never frozen, or is thawed.

        :returns: why the target could not be told.
        """
        if self._stop.is_set():
            return ""
        left = self._move.end_target("handover.abort", why)
        if self._journal.state == states.FROZEN:
            self._give_back_policy()
        self._journal.write(states.SETTLED, outcome=states.ROLLED_BACK, reason=why)
        if not left:
            self._move.end_target("forget", why)
        forget_source(self._settings.migration_id)
        self._stop.set()
        return left

    def _give_back_policy(self) -> None:
        """The hand-over has thawed the service, and Docker did not take its restart policy back.

        :raises MigrationError: it does not now either; the journal stays for whoever resolves it.
        """
        service = self._service
        try:
            give_back_on_source(self._client, service.id, service.restart_policy, service.runc.pid)
        except Exception as error:
            self._stop.set()
            raise MigrationError(
                f"{service.name} could not be given its restart policy back: {error}. When Docker answers on "
                "this host run the playbook mec.migration.resolve",
                phase="handover",
            ) from error

    def _timed(self, result: dict[str, Any], received: float, first: int) -> dict[str, Any]:
        """With the times of the phases, on this host's clock, and of request and answer."""
        return {
            **result,
            "phases": self._move.phases[first:],
            "received": round(received, 3),
            "answered": round(time.time(), 3),
        }


def detach(agent: SourceAgent) -> None:
    """Let it go on as a process of its own; the caller returns."""
    fork_off(agent.serve, agent.leave_to_fork)


def _abandoned(migration_id: str) -> bool:
    """Whether whoever began that migration is gone: its agent has been idle for too long.

    Between two tasks of a play nobody asks for anything for a moment, so an idle agent is watched for a
    while.
    """
    end = time.monotonic() + 2 * ABANDONED_S
    while time.monotonic() < end:
        try:
            status = control(migration_id, "status", timeout_s=5.0, name=SOURCE_CONTROL)
        except NoAgentError:
            # Its guard still thaws what it froze, or it has just ended: the lock tells.
            return False
        if not between_steps(status):
            return False
        if status["idle_s"] > ABANDONED_S:
            return True
        time.sleep(0.2)
    return False


def settle_leftovers(container_id: str, name: str) -> None:
    """Of migrations of this container whose agent has died: what never froze it is forgotten.

    :raises PreflightError: one has to be resolved first, or its journal cannot be read.
    """
    journals = read_journals()
    for damaged in journals.damaged:
        if damaged.migration_id.startswith(f"{name}-"):
            raise PreflightError(
                f"the journal {damaged.path} cannot be read: {damaged.why}. It may say that {name} runs "
                "elsewhere, so see where it runs, then remove that file"
            )
    mover = MigrationLock(f"name-{name}").held()
    for entry in journals.entries:
        if entry.container_id != container_id:
            continue
        if mover is not None and mover.migration_id == entry.migration_id:
            # It came here a moment ago, and its source is still there.
            raise PreflightError(under_way(mover))
        if entry.outcome == states.KEPT:
            # Its source has not said that it is settled: if it is not, somebody will ask what became of it.
            continue
        settled = entry.state == states.SETTLED or (entry.side == SOURCE and entry.state == states.OPEN)
        if not settled:
            raise PreflightError(
                f"migration {entry.migration_id} of {name} was left in state {entry.state} on this host; run "
                "the playbook mec.migration.resolve to end it"
            )
        if entry.side == SOURCE:
            forget_source(entry.migration_id)
        elif entry.side == TARGET:
            Journal(entry.migration_id, TARGET).remove()
