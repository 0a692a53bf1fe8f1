# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over, on the source: freeze, final dump, send, wait for the target's word.

Who may run: until the end-of-images mark is on its way, any failure thaws the source at once, because
the target cannot have started. After it only one thing thaws the source: the target's word that its copy is
destroyed, which the target has on its disk before it says so. An error of whatever kind on this side is no
proof.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from ..base.errors import DestroyedError, InDoubtError, MigrationError, TransferError
from ..base.page_ranges import RangeSet
from ..base.priority import hurry, no_hurry
from ..base.threads import InThread
from ..criu.dump import Dump, cgroup_mode, lazily, standard_streams
from ..criu.parent import ParentOfAll
from ..criu.removed_names import removed_names
from ..docker.changes import refuse_changed
from ..docker.client import docker_client
from ..docker.reconnected_mounts import reconnected_mounts
from ..docker.restart_policy import give_back_on_source, is_policy, take_away
from ..files.sync import FileSync
from ..files.tmpfs import TmpfsSource, TmpfsTrees
from ..kernel import settings
from ..kernel.identity import needed_identity
from ..kernel.mptcp import holds_mptcp
from ..kernel.processes import has_ended, start_time
from ..kernel.removed_files import removed_on
from ..kernel.watches import watches
from ..memory import copy_on_write
from ..memory.shared_memory import Segment, givable_segments
from ..memory.source import MemorySource, RoundResult
from ..service.executed import HEALTH_CHECK_S
from ..service.inventory import causes_now
from ..service.service import Service
from ..service.unread import unread
from ..state import journal as states
from ..state.journal import Journal
from ..transport.wire import Channel
from .final_images import FinalImages, likely_content
from .log_copy import LogCopy
from .outcome import Outcome
from .page_server import LeftPages, PageServer
from .precopy import mapped_files
from .thaw_guard import ThawGuard
from .unwritten_pages import to_nowhere

# Below this size CRIU reads the images sooner than the target could make the segment.
LARGE_SEGMENT_BYTES = 4 << 20
# For a health check that begins in the last moment. What is written meanwhile is sent in the window.
CHECK_PATIENCE_S, CHECK_POLL_S = 0.5, 0.005


class HandOver:
    """One hand-over. ``prepare`` before the freeze, ``run`` from freeze to the target's answer.

    :param reconnect: gives a new channel to the same receiver, to ask what became of the images.
    :param in_memory: the tmpfs mounts that *files* has among its trees.
    :param page_server: for post-copy; None where nothing may be left to be fetched.
    :param log: what the container printed since it was last sent goes before the mark.
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
        in_memory: TmpfsTrees,
        log: LogCopy,
        page_server: PageServer | None = None,
    ) -> None:
        self._service = service
        self._channel = channel
        self._memory = memory
        self._files = files
        self._dir = state_dir
        self._journal = journal
        self._reconnect = reconnect
        self._answer_timeout_s = answer_timeout_s
        self._in_memory = in_memory
        self._log = log
        self._page_server = page_server
        # Whether what is left is fetched after the freeze; decided right before it.
        self.leave_pages = False
        # Seconds since the epoch: what Docker was told before that the target knows.
        self.held_since = 0.0
        self._dump: Dump | None = None
        self._tmpfs: TmpfsSource | None = None
        self._guard: ThawGuard | None = None
        # Whether the mark may have been sent.
        self._marked = False
        self._dumping: InThread[dict[str, int]] | None = None
        self._note_mark: Callable[[], None] = lambda: None
        self._marking: InThread[None] | None = None
        self._images_now: FinalImages | None = None
        self._frozen_pids: list[int] = []
        self._parent_obstacle = ""
        # Shared memory that the target has made.
        self._ready: set[int] = set()

    def prepare(self) -> None:
        """All that can be paid before the freeze.

        :raises MigrationError: the target no longer waits; nothing was touched.
        """
        runc, pids = self._service.runc, self._service.processes()
        removed = removed_on(pids)
        self._tmpfs = TmpfsSource(runc.pid, reconnected_mounts(runc), removed, self._in_memory)
        mode = cgroup_mode(runc)
        segments = self._large_segments()
        self._channel.ask(
            "handover.prepare",
            segments=segments,
            descriptors=standard_streams(runc.pid),
            tmpfs=self._tmpfs.as_fields(),
            cgroup_mode=mode,
            lean=self._memory.lean,
            settings=settings.read(pids).as_fields(),
            **copy_on_write.as_fields(pids),
        )
        # While the target's runtime starts, which takes it twice as long.
        hurry()
        with contextlib.ExitStack() as undo:
            try:
                dump = self._start_dump(mode, self._tmpfs)
                undo.callback(dump.close)
                content = likely_content(self._service.pids())
            finally:
                # Else the next message's answer would be taken for this one's.
                answer = self._channel.answer("handover.prepare")
            wanted = {segment.number for segment in segments}
            self._ready = wanted.intersection(answer.integers("segments"))
            if self._page_server is not None:
                if not answer.flag("lazy"):
                    raise MigrationError(
                        "post-copy was asked for, and the target cannot restore lazily: its kernel has no "
                        "userfaultfd, or migrate_lazy_restore is off. Choose migrate_postcopy=never or "
                        "another target",
                        phase="handover",
                    )
                self._page_server.start()
            self._channel.share(content)
            refuse_changed(self._service.client, self._service.inspected)
            self._hold(dump)
            undo.pop_all()
        self._dump = dump

    def _start_dump(self, mode: str, tmpfs: TmpfsSource) -> Dump:
        """Start CRIU, up to where it would look at the processes."""
        for name in ("images", "work"):
            path = os.path.join(self._dir, name)
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path, mode=0o700)
        runc, pids = self._service.runc, self._service.processes()
        parent = ParentOfAll(self._dir, pids.values())
        self._parent_obstacle = parent.obstacle
        lazy = lazily(pids)
        if lazy and not parent.obstacle:
            # Else the images of processes hold their memory, too.
            to_nowhere(self._images, pids, self._memory)
        return Dump(
            runc,
            self._service.cgroup.path,
            self._images,
            self._work,
            [mount.dump_option for mount in tmpfs.mounts],
            mode,
            None if parent.obstacle else parent,
            lazy=lazy,
            watched=watches(runc.pid, pids).paths,
            identity=needed_identity(pids),
            mptcp=holds_mptcp(pids),
        )

    def _hold(self, dump: Dump) -> None:
        """From here on this host's records say that the service may be frozen, and a guard would thaw it."""
        self._guard = ThawGuard(self._service.cgroup, dump, self._settle_after_our_death)
        try:
            self._journal.write(
                states.FROZEN,
                service=self._service.name,
                container_id=self._service.id,
                restart_policy=self._service.restart_policy,
            )
            # Docker must not start the source's copy again after a reboot, beside the target's.
            if is_policy(self._service.restart_policy):
                take_away(self._service.client, self._service.inspected)
            # Half of what the disk takes for it comes before the freeze.
            self._note_mark = self._journal.prepare(states.MARK_SENT)
            self.held_since = time.time()
        except BaseException:
            self._guard.release()
            self._settle_rolled_back()
            raise

    def _large_segments(self) -> list[Segment]:
        """Shared memory that takes CRIU long to read, and that the target can make before."""
        large = [
            number
            for number in self._memory.segments
            if self._memory.known(number).size_bytes >= LARGE_SEGMENT_BYTES
        ]
        if not large:
            return []
        try:
            givable = givable_segments(self._service.pids())
        except OSError:
            # Something has ended meanwhile.
            return []
        return [givable[number] for number in large if number in givable]

    def run(self, before: Callable[[], object]) -> Outcome:
        """Do what is to be done right *before*, then freeze, dump, send, wait.

        :raises MigrationError: it failed and the service runs on here (``rolled_back``).
        :raises InDoubtError: no one can tell whether the target runs it, or what is here could not be thawed;
            it stays frozen here.
        """
        if self._dump is None or self._guard is None:
            raise MigrationError("run() before prepare()", phase="handover")
        thawed = "was not frozen"
        try:
            # Before the last rounds, as the service writes while it is waited for.
            self._wait_for_check(time.monotonic() + HEALTH_CHECK_S)
            before()
            thawed = "was thawed"
            outcome = self._frozen_window(self._guard, self._dump.run)
            # From here on only the target runs; what is frozen here is ended by the commit.
            self._journal.write(states.HANDED_OVER)
            return outcome._replace(unread=unread(self._service.runc.pid, self._frozen_pids))
        except BaseException as error:
            if self._marked and not isinstance(error, DestroyedError):
                raise self._in_doubt(error) from error
            ended, left = self._roll_back(error)
            if not isinstance(error, MigrationError):
                raise
            # One that has ended may be started anew.
            runs = not ended or os.path.exists(self._service.cgroup.path)
            what = f"did not go on here: {ended}" if ended else f"{thawed} and runs on this host"
            raise type(error)(
                f"{error.message.rstrip('.')}. The service {what}.{left}{causes_now(self._service)}",
                phase="handover",
                container_state="running" if runs else "exited",
                log_tail=error.log_tail,
                rolled_back=True,
            ) from error
        finally:
            with contextlib.suppress(OSError):
                self._guard.release()
            self._dump.close()

    def _in_doubt(self, error: BaseException) -> InDoubtError:
        """For any failure after the mark: nothing is thawed, and the error says what to do."""
        if isinstance(error, InDoubtError):
            return error
        what = error.message if isinstance(error, MigrationError) else repr(error)
        return InDoubtError(
            f"the hand-over of {self._service.name} broke after the end-of-images mark: {what.rstrip('.')}. "
            "The target may run it, so it stays frozen here. Run the playbook mec.migration.resolve when "
            "both hosts can be reached: it asks both and ends it",
            phase="handover",
            container_state="frozen",
        )

    def _freeze(self) -> tuple[float, float, dict[int, int]]:
        """Freeze; if a health check asks the service then, thaw, wait for its end, and freeze again.

        :return: when it began, on the monotonic clock, and how long it took, in ms; the processes that move.
        """
        end = time.monotonic() + CHECK_PATIENCE_S
        while True:
            start = time.monotonic()
            freeze_ms = self._service.cgroup.freeze()
            pids = self._service.processes()
            if time.monotonic() > end or not self._service.asked_by_check(pids):
                return start, freeze_ms, pids
            self._service.cgroup.thaw()
            self._wait_for_check(end)

    def _wait_for_check(self, end: float) -> None:
        """Until no health check asks the service, but not beyond *end*, a moment of the monotonic clock."""
        while time.monotonic() < end and self._service.asked_by_check(self._service.processes()):
            time.sleep(CHECK_POLL_S)

    def _frozen_window(self, guard: ThawGuard, dump_now: Callable[[], dict[str, int]]) -> Outcome:
        before_bytes = self._channel.sent_bytes
        mapped = mapped_files(self._service)
        # Nobody is served now who could be in its way.
        self._channel.limit(0)
        start, freeze_ms, pids = self._freeze()
        self._frozen_pids = list(pids)
        started = time.time() - (time.monotonic() - start)
        self._service.cgroup.prepare_seizing()
        self._images_now = images = FinalImages(self._images, self._memory, self._ready)
        self._dumping = dumped = InThread(dump_now)
        # It takes the disk some milliseconds, which pass beside the dump. Being early does no harm: until the
        # mark is really sent this process and its guard know better, and once both are dead nobody may thaw.
        self._marking = marked = InThread(self._note_mark)
        memory_start = time.monotonic()
        images.compare(pids)
        memory = self._last_round(pids)
        files_start = time.monotonic()
        # Answers come in order: the round's first, then the files'.
        self._channel.answer("memory.round_end")
        self._files.round(self._channel, mapped=mapped, last=True)
        files_end = time.monotonic()
        images.expect(pids)
        images.send_early(self._channel, lambda: dumped.running)
        dump = dumped.result()
        dump_end = time.monotonic()
        missing = images.settle()
        self._files.add_names(self._channel, removed_names(images.files, pids), self._service.runc.pid)
        images.send(self._channel)
        # After the images, which the target begins to read meanwhile.
        self._send_missing(pids, missing)
        images_end = time.monotonic()
        # Docker writes for some milliseconds what the service had printed when it was frozen.
        self._log.send_new(self._channel)
        marked.result()
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
            left_bytes=self._page_server.left_bytes if self._page_server is not None else 0,
            dump_note=self._parent_obstacle,
            files_note=self._files.note,
            target=target,
        )

    def _last_round(self, pids: dict[int, int]) -> RoundResult:
        """Send what has changed since the last round, or leave it to be fetched."""
        if self._page_server is None or not self.leave_pages:
            return self._memory.round(self._channel, pids, frozen=True)
        done, left = self._memory.leave(self._channel, pids)
        self._page_server.serve(
            {pids[pid]: LeftPages(pid, start_time(pid), pages) for pid, pages in left.items()}
        )
        return done

    def _send_missing(self, pids: dict[int, int], missing: dict[int, RangeSet]) -> None:
        """Send what CRIU left out and no round has sent: pages that it counts and our scan did not.

        Some came in between: of frozen memory, too, the kernel makes huge pages (khugepaged), with zeros
        where nothing was.
        """
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

    def _end_of_images(self, guard: ThawGuard) -> dict[str, Any]:
        """Send the mark and wait for the target's word; see the module's docstring for who may run."""
        tmpfs_changes = self._tmpfs.changed() if self._tmpfs is not None else {}
        peers = [list(peer) for peer in self._images_now.peers] if self._images_now is not None else []
        guard.release()
        self._marked = True
        try:
            self._channel.set_timeout(self._answer_timeout_s)
            return self._channel.request(
                "handover.end", rounds=self._memory.rounds, tmpfs=tmpfs_changes, peers=peers
            ).fields
        except (MigrationError, OSError) as answer:
            return self._ask_again(
                answer if isinstance(answer, MigrationError) else TransferError(str(answer))
            )

    def _ask_again(self, lost: MigrationError) -> dict[str, Any]:
        """The answer is an error or is lost: ask the target anew what became of the images.

        :raises DestroyedError: proof that the target has no copy.
        :raises InDoubtError: no proof to be had.
        """
        end = time.monotonic() + self._answer_timeout_s
        while time.monotonic() < end:
            try:
                channel = self._reconnect()
                try:
                    status = channel.request("handover.status").fields
                    if status["state"] in (states.OPEN, states.ARMED):
                        # The mark never arrived or was refused, and after this it has no effect.
                        status = channel.request("handover.abort", reason=lost.message).fields
                finally:
                    channel.close()
            except (MigrationError, OSError):
                time.sleep(0.2)
                continue
            if status["state"] in (states.RUNNING, states.FILLED) or status["outcome"] == states.KEPT:
                return dict(status["figures"])
            if status["state"] == states.SETTLED and status["outcome"] == states.DESTROYED:
                raise DestroyedError(
                    f"The target has destroyed its copy: {status['reason'] or lost.message}.",
                    phase="handover",
                    container_state="absent",
                    log_tail=str(status["log_tail"]),
                )
            time.sleep(0.1)
        raise InDoubtError(
            f"the end-of-images mark was sent, no answer came ({lost.message}) and the target does not "
            f"say what became of it, so no one can know whether {self._service.name} runs there. It stays "
            "frozen here. Run the playbook mec.migration.resolve when both hosts can be reached: it asks "
            "both and ends it",
            phase="handover",
            container_state="frozen",
        )

    def _roll_back(self, reason: BaseException) -> tuple[str, str]:
        """Let the service run on here.

        :returns: how it has ended if it has, meanwhile; as a sentence, what could not be given back to it.
        :raises InDoubtError: it could not be thawed.
        """
        # CRIU freezes again what it found frozen; only after its end a thaw lasts.
        for beside in (self._dumping, self._marking):
            if beside is not None:
                beside.wait()
        if self._images_now is not None:
            self._images_now.wait()
        if self._dump is not None:
            self._dump.close()
        try:
            self._service.cgroup.thaw()
        except MigrationError as error:
            if error.container_state != "exited":
                raise InDoubtError(
                    f"{str(reason).rstrip('.')}. {self._service.name} runs nowhere: {error.message}. When "
                    "that is mended run the playbook mec.migration.resolve",
                    phase="handover",
                    container_state=error.container_state,
                ) from error
        ended = "it has ended" if has_ended(self._service.runc.pid) else ""
        try:
            ended = self._settle_rolled_back() or ended
        except Exception as error:
            what = "What it had before could not be given back to it"
            return ended, f" {what}, so run the playbook mec.migration.resolve: {error}"
        return ended, ""

    def _settle_after_our_death(self) -> None:
        """In the guard, which must not speak to Docker over connections that it has in common with us."""
        self._service.client = docker_client()
        self._settle_rolled_back()

    def _settle_rolled_back(self) -> str:
        """What is left to do once the service runs: its restart policy, then the journal.

        :returns: how it has ended, if it was killed meanwhile, and what became of it.
        """
        service = self._service
        ended = give_back_on_source(
            service.client,
            service.id,
            service.restart_policy,
            service.runc.pid,
            bool(service.spec.get("auto_remove")),
        )
        self._journal.write(states.SETTLED, outcome=states.ROLLED_BACK)
        return ended

    @property
    def _images(self) -> str:
        return os.path.join(self._dir, "images")

    @property
    def _work(self) -> str:
        return os.path.join(self._dir, "work")
