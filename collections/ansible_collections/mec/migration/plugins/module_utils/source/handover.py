# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over, on the source: freeze, final dump, send, wait for the target's word.

Who may run: until the end-of-images mark is on its way, any failure thaws the source at once, because
the target cannot have started. After it the source thaws only on proof that the target has no copy.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..base.errors import InDoubtError, MigrationError
from ..base.page_ranges import RangeSet
from ..base.priority import hurry, no_hurry
from ..base.threads import InThread
from ..criu.dump import Dump, cgroup_mode, descriptors, external_mounts, masked_files
from ..criu.parent import ParentOfAll
from ..files.sync import FileSync
from ..files.tmpfs import TmpfsSource
from ..kernel.cgroup import Cgroup
from ..memory.source import MemorySource
from ..service.service import Service
from ..state.journal import Journal
from ..transport.wire import Channel
from .final_images import FinalImages, likely_content
from .precopy import shared_files


class Outcome(NamedTuple):
    """What the frozen window was made of. All ``_ms`` on the source's clock, except ``target``'s.

    ``started``: the moment of the freeze, seconds since the epoch. ``dump_note``: why CRIU could not pass
    over memory but had to walk through it; empty if it could.
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
    dump_note: str
    target: dict[str, Any]


class Guard:
    """A child that thaws the container if this process dies before the end-of-images mark.

    It is forked before anything is changed and waits for our end on a pipe.
    """

    def __init__(self, cgroup: Cgroup, dump: Dump, roll_back: Callable[[], None]) -> None:
        reader, self._writer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 0
            try:
                os.close(self._writer)
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if not os.read(reader, 1):
                    dump.outlive()
                    cgroup.thaw()
                    roll_back()
            except BaseException:  # the child must never return into the module
                code = 1
            finally:
                os._exit(code)
        os.close(reader)

    def release(self) -> None:
        """From here on the container is not thawed by the child."""
        if self._writer >= 0:
            os.write(self._writer, b"r")
            os.close(self._writer)
            self._writer = -1
            os.waitpid(self._child, 0)


class HandOver:
    """One hand-over. ``prepare`` before the freeze, ``run`` from freeze to the target's answer.

    :param reconnect: gives a new channel to the same receiver, to ask what became of the images.
    """

    def __init__(
        self,
        service: Service,
        channel: Channel,
        memory: MemorySource,
        files: FileSync,
        state_dir: str,
        journal: Journal,
        reconnect: Callable[[], Channel],
        answer_timeout_s: float,
    ) -> None:
        self._service = service
        self._channel = channel
        self._memory = memory
        self._files = files
        self._dir = state_dir
        self._journal = journal
        self._reconnect = reconnect
        self._answer_timeout_s = answer_timeout_s
        self._dump: Dump | None = None
        self._tmpfs: TmpfsSource | None = None
        self._guard: Guard | None = None
        self._dumping: InThread[dict[str, int]] | None = None
        self._parent_obstacle = ""

    def prepare(self) -> None:
        """All that can be paid before the freeze.

        :raises MigrationError: the target no longer waits; nothing was touched.
        """
        runc = self._service.runc
        external = [*external_mounts(runc), *masked_files(runc)]
        self._tmpfs = TmpfsSource(runc.pid, external)
        mode = cgroup_mode(runc)
        self._channel.request(
            "handover.prepare",
            descriptors=descriptors(runc.pid),
            tmpfs=self._tmpfs.as_fields(),
            cgroup_mode=mode,
        )
        self._channel.share(likely_content(self._service.cgroup.pids()))
        hurry()
        for name in ("images", "work"):
            path = os.path.join(self._dir, name)
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path, mode=0o700)
        parent = ParentOfAll(self._dir, self._service.processes().values())
        self._parent_obstacle = parent.obstacle
        self._dump = Dump(
            runc,
            self._service.cgroup.path,
            self._images,
            self._work,
            [mount.dump_option for mount in self._tmpfs.mounts],
            mode,
            None if parent.obstacle else parent,
        )
        self._guard = Guard(self._service.cgroup, self._dump, self._undo_restart_policy)
        self._journal.write(
            "frozen",
            service=self._service.name,
            container_id=self._service.id,
            restart_policy=self._service.restart_policy,
        )
        self._set_restart_policy({"Name": "no", "MaximumRetryCount": 0})

    def run(self, before: Callable[[], object]) -> Outcome:
        """Do what is to be done right *before*, then freeze, dump, send, wait.

        :raises MigrationError: it failed and the service runs on here (``rolled_back``).
        :raises InDoubtError: no one can tell whether the target runs it; it stays frozen here.
        """
        if self._dump is None or self._guard is None:
            raise MigrationError("run() before prepare()", phase="handover")
        guard = self._guard
        thawed = "was not frozen"
        try:
            before()
            thawed = "was thawed"
            outcome = self._frozen_window(guard, self._dump.run)
            # From here on only the target runs; what is frozen here is ended by the commit.
            self._journal.write("images_sent", target="running")
            return outcome
        except InDoubtError:
            # `docker ps` does not show it: runc refuses to pause what is frozen already.
            raise
        except MigrationError as error:
            self._roll_back()
            raise type(error)(
                f"{error.message.rstrip('.')}. The service {thawed} and runs on this host.",
                phase="handover",
                container_state="running",
                log_tail=error.log_tail,
                rolled_back=True,
            ) from error
        except BaseException:
            self._roll_back()
            raise
        finally:
            guard.release()
            self._dump.close()

    def _frozen_window(self, guard: Guard, dump_now: Callable[[], dict[str, int]]) -> Outcome:
        before_bytes = self._channel.sent_bytes
        compare = shared_files(self._service)
        started, start = time.time(), time.monotonic()
        # Nobody is served now who could be in its way.
        self._channel.limit(0)
        freeze_ms = self._service.cgroup.freeze()
        self._dumping = dumped = InThread(dump_now)
        memory_start = time.monotonic()
        pids = self._service.processes()
        memory = self._memory.round(self._channel, pids, frozen=True)
        files_start = time.monotonic()
        # Answers come in order: the round's first, then the files'.
        self._channel.answer("memory.round_end")
        self._files.round(self._channel, always_compare=compare)
        files_end = time.monotonic()
        images = FinalImages(self._images, self._memory)
        images.expect(pids)
        dump = dumped.result()
        dump_end = time.monotonic()
        missing = images.settle()
        images.send(self._channel)
        # After the images, which the target begins to read meanwhile.
        self._send_missing(pids, missing)
        images_end = time.monotonic()
        target = self._end_of_images(guard)
        end = time.monotonic()
        no_hurry()
        return Outcome(
            started=round(started, 3),
            frozen_ms=(end - start) * 1000,
            frozen_bytes=self._channel.sent_bytes - before_bytes,
            freeze_ms=freeze_ms,
            memory_ms=(files_start - memory_start) * 1000,
            files_ms=(files_end - files_start) * 1000,
            dump_ms=dump["dump_time_us"] / 1000,
            images_ms=(images_end - dump_end) * 1000,
            restore_wait_ms=(end - images_end) * 1000,
            pages_scanned=memory.pages_scanned,
            pages_changed=memory.pages_changed,
            dump_note=self._parent_obstacle,
            target=target,
        )

    def _send_missing(self, pids: dict[int, int], missing: dict[int, RangeSet]) -> None:
        """Send what CRIU left out and no round has sent: pages that it counts and our scan did not."""
        if not missing:
            return
        self._memory.round(self._channel, pids, frozen=True, only=missing)
        self._channel.answer("memory.round_end")
        for number, absent in missing.items():
            unread = absent - self._memory.known(number)
            if unread:
                raise MigrationError(
                    f"pages {unread} of process {number} could not be read", phase="handover"
                )

    def _end_of_images(self, guard: Guard) -> dict[str, Any]:
        """Send the mark and wait for the target's word; see the module's docstring for who may run."""
        tmpfs_changes = self._tmpfs.changed() if self._tmpfs is not None else {}
        guard.release()
        try:
            self._channel.set_timeout(self._answer_timeout_s)
            return self._channel.request(
                "handover.end", rounds=self._memory.rounds, tmpfs=tmpfs_changes
            ).fields
        except MigrationError as answer:
            if answer.rolled_back:
                raise
            return self._ask_again(answer)

    def _ask_again(self, lost: MigrationError) -> dict[str, Any]:
        """The answer is lost: ask the receiver anew what became of the images.

        :raises MigrationError: proof that the target has no copy.
        :raises InDoubtError: no proof to be had.
        """
        end = time.monotonic() + self._answer_timeout_s
        while time.monotonic() < end:
            try:
                channel = self._reconnect()
                try:
                    status = channel.request("handover.status").fields
                    if status["state"] == "armed":
                        # The mark never arrived, and after this it has no effect.
                        status = channel.request("handover.abort", reason=lost.message).fields
                finally:
                    channel.close()
            except MigrationError:
                time.sleep(0.2)
                continue
            if status["state"] in ("running", "committed"):
                return dict(status["figures"])
            if status["state"] == "destroyed":
                raise MigrationError(
                    f"The target has destroyed its copy: {status['reason'] or lost.message}.",
                    phase="handover",
                    container_state="absent",
                    log_tail=str(status["log_tail"]),
                )
            time.sleep(0.1)
        raise InDoubtError(
            f"the connection broke after the end-of-images mark ({lost.message}) and the target does not "
            f"answer, so no one can know whether {self._service.name} runs there. It stays frozen here. "
            "Run the playbook mec.migration.resolve when both hosts can be reached: it asks both and ends it",
            phase="handover",
            container_state="frozen",
        )

    def _roll_back(self) -> None:
        if self._dumping is not None:
            # CRIU freezes again what it found frozen; only after that a thaw lasts.
            self._dumping.wait()
        self._service.cgroup.thaw()
        self._undo_restart_policy()
        self._journal.write("rolled_back")

    def _undo_restart_policy(self) -> None:
        self._set_restart_policy(self._service.restart_policy)

    def _set_restart_policy(self, policy: dict[str, Any]) -> None:
        if self._service.restart_policy.get("Name") not in ("", "no", None):
            self._service.client.update_container(self._service.id, restart_policy=policy)

    @property
    def _images(self) -> str:
        return os.path.join(self._dir, "images")

    @property
    def _work(self) -> str:
        return os.path.join(self._dir, "work")
