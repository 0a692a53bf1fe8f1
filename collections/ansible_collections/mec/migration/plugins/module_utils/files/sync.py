# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's half of file synchronisation: find what changed in the trees, send it, remember it.

It runs in rounds while the service runs, and once more while it is frozen. What was acknowledged by
the target is remembered between rounds, so that a round costs a scan plus what changed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple

from ..base.errors import MigrationError
from ..kernel.rooted import Root
from ..kernel.storage import storage
from ..transport.wire import Channel
from .batch import Batch
from .known_blocks import KnownBlocks
from .links import name_that_stays, place, send_name
from .round import Held, TreeRound
from .scan import scan
from .trees import ROOTFS_TREE, Tree

Progress = Callable[[dict[str, Any]], None]


class FileRound(NamedTuple):
    """What one round found and sent.

    ``changed_files`` and ``deleted_files`` count paths of any type; ``scanned`` all paths seen.
    """

    changed_files: int
    deleted_files: int
    sent_bytes: int
    scanned: int
    scan_ms: float
    total_ms: float


class FileSync:
    """Keeps trees of files on the target equal to those on this host.

    Call :meth:`prepare` once after each connect, then :meth:`round` as often as wanted. The last
    round is an ordinary one: the service is frozen, so nothing changes behind it.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = tuple(trees)
        self._token = ""
        self._held: dict[str, Held] = {tree.name: Held() for tree in trees}
        self._roots: dict[str, Root] = {}
        self._blocks = KnownBlocks()
        self._full: set[str] = set()
        # Paths that an unacknowledged round may have touched on the target.
        self._unknown: dict[str, set[str]] = {}
        # Files that were mapped when a round began.
        self._mapped: set[str] = set()
        # Trees that both hosts have: what the service writes is there, and what others write must stay.
        self.shared: frozenset[str] = frozenset()
        self._pending: dict[str, Held] | None = None
        self._pending_token = ""
        self._prepared = False

    @property
    def note(self) -> str:
        """Why large files are read whole when they change; empty if they are not."""
        return self._blocks.note

    # -- the rounds ------------------------------------------------------------------------------

    def prepare(self, channel: Channel) -> None:
        """Agree with the target about what it holds: one round trip, before the freeze.

        :raises MigrationError: the target has no such trees.
        """
        answer = channel.request(
            "files.begin",
            token=self._token,
            trees=[
                {
                    "name": tree.name,
                    "overlay": tree.overlay,
                    "excluded": sorted(tree.excluded()),
                    "storage": _storage(tree),
                }
                for tree in self.trees
            ],
        ).fields
        self.shared = frozenset(answer.get("shared", ()))
        self._pending = None
        if answer["known"]:
            self._full = set()
            self._unknown = {name: set(paths) for name, paths in answer["unacknowledged"].items()}
            for name, paths in self._unknown.items():
                paths.update(self._held[name].below(answer["emptied"][name]))
                for path in paths:
                    self._held[name].drop(path)
        else:
            self._token = ""
            self._held = {tree.name: Held() for tree in self.trees}
            # The end of a full round takes away what was not named in it: never of what is shared.
            self._full = {tree.name for tree in self.trees} - self.shared
            self._unknown = {}
        self._prepared = True

    def round(
        self,
        channel: Channel,
        *,
        mapped: Iterable[str] = (),
        last: bool = False,
        progress: Progress | None = None,
    ) -> FileRound:
        """Send what changed since the last acknowledged round and wait for the acknowledgement.

        Nothing changed: nothing is sent, no round trip.

        :param mapped: what :func:`shared_writable_files` says right before it. The last round compares all
            that was ever among them, even where their times did not change, the others only what is in
            memory.
        :param last: the container is frozen.
        :param progress: gets ``{"tree": name, "sent_bytes": n}`` after each message.
        :raises MigrationError: the target could not apply it (no space, say).
        :raises TransferError: the connection broke; connect, :meth:`prepare` and try again.
        """
        started = time.monotonic()
        result = self.send(channel, mapped=mapped, last=last, progress=progress)
        sent_bytes = result.sent_bytes
        fields = self.commit_fields()
        if fields is not None:
            sent_bytes += channel.ask("files.commit", **fields)
            channel.answer("files.commit")
            self.acknowledged()
        return result._replace(sent_bytes=sent_bytes, total_ms=_ms(time.monotonic() - started))

    def send(
        self,
        channel: Channel,
        *,
        mapped: Iterable[str] = (),
        last: bool = False,
        progress: Progress | None = None,
    ) -> FileRound:
        """As :meth:`round`, without commit and answer.

        For a caller whose own message ends the round: it puts :meth:`commit_fields` into it, the
        target hands them to ``FileReceiver.commit``, and :meth:`acknowledged` is called on success.
        """
        if not self._prepared:
            raise MigrationError("a file round needs prepare() on its connection", phase="pre-copy")
        # Until the round is acknowledged, a next one needs to hear from the target what arrived.
        self._prepared = False
        started = time.monotonic()
        compare = self._by_tree(self._in_doubt(mapped, last))
        pending: dict[str, Held] = {}
        changed = deleted = sent_bytes = scanned = 0
        scan_s = 0.0
        for tree in self.trees:
            if tree.name in self.shared:
                pending[tree.name] = self._held[tree.name]
                continue
            report = None
            if progress is not None:
                report = _reporter(progress, tree.name)
            part = TreeRound(
                tree,
                self._root(tree),
                self._held[tree.name],
                self._unknown.get(tree.name, set()),
                Batch(channel, tree.name, report),
                self._blocks,
            )
            pending[tree.name] = part.run(compare.get(tree.name, set()), last=last)
            changed += part.changed
            deleted += part.deleted
            sent_bytes += part.batch.sent_bytes
            scanned += part.scanned
            scan_s += part.scan_s
        self._pending = pending
        self._pending_token = ""
        if sent_bytes or self._full:
            self._pending_token = secrets.token_hex(8)
        else:
            self.acknowledged()
        return FileRound(
            changed,
            deleted,
            sent_bytes,
            scanned,
            _ms(scan_s),
            _ms(time.monotonic() - started),
        )

    def commit_fields(self) -> dict[str, Any] | None:
        """What the target's ``FileReceiver.commit`` needs; None where there is nothing to commit."""
        if self._pending is None or not self._pending_token:
            return None
        return {"token": self._pending_token, "full": sorted(self._full - self.shared)}

    def acknowledged(self) -> None:
        """The target has committed what the last :meth:`send` sent."""
        if self._pending is None:
            return
        self._held = self._pending
        self._token = self._pending_token or self._token
        self._pending, self._full, self._unknown = None, set(), {}
        self._prepared = True

    def add_names(self, channel: Channel, names: Iterable[tuple[str, str]], pid: int) -> None:
        """After the last round, in the frozen container: give files further names on the target.

        :param names: absolute paths in the container, and paths below /proc that lead to the files.
        :param pid: a process of the container.
        :raises MigrationError: one is not in what moves, or the target could not make it.
        """
        places = [place(self.trees, pid, path, opened) for path, opened in names]
        added = [new for new in places if new is not None]
        for new in added:
            tree = new.tree
            shared = tree.name in self.shared
            stats = scan(self._root(tree), tree.excluded()) if shared else self._held[tree.name].stats
            made = {each.path for each in added if each.tree is tree}
            others = {path: status for path, status in stats.items() if path not in made}
            stays = name_that_stays(new, others, pid)
            if shared and not stays:
                raise MigrationError(
                    f"a file of {tree.destination} is open by a name that was removed, and no other one is "
                    "in what both hosts share. Let the service open it by a name that stays",
                    phase="handover",
                )
            batch = Batch(channel, tree.name)
            send_name(new, stays, batch)
            batch.flush()
        if added:
            token = secrets.token_hex(8)
            channel.request("files.commit", token=token, full=[])
            self._token = token

    def close(self) -> None:
        for root in self._roots.values():
            root.close()
        self._roots = {}
        self._blocks.close()

    # -- helpers ---------------------------------------------------------------------------------

    def _in_doubt(self, mapped: Iterable[str], last: bool) -> Iterable[str]:
        """Files whose content may have changed although their times did not.

        A page that is written through a mapping changes the times only the first time until the kernel has
        written it to the disk. So a file that was mapped before, and is not any more, is in doubt, too. The
        disk is heard of sooner or later; for a tmpfs there is none.
        """
        now = set(mapped)
        self._mapped |= now
        if last:
            return self._mapped
        below = tuple(tree.destination.rstrip("/") + "/" for tree in self.trees if tree.in_memory)
        return [path for path in now if below and path.startswith(below)]

    def _root(self, tree: Tree) -> Root:
        if tree.name not in self._roots:
            try:
                self._roots[tree.name] = Root(tree.path)
            except OSError as error:
                raise MigrationError(
                    f"cannot read the {tree.name} tree at {tree.path}: {error}", phase="pre-copy"
                ) from error
        return self._roots[tree.name]

    def _by_tree(self, container_paths: Iterable[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        nested = sorted(self.trees, key=lambda tree: len(tree.destination), reverse=True)
        for path in container_paths:
            for tree in nested:
                below = tree.destination.rstrip("/") + "/"
                if path.startswith(below):
                    found.setdefault(tree.name, set()).add(path[len(below) :])
                    break
                if path == tree.destination:  # a single file that is bind-mounted
                    break
        return found


def _storage(tree: Tree) -> dict[str, Any] | None:
    """For the target, to find out that both hosts share it; None for what is made for one container."""
    if tree.name == ROOTFS_TREE or tree.in_memory:
        return None
    try:
        return storage(tree.path)._asdict()
    except OSError as error:
        raise MigrationError(
            f"cannot read the {tree.name} tree at {tree.path}: {error}", phase="pre-copy"
        ) from error


def _reporter(progress: Progress, tree: str) -> Callable[[int], None]:
    return lambda sent_bytes: progress({"tree": tree, "sent_bytes": sent_bytes})


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
