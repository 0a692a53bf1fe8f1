# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one move on the source: image, arm, copy, hand over, finish, each over the same connection."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..base.errors import InDoubtError, MigrationError, PreflightError, TransferError
from ..base.stop_rule import HANDOVER_GAP_S, StopRule
from ..docker.client import docker_client
from ..docker.reconnected_mounts import reconnected_mounts
from ..files.sync import FileSync
from ..files.tmpfs import TmpfsTrees
from ..image.sync import sync_image
from ..memory import trackers as dirty_tracking
from ..memory.sent import FULL, LEAN
from ..memory.source import MemorySource
from ..memory.trackers import AUTO, Tracker
from ..preflight.preflight import Preflight
from ..service.service import Service
from ..state import journal as states
from ..state.journal import Journal
from ..transport.wire import Channel, Keys, connect
from .handover import HandOver
from .log_copy import LogCopy
from .page_server import ALWAYS, NEVER, PageServer
from .precopy import PreCopy, as_fields
from .throttle import Throttle

Progress = Callable[..., None]
# Docker unpacks all layers before it answers, and the target's memory may take long to be filled.
FINISH_TIMEOUT_S = 180.0
PROGRESS_S = 2.0


class Peer(NamedTuple):
    """The target's agent, and how to speak to it.

    :ivar silence_timeout_s: how long it may keep this side waiting before the connection counts as cut.
    :ivar limit_mbit: send no faster while the service runs, in Mbit/s; 0 for no limit.
    """

    address: str
    port: int
    keys: Keys
    silence_timeout_s: float
    limit_mbit: float
    compress: bool

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Peer:
        """From a request of a module."""
        return cls(**dict(fields, keys=Keys(*fields["keys"])))


class CancelledError(MigrationError):
    """Somebody asked for the end of the migration."""


class Move:
    """The connection to the target, and what is known of what the target holds.

    One step at a time; :meth:`cancel` and :meth:`change` may come at any time from another thread.

    :param directory: on tmpfs, mode 0700.
    :param log: the container's, which goes along.
    """

    def __init__(self, service: Service, journal: Journal, directory: str, log: LogCopy) -> None:
        self.service = service
        self._journal = journal
        self._dir = directory
        self._peer: Peer | None = None
        self._channel: Channel | None = None
        self._tracker: Tracker | None = None
        self._why = ""
        # How much memory the move takes, as the preflight chose it.
        self._chosen_memory = FULL
        self._copy: PreCopy | None = None
        self._memory: MemorySource | None = None
        self._files: FileSync | None = None
        self._in_memory: TmpfsTrees | None = None
        self._log = log
        self._throttle: Throttle | None = None
        # Of a move whose service runs on the target while pages of it are still here.
        self._page_server: PageServer | None = None
        self._progress: Progress = lambda **line: None
        self._armed = ""
        # Set once they are changed while it runs.
        self._limit_mbit: float | None = None
        self._downtime_ms: float | None = None
        # Held for the moment in which it is decided whether to freeze.
        self._gate = threading.Lock()
        self._cancelled = ""
        self._freezing = False
        self.frozen_since = self.held_since = 0.0  # Seconds since the epoch.
        # What is being done, for whoever asks.
        self.phase = "open"
        self.phases: list[dict[str, Any]] = []

    # -- the connection ----------------------------------------------------------------------------

    def use(self, peer: Peer) -> None:
        """Speak to this target from now on.

        :raises PreflightError: another one is spoken to already.
        """
        if self._peer is not None and (peer.address, peer.port) != (self._peer.address, self._peer.port):
            raise PreflightError(
                f"this migration goes to {self._peer.address} port {self._peer.port}, not to {peer.address} "
                f"port {peer.port}"
            )
        self._peer = peer
        self._journal.note(peer_address=peer.address)

    @property
    def channel(self) -> Channel:
        """The connection, made anew where it broke between two steps."""
        if self._channel is None:
            self._channel = self._connect()
            if self._files is not None:
                self._files.prepare(self._channel)
        return self._channel

    def _connect(self) -> Channel:
        if self._peer is None:
            raise PreflightError("it is not known where to move to: option peer is missing")
        peer = self._peer
        return connect(
            peer.address,
            peer.port,
            peer.keys,
            migration_id=self._journal.entry.migration_id,
            scratch_dir=self._dir,
            timeout_s=peer.silence_timeout_s,
            compress=peer.compress,
            # What it was changed to meanwhile goes first.
            limit_mbit=peer.limit_mbit if self._limit_mbit is None else self._limit_mbit,
        )

    @contextlib.contextmanager
    def step(self, phase: str) -> Iterator[None]:
        """Note when a step begins and ends; a connection that broke in it is not used again.

        :raises CancelledError: it was asked for, before or in it.
        """
        self.check()
        started = time.time()
        self.phase = phase
        self._journal.note(phase=phase)
        try:
            yield
        except BaseException as error:
            if isinstance(error, (TransferError, OSError)) and self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._cancelled and isinstance(error, MigrationError) and not isinstance(error, InDoubtError):
                raise CancelledError(
                    f"the migration was cancelled in phase {phase}: {self._cancelled}",
                    phase=phase,
                    container_state="running",
                    rolled_back=True,
                ) from error
            raise
        finally:
            ended = time.time()
            self.phases.append({"phase": phase, "started": round(started, 3), "ended": round(ended, 3)})
            self.phase = f"after {phase}"
            # Later on the journal may be gone by now, or others may have written it.
            if self._journal.state == states.OPEN:
                self._journal.note(phase=self.phase)

    def check(self) -> None:
        """:raises CancelledError: somebody asked for the end."""
        if self._cancelled:
            raise CancelledError(f"the migration was cancelled: {self._cancelled}", rolled_back=True)

    def _before_round(self) -> None:
        self.check()
        self._log.send_new(self.channel)

    # -- from other threads ------------------------------------------------------------------------

    def cancel(self, why: str) -> None:
        """End what is being done, unless the service is about to be frozen, which is quickly over, or was."""
        with self._gate:
            if self._freezing or self._journal.state not in (states.OPEN, states.FROZEN):
                return
            self._cancelled = why
            if self._channel is not None:
                self._channel.interrupt()

    def change(self, limit_mbit: float | None, downtime_ms: float | None) -> dict[str, Any]:
        """Use other values from now on; those that are None stay."""
        if limit_mbit is not None:
            self._limit_mbit = limit_mbit
            with self._gate:
                if self._channel is not None and not self._freezing:
                    self._channel.limit(limit_mbit)
                if self._page_server is not None:
                    self._page_server.limit(limit_mbit)
        if downtime_ms is not None:
            self._downtime_ms = downtime_ms
            if self._copy is not None:
                self._copy.rule = self._copy.rule._replace(downtime_ms=downtime_ms)
        return {"bandwidth_limit_mbit": self._limit_mbit, "downtime_ms": self._downtime_ms}

    # -- the steps ---------------------------------------------------------------------------------

    def validate(self, fields: dict[str, Any], client: Any) -> dict[str, Any]:
        """Compare both hosts with what the service needs; each looks at itself while the other one does.

        :returns: ``plan`` and ``warnings``, see :class:`Preflight`.
        :raises Refused: with everything that stands against it.
        """
        with self.step("validate"):
            channel = self.channel
            paths = self.service.paths_of_host()
            channel.ask("facts", images_dir=fields["images_dir"], paths=paths)
            wanted = dict(fields, container=self.service.id, clock=channel.peer_clock)
            result = Preflight(client, lambda: channel.answer("facts").mapping("facts"), wanted).run()
            self._chosen_memory = result["plan"]["memory"]["name"]
            return result

    def image(self, fields: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Send the layers that the target lacks; see :func:`sync_image`."""
        with self.step("image"):
            channel, timeout_s = self.channel, float(fields["timeout_s"])
            # The answer after the last layer takes Docker as long as it takes to unpack them all.
            channel.set_timeout(timeout_s)
            result = sync_image(
                docker_client(timeout_s),
                channel,
                fields.get("image") or self.service.spec["image_id"],
                check_mode=bool(fields.get("check_mode")),
                reuse=bool(fields["reuse"]),
                progress=lambda line: progress(**line),
            )
            if self._peer is not None:
                channel.set_timeout(self._peer.silence_timeout_s)
            return result

    def arm(self, log_mib: int) -> str:
        """Have the container created and started on the target, as far as it goes without its memory.

        :param log_mib: so much of the newest part of its log goes there first.
        :returns: its id there.
        """
        if not self._armed:
            with self.step("arm"):
                channel = self.channel
                self._log.send(channel, log_mib << 20)
                # Docker creates and starts a container, which takes a slow host long.
                channel.set_timeout(120.0)
                mounts = [mount["destination"] for mount in self.service.moved_mounts()]
                entry = self._journal.entry
                answer = channel.request(
                    "arm",
                    spec=self.service.spec,
                    mounts=mounts,
                    in_memory=[mount._asdict() for mount in self._tmpfs_trees().mounts],
                    engine_id=entry.engine_id,
                    address=entry.address,
                    container_id=self.service.id,
                )
                self._armed = answer.text("container_id")
                self._journal.note(
                    peer_container_id=self._armed, peer_engine_id=str(answer.fields.get("engine_id", ""))
                )
                if self._peer is not None:
                    channel.set_timeout(self._peer.silence_timeout_s)
        return self._armed

    def precopy(self, fields: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Rounds while the service runs, until little is left."""
        self.arm(int(fields["log_mib"]))
        with self.step("pre-copy"):
            copy = self._rounds(fields)
            copy.progress = progress
            self._may_slow_down(fields, copy)
            copy.may_leave = fields["postcopy"] != NEVER
            rule = StopRule(
                self._wanted_ms(fields), int(fields["max_rounds"]), float(fields["min_gain"]), HANDOVER_GAP_S
            )
            try:
                rounds = copy.run(rule, self._before_round)
            except BaseException:
                self._let_run()
                raise
            return {
                **self._tracked(),
                **self._throttled(),
                "memory_bytes": self.service.memory_bytes,
                "stop_reason": copy.stop_reason,
                "rounds": as_fields(rounds),
                "bandwidth_bytes_per_s": copy.bytes_per_s,
            }

    def hand_over(self, fields: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """The frozen window, after some more rounds.

        :raises MigrationError: the service runs on here.
        :raises InDoubtError: it stays frozen here.
        """
        self.arm(int(fields["log_mib"]))
        with self.step("hand over"):
            copy, channel = self._rounds(fields), self.channel
            if self._memory is None or self._files is None:
                raise MigrationError("the rounds have nothing to go on with", phase="handover")
            copy.progress = self._progress = progress
            self._may_slow_down(fields, copy)
            sent_before = channel.sent_bytes
            postcopy = str(fields["postcopy"])
            page_server = None if postcopy == NEVER else PageServer(self._connect)
            last = HandOver(
                self.service,
                channel,
                self._memory,
                self._files,
                self._dir,
                self._journal,
                reconnect=self._connect,
                answer_timeout_s=float(fields["answer_timeout_s"]),
                in_memory=self._tmpfs_trees(),
                log=self._log,
                page_server=page_server,
            )
            rounds: list[Any] = []

            def before() -> None:
                # Of no use any more where nothing has helped and what is left can be fetched later.
                if page_server is None or not copy.stuck:
                    rule = StopRule(self._wanted_ms(fields), int(fields["max_rounds"]))
                    rounds.extend(copy.run(rule, self._before_round))
                last.leave_pages = postcopy == ALWAYS or (page_server is not None and copy.too_much)
                with self._gate:
                    self.check()
                    self._freezing = True
                # What is frozen needs no limit, and whatever becomes of it shall have none.
                self._let_run()

            try:
                last.prepare()
                window = last.run(before)
                self.frozen_since, self.held_since = window.started, last.held_since
                if page_server is not None and page_server.used:
                    self._page_server = page_server
            finally:
                self._freezing = False
                self._let_run()
                if page_server is not None and self._page_server is None:
                    page_server.stop()
            progress(phase="hand over", frozen_ms=round(window.frozen_ms, 1), sent_bytes=window.frozen_bytes)
            return {
                **self._tracked(),
                **self._throttled(),
                "window": window._asdict(),
                "rounds": as_fields(rounds),
                "stop_reason": copy.stop_reason,
                "log_error": self._log.error,
                "sent_bytes": channel.sent_bytes - sent_before,
            }

    def finish(self, health_timeout_s: float) -> dict[str, Any]:
        """Have the target verify that the service runs there and needs the source no more.

        :raises MigrationError: it does not; the source stays frozen.
        """
        self._serve_pages()
        with self.step("verify"):
            try:
                return self._ask_twice_to_finish(health_timeout_s)
            except MigrationError as error:
                left = self._page_server.error if self._page_server is not None else ""
                if not left or left in error.message:
                    raise
                raise type(error)(
                    f"{error.message.rstrip('.')}. Before that, pages that the target was to fetch could not "
                    f"be sent any more: {left}",
                    phase=error.phase,
                    container_state=error.container_state,
                    log_tail=error.log_tail,
                ) from error

    def _ask_twice_to_finish(self, health_timeout_s: float) -> dict[str, Any]:
        try:
            return self._ask_to_finish(health_timeout_s)
        except (TransferError, OSError):
            # The connection may have broken since the hand-over.
            if self._channel is not None:
                self._channel.close()
            self._channel = self._connect()
            return self._ask_to_finish(health_timeout_s)

    def _serve_pages(self) -> None:
        """Until the target has fetched what was left for it, or will not any more."""
        if self._page_server is not None:
            with self.step("post-copy"):
                while not self._page_server.wait(PROGRESS_S):
                    self._progress(phase="post-copy", sent_bytes=self._page_server.sent_bytes)

    def _ask_to_finish(self, health_timeout_s: float) -> dict[str, Any]:
        if self._channel is None:
            self._channel = self._connect()
        # Docker here may have been slow to write down what the service had printed when it was frozen.
        self._log.send_new(self._channel)
        self._channel.set_timeout(FINISH_TIMEOUT_S + health_timeout_s)
        answer = self._channel.request("finish", health_timeout_s=health_timeout_s).fields
        late_sent_bytes = self._page_server.sent_bytes if self._page_server is not None else 0
        return dict(answer, late_sent_bytes=late_sent_bytes)

    def end_target(self, operation: str, reason: str) -> str:
        """Tell the target's agent what became of the migration; returns why that failed, empty if it did not.

        :param operation: ``handover.abort``, or ``forget`` once this side is settled.
        """
        self._let_run()
        if self._peer is None:
            return ""
        try:
            if self._channel is not None:
                # Of a line without an end Docker here has only now seen that no more comes.
                with contextlib.suppress(MigrationError, OSError):
                    self._log.send_new(self._channel)
                self._channel.close()
            self._channel = self._connect()
            # Docker takes some seconds to remove a container whose start still waits.
            self._channel.set_timeout(60.0)
            self._channel.request(operation, reason=reason)
        except (MigrationError, OSError) as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Close the connection in good order."""
        self._let_run()
        if self._page_server is not None:
            self._page_server.stop()
        if self._channel is not None:
            self._channel.close()
        if self._files is not None:
            self._files.close()
        if self._in_memory is not None:
            self._in_memory.close()
        self._log.close()

    def _wanted_ms(self, fields: dict[str, Any]) -> float:
        return self._downtime_ms if self._downtime_ms is not None else float(fields["downtime_ms"])

    def _rounds(self, fields: dict[str, Any]) -> PreCopy:
        """The rounds, which go on where they were."""
        if self._copy is None:
            self._tracker, self._why = dirty_tracking.choose(str(fields["tracker"]), self.service.cgroup)
            memory = self._chosen_memory if fields["memory"] == AUTO else str(fields["memory"])
            self._memory = MemorySource(self._dir, self._tracker, lean=memory == LEAN)
            files = FileSync([*self.service.trees(), *self._tmpfs_trees().trees()])
            files.prepare(self.channel)
            self._files = files
            self._copy = PreCopy(self.service, self._memory, files, lambda: self.channel)
        return self._copy

    def _tmpfs_trees(self) -> TmpfsTrees:
        """The same from arming on: for them the target has made its mounts."""
        if self._in_memory is None:
            runc = self.service.runc
            self._in_memory = TmpfsTrees(runc.pid, reconnected_mounts(runc))
        return self._in_memory

    def _may_slow_down(self, fields: dict[str, Any], copy: PreCopy) -> None:
        """Whether, and how far, the service may be slowed down while rounds do not converge."""
        floor_percent = float(fields["throttle_floor_percent"])
        if not fields["throttle"] or fields["postcopy"] != NEVER:
            self._let_run()
            copy.throttle = None
        elif copy.throttle is None:
            copy.throttle = self._throttle = Throttle(self.service.cgroup.pids, floor_percent)

    def _let_run(self) -> None:
        if self._throttle is not None:
            self._throttle.put_back()

    def _throttled(self) -> dict[str, Any]:
        if self._throttle is None:
            return {"cpu_percent": 100.0, "throttle_obstacle": ""}
        return {"cpu_percent": self._throttle.lowest_percent, "throttle_obstacle": self._throttle.obstacle}

    def _tracked(self) -> dict[str, Any]:
        if self._tracker is None:
            return {}
        return {
            "tracker": self._tracker.name,
            "tracker_reason": dirty_tracking.explain(self._tracker, self._why),
            "memory": LEAN if self._memory is not None and self._memory.lean else FULL,
        }
