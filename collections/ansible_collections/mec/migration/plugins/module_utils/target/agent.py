# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's process of one migration: takes what the source sends, restores it, says so.

A fork of the module that started it, it ends when the migration is over, or when nobody speaks to it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ..base.daemon import fork_off
from ..base.errors import MigrationError, TransferError
from ..base.paths import migration_dir, short_name, state_dir
from ..base.priority import hurry
from ..base.threads import InThread
from ..docker.restart_policy import give_back, healthy_or_ended_well
from ..files.apply import FileReceiver
from ..files.tmpfs import TmpfsTarget
from ..files.trees import ROOTFS_TREE
from ..image.receive import LayerReceiver
from ..kernel.scratch import wipe
from ..memory.kill_guard import KillGuard
from ..memory.lazy_restore import LazyPages
from ..memory.space import userfaultfd_works
from ..memory.target import MemoryTarget
from ..state import journal as states
from ..state.journal import TARGET, Journal
from ..state.migration_lock import LockHeldError, MigrationLock, Owner
from ..transport.control import CONTROL, IN_USE_S, ControlServer, Request
from ..transport.wire import Channel, Message
from .armed_container import ArmedContainer
from .arrived_images import ArrivedImages
from .endings import STAGING_PREFIX, in_progress
from .facts import tell_facts
from .hook import HookResult, published_ports
from .listener import Listener
from .log_receiver import LogReceiver
from .put_back import PutBack
from .run_journal import RunJournal
from .settings import TargetSettings

IMAGES, FINAL = "images", "final"
# Answered at once, also while a restore is under way.
UNLOCKED = ("hello", "handover.status", "pages.offer")
RESTORE_TIMEOUT_S = 45.0
# Once it is settled here the source has so long to say that it is, too.
SETTLED_S = 30.0


class TargetAgent:
    """One migration on the target. :meth:`open` first, then :func:`detach`."""

    def __init__(self, settings: TargetSettings, client: Any) -> None:
        self._settings = settings
        self._client = client
        self._dir = migration_dir(settings.migration_id)
        self._images_dir = os.path.join(settings.images_dir, short_name(settings.migration_id), IMAGES)
        self._journal = Journal(settings.migration_id, TARGET)
        self._lazily = settings.lazy_restore and userfaultfd_works()
        self._memory = MemoryTarget(self._images_dir, chain=not self._lazily)
        self._put_back = PutBack()
        self._final = ArrivedImages(os.path.join(self._images_dir, FINAL), self._memory)
        self._container: ArmedContainer | None = None
        self._files: FileReceiver | None = None
        # Layers and logs are staged on Docker's disk, not in memory.
        engine = client.info()
        self._engine_id, docker_root = str(engine.get("ID", "")), engine["DockerRootDir"]
        self._staging = os.path.join(docker_root, "tmp", f"{STAGING_PREFIX}{settings.migration_id}")
        self._layers = LayerReceiver(client, self._staging)
        self._log = LogReceiver(docker_root, self._staging)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lazy: LazyPages | None = None
        self._tmpfs = TmpfsTarget(os.path.join(self._dir, "tmpfs"))
        self._prepared = False
        self._spec: dict[str, Any] = {}
        self._restored: dict[str, Any] = {}
        self._filling: InThread[None] | None = None
        self._run_journal = RunJournal(self._journal)
        self._hooked: InThread[HookResult] | None = None
        self._error: MigrationError | None = None
        self._incomplete = ""
        # The answer to `finish`, which may be lost.
        self._verified: dict[str, str] = {}

    def open(self, owner: Owner) -> int:
        """Take the lock on the service's name here, open port and control socket; returns the port.

        :param owner: of the lock.
        :raises MigrationError: the lock, the address or the port cannot be had.
        """
        settings = self._settings
        self._lock_of_name = MigrationLock(f"name-{settings.service}")
        try:
            self._lock_of_name.take(owner, patience_s=1.0)
        except LockHeldError as held:
            raise in_progress(settings.service, held.owner.migration_id, held.owner.started_by) from held
        try:
            # Before anything else is made here: by it whoever comes after a crash finds the rest.
            self._journal.write(
                states.OPEN,
                service=settings.service,
                images_dir=self._images_dir,
                staging_dir=self._staging,
                started_by=owner.started_by,
                opened=owner.since,
                engine_id=self._engine_id,
            )
            state_dir(settings.migration_id)
            os.makedirs(self._images_dir, mode=0o700, exist_ok=True)
            self._listener = Listener(
                settings.address, settings.port, settings.keys, self._dir, settings.idle_timeout_s
            )
            self._control = ControlServer(os.path.join(self._dir, CONTROL))
        except BaseException:
            self._wipe()
            self._journal.remove()
            self._lock_of_name.release()
            raise
        return self._listener.port

    def _wipe(self) -> None:
        self._layers.close()
        wipe(self._dir)
        wipe(os.path.dirname(self._images_dir))

    def leave_to_fork(self) -> None:
        """In the module's process, once a fork serves."""
        self._lock_of_name.leave()

    def serve(self) -> None:
        """Run until the migration is over on this side."""
        self._memory.prepare()
        self._listener.start(self._serve_source)
        self._control.start(
            {
                "status": lambda request: self._status(),
                "verify": lambda request: self._verify(),
                "finish": lambda request: self._finish(),
                "abort": self._control_abort,
            }
        )
        while not self._stop.wait(0.2):
            idle_s = time.monotonic() - self._last_word()
            settled = self._journal.state == states.SETTLED
            if self._filling is not None and self._filling.running:
                # It ends by itself, however long the source cannot be reached.
                continue
            over = settled or (self._filling is not None and self._filling.error is not None)
            if not self._in_use() and idle_s > (SETTLED_S if over else self._settings.idle_timeout_s):
                # What is settled, or runs, the journal says to whoever asks.
                with self._lock:
                    if not settled and not self._restored:
                        self._abort(f"nobody spoke to the target's agent for {idle_s:.0f} s")
                with contextlib.suppress(MigrationError):
                    self._run_journal.catch_up()
                break
        # The next migration may begin at once, on the same port.
        self._listener.close()
        self._lock_of_name.release()
        # The source still waits for an answer, or closes its connection now.
        self._listener.wait_until_left(5.0)
        self._control.close()
        self._wipe()

    def _last_word(self) -> float:
        filled_at = self._filling.ended_at if self._filling is not None else 0.0
        return max(self._listener.last_word, self._control.last_word, filled_at)

    def _in_use(self) -> bool:
        return bool(self._listener.connected or self._control.busy)

    # -- the source's connection --------------------------------------------------------------------

    def _serve_source(self, channel: Channel) -> None:
        handlers = self._handlers()
        while True:
            message = channel.receive()
            if message is None:
                return
            self._dispatch(message, channel, handlers)

    def _dispatch(
        self, message: Message, channel: Channel, handlers: dict[str, Callable[[Message, Channel], None]]
    ) -> None:
        handler = handlers.get(message.kind)
        if handler is None and message.kind.startswith("files.") and self._files is not None:
            handler = self._files.handlers.get(message.kind)
        try:
            if handler is None:
                raise TransferError(
                    f"the target's agent knows no message {message.kind}; same version on both?"
                )
            if message.kind in UNLOCKED:
                handler(message, channel)
            else:
                with self._lock:
                    handler(message, channel)
        except TransferError:
            raise
        except MigrationError as error:
            self._note_failure(message, error.message)
            channel.send("error", message=error.message, **error.result())
        except Exception as error:
            text = f"{message.kind} failed on the target: {type(error).__name__}: {error}"
            if isinstance(error, OSError) and error.errno == 28:
                text += ". Free space there, or give mec_migration_images_dir a larger tmpfs"
            self._note_failure(message, text)
            channel.send("error", message=text, phase="transfer", container_state="created")

    def _note_failure(self, message: Message, reason: str) -> None:
        """What is not complete is never restored, even if the source sends the mark without hearing of it."""
        if message.kind.startswith(("memory.", "files.", "handover.images")):
            self._incomplete = self._incomplete or reason

    def _handlers(self) -> dict[str, Callable[[Message, Channel], None]]:
        return {
            "hello": self._hello,
            "facts": tell_facts,
            "arm": self._arm,
            "finish": self._finish_message,
            "forget": self._forget,
            "dictionary": lambda message, channel: channel.take_shared(message),
            "handover.prepare": self._prepare,
            "handover.images": self._images,
            "handover.end": self._end_of_images,
            "handover.status": lambda message, channel: channel.send("ok", **self._status()),
            "handover.abort": self._abort_message,
            **self._memory.handlers,
            **self._layers.handlers,
            **self._log.handlers,
        }

    def _hello(self, message: Message, channel: Channel) -> None:
        if message.fields.get("migration_id") != self._settings.migration_id:
            raise MigrationError(f"this is the agent of migration {self._settings.migration_id}")
        channel.send("ok", zstd_ok=channel.can_unpack, clock_s=time.time())
        channel.allow_compression(bool(message.fields.get("zstd_ok")))

    def _arm(self, message: Message, channel: Channel) -> None:
        """Create the container as the source describes it and start it, up to where its memory is needed."""
        if self._container is not None and not self._container.destroyed:
            channel.send("ok", container_id=self._container.id, engine_id=self._journal.entry.engine_id)
            return
        fields = message.fields
        self._spec = dict(fields["spec"])
        os.makedirs(work := os.path.join(self._dir, "restore"), mode=0o700, exist_ok=True)
        container = ArmedContainer(self._client, self._spec, work)
        in_memory = self._tmpfs.make_trees(fields["in_memory"])
        names, policy = ("engine_id", "address", "container_id"), self._spec["restart_policy"]
        peer = {f"peer_{name}": str(fields.get(name, "")) for name in names}
        container.create(
            lambda made: self._journal.write(states.ARMED, container_id=made, restart_policy=policy, **peer)
        )
        self._container = container
        self._log.place(container.id)
        container.start()
        moved = {each: container.mount_sources[each] for each in fields["mounts"]}
        self._files = FileReceiver({ROOTFS_TREE: container.rootfs, **moved, **in_memory})
        channel.send("ok", container_id=container.id, engine_id=self._journal.entry.engine_id)

    def _prepare(self, message: Message, channel: Channel) -> None:
        """Before the freeze: is everything still waiting?"""
        container = self._armed()
        if not container.waiting:
            raise MigrationError(
                f"container {self._spec['name']} no longer waits on the target: "
                f"{container.start_error or 'docker start has returned'}",
                phase="handover",
                container_state="created",
            )
        hurry()
        self._final.begin(message.fields["descriptors"])
        self._put_back.take(message)
        if self._prepared:
            self._tmpfs.update({each["key"]: each["entries"] for each in message.fields["tmpfs"]})
        else:
            self._prepare_restore(container, message)
        if self._lazily:
            self._final.share(message, self._spec)
        ready = self._final.make_segments(message, container.allocate)
        channel.send("ok", rounds=self._memory.last_round, lazy=self._lazy is not None, segments=ready)

    def _prepare_restore(self, container: ArmedContainer, message: Message) -> None:
        if self._lazily:
            guard = KillGuard(container.kill)
            extents, memory, lean = self._final.extents, self._memory, message.flag("lean")
            work = container.work_dir
            self._lazy = LazyPages(work, extents, guard, memory.recent, memory.late, lean=lean)
        self._tmpfs.make(message.fields["tmpfs"])
        # Not by runc's option: before 1.2 it does not hand `ignore` on.
        config = self._tmpfs.criu_config + f"manage-cgroups={message.fields['cgroup_mode']}\n"
        container.prepare(self._final.directory, config, self._lazy is not None)
        self._prepared = True

    def _images(self, message: Message, channel: Channel) -> None:
        """CRIU's own images of the final dump."""
        self._final.take(message)
        if self._lazy is not None:
            # While the source dumps on, or sends its last words, and CRIU starts.
            self._final.look_for_extents(message)

    def _end_of_images(self, message: Message, channel: Channel) -> None:
        """The end-of-images mark: from here on the service may run here."""
        container = self._armed()
        if self._journal.state != states.ARMED:
            # Once taken back it has no effect any more, and it comes once only.
            raise MigrationError(f"the target is {self._journal.state} and takes no mark", phase="handover")
        if self._incomplete:
            raise MigrationError(
                self._incomplete, phase="handover", container_state="created", rolled_back=True
            )
        if int(message.fields["rounds"]) != self._memory.last_round:
            raise MigrationError(
                f"the source sent {message.fields['rounds']} rounds, {self._memory.last_round} are complete",
                phase="handover",
                container_state="created",
                rolled_back=True,
            )
        self._final.chain(self._lazily, container.allocate)
        self._put_back.take_peers(message, os.path.join(self._images_dir, FINAL))
        self._journal.write(states.RESTORING, lazy=self._lazy is not None)
        # The disk's milliseconds pass beside the restore; what is left is to give the file its name.
        running = InThread(lambda: self._journal.prepare(states.RUNNING))
        try:
            self._tmpfs.update(message.fields["tmpfs"])
            if self._lazy is not None:
                self._lazy.begin()
            figures = self._put_back.beside(lambda: container.restore(RESTORE_TIMEOUT_S))
        except Exception as error:
            # Nobody was told that it runs, so it need not.
            self._give_up(error)
            raise
        self._final.close()
        self._restored = figures
        self._filling = InThread(self._fill)
        try:
            # On disk before the answer: what is not there for whoever asks next must not be said.
            running.result()()
        finally:
            self._run_journal.runs()
        self._run_hook()
        channel.send("running", **figures)
        self._tmpfs.close()

    def _run_hook(self) -> None:
        hook, container_id, ports = self._settings.hook, self._armed().id, published_ports(self._spec)
        if hook.argv:
            self._hooked = InThread(lambda: hook.run(MEC_CONTAINER_ID=container_id, MEC_PORTS=ports))

    def _give_up(self, error: Exception) -> None:
        """The restore failed: make sure that nothing of it runs, then say so, durably.

        :raises MigrationError: processes are left; the journal stays as it is.
        """
        container = self._armed()
        self._error = error if isinstance(error, MigrationError) else MigrationError(repr(error))
        if not container.destroyed:
            container.destroy(self._error.message)
        self._journal.write(states.SETTLED, outcome=states.DESTROYED, reason=self._error.message)

    def _fill(self) -> None:
        """Once it runs: wait until it needs the source no more.

        :raises MigrationError: its memory will never be complete; it was ended.
        """
        self._put_back.run(self._armed().id)
        if self._lazy is not None:
            self._lazy.wait(timeout_s=110)
            self._restored.update(self._lazy.figures)
        if self._files is not None:
            # Whoever finds it filled after a power failure starts it from its files.
            self._files.sync()
        self._run_journal.complete()

    def _abort_message(self, message: Message, channel: Channel) -> None:
        self._refuse_if_running()
        self._abort(str(message.fields.get("reason", "the source gave up")))
        channel.send("ok", **self._status())

    def _finish_message(self, message: Message, channel: Channel) -> None:
        answer, timeout_s = self._verify(), float(message.fields.get("health_timeout_s") or 30)
        container_id = str(answer["container_id"])
        if not self._verified:
            said, removes_itself = self._armed().docker_said, bool(self._spec.get("auto_remove"))
            health = healthy_or_ended_well(self._client, container_id, timeout_s, said, removes_itself)
            self._verified = {"health": health, "how_it_ended": self._keep(container_id)}
        channel.send("ok", **{**answer, **self._verified, **self._status()})

    def _forget(self, message: Message, channel: Channel) -> None:
        """The source is settled: nobody will ask what became of the migration here."""
        if self._journal.state != states.SETTLED:
            raise MigrationError(f"it is in state {self._journal.state} and not settled on the target")
        if self._container is None or not self._container.destroyed or self._container.is_gone():
            # Keep the journal while a container may be left: it names it.
            self._wipe()
            self._journal.remove()
        self._stop.set()
        channel.send("ok")

    # -- the control socket -------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        with contextlib.suppress(MigrationError):
            self._run_journal.catch_up()
        return {
            "state": self._journal.state,
            "outcome": self._journal.entry.outcome,
            "port": self._listener.port,
            "reason": self._error.message if self._error else "",
            "log_tail": self._error.log_tail if self._error else "",
            "connected": self._listener.connected > 0,
            "received_bytes": self._listener.received_bytes,
            "silent_s": self._listener.silent_s,
            "busy": self._lock.locked(),
            "in_use": self._listener.connected > 0 or time.monotonic() - self._last_word() < IN_USE_S,
            "waiting": self._container is not None and self._container.waiting,
            "rounds": self._memory.last_round,
            "needs_source": not self._memory.late.complete,
            "figures": self._restored,
        }

    def _verify(self) -> dict[str, Any]:
        container = self._armed()
        if not self._restored:
            raise MigrationError(
                f"{self._settings.service} has not been restored here (state: {self._journal.state})",
                phase="verify",
            )
        if self._filling is not None:
            self._filling.result()
            self._run_journal.catch_up()
        container.wait_started()
        if self._files is not None:
            # What the service had brought to its disk must survive this host, too.
            self._files.sync()
        hooked = self._hooked.result()._asdict() if self._hooked is not None else {}
        told = {**self._put_back.told, **self._log.told, "on_handover": hooked}
        return dict(self._status(), container_id=container.id, **told)

    def _finish(self) -> dict[str, Any]:
        answer = self._verify()
        ended = self._keep(str(answer["container_id"]))
        self._stop.set()
        return dict(answer, state=states.SETTLED, how_it_ended=ended)

    def _keep(self, container_id: str) -> str:
        """It needs the source no more: its restart policy counts again; returns as :func:`give_back`."""
        spec = self._spec
        ended = give_back(self._client, container_id, spec["restart_policy"], bool(spec.get("auto_remove")))
        self._journal.write(states.SETTLED, outcome=states.KEPT)
        return ended

    def _control_abort(self, request: Request) -> dict[str, Any]:
        # In the lock: a restore that is under way is waited for, not destroyed at its end.
        with self._lock:
            if self._memory.late.complete or not request.fields.get("by_word"):
                self._refuse_if_running()
            self._abort(str(request.fields.get("reason", "aborted")))
        self._stop.set()
        return self._status()

    # -- both ---------------------------------------------------------------------------------------

    def _armed(self) -> ArmedContainer:
        if self._container is None:
            raise MigrationError("no container is armed on the target", phase="handover")
        return self._container

    def _refuse_if_running(self) -> None:
        if self._restored and self._armed().runs:
            raise MigrationError(
                f"{self._settings.service} runs on the target already; it is not destroyed. Should Docker "
                "there not know that (its daemon was killed while it started the container), Docker cannot "
                "take it over: end its processes and run the playbook mec.migration.resolve again to go on "
                "with the source's copy",
                container_state="running",
            )

    def _abort(self, reason: str) -> None:
        """Destroy what there is; proved, and on disk, when this returns."""
        if self._lazy is not None:
            self._lazy.close()
        if self._container is not None and not self._container.destroyed:
            self._container.destroy(reason)
        self._tmpfs.close()
        if self._journal.state != states.SETTLED:
            self._journal.write(states.SETTLED, outcome=states.DESTROYED, reason=reason)


def detach(agent: TargetAgent) -> None:
    """Let it go on as a process of its own; the caller returns."""
    fork_off(agent.serve, agent.leave_to_fork)
