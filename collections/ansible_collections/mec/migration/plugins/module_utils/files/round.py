# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree in one round of file synchronisation: from a scan to the operations that repeat it."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from typing import Any

from ..base.errors import PreflightError, TransferError
from ..kernel.rooted import Root
from .batch import Batch, Operation
from .content import MAX_WHOLE_BYTES, Content
from .known_blocks import MIN_BYTES, KnownBlocks
from .scan import OVERLAY_XATTR_PREFIX, Stat, metadata, read_extra, read_xattrs, scan
from .trees import Tree

# A file that is written twice within one tick of the kernel's clock keeps its times. The tick is 10
# ms at most (CONFIG_HZ=100); file systems that store whole seconds show it by their zeros.
CLOCK_TICK_NS = 20_000_000
COARSE_TICK_NS = 2_000_000_000
UNTRUSTED_NS = -1

VANISHED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ESTALE))

Inode = tuple[int, int]


class Held:
    """What the target holds of one tree, as far as it has acknowledged it."""

    def __init__(self) -> None:
        self.stats: dict[str, Stat] = {}
        self.digests: dict[str, bytes] = {}
        # Of those paths that have any, see :func:`read_extra`.
        self.extra: dict[str, dict[str, Any]] = {}
        self.replaced: dict[str, int] = {}
        """Opaque directories, with the inode number for which the target emptied its own."""

    def copy_below(self, current: dict[str, Stat]) -> Held:
        """What stays known of the paths of a new scan."""
        copy = Held()
        copy.stats = current
        gone = self.stats.keys() - current.keys()
        copy.digests = dict(self.digests)
        copy.extra = dict(self.extra)
        copy.replaced = dict(self.replaced)
        for path in gone:
            copy.drop_details(path)
        return copy

    def below(self, directories: Iterable[str]) -> set[str]:
        """The paths that lie in one of *directories*."""
        prefixes = tuple(f"{path}/" if path else "" for path in directories)
        return {path for path in self.stats if path and path.startswith(prefixes)} if prefixes else set()

    def drop_details(self, path: str) -> None:
        self.digests.pop(path, None)
        self.extra.pop(path, None)
        self.replaced.pop(path, None)

    def drop(self, path: str) -> None:
        self.stats.pop(path, None)
        self.drop_details(path)

    def distrust(self, path: str) -> None:
        """The target has something at *path*, but nobody knows what."""
        self.drop_details(path)
        self.stats[path] = self.stats[path]._replace(ino=0, ctime_ns=UNTRUSTED_NS)


class TreeRound:
    """Sends what changed in one tree since what the target holds.

    :param unknown: paths that an unacknowledged round may have touched on the target.
    :param blocks: what is known of large files' content without reading it.
    """

    def __init__(
        self, tree: Tree, root: Root, held: Held, unknown: set[str], batch: Batch, blocks: KnownBlocks
    ) -> None:
        self.tree = tree
        self.root = root
        self.held = held
        self.unknown = unknown
        self.batch = batch
        self.blocks = blocks
        self.frozen = False
        self.changed = self.deleted = self.scanned = 0
        self.scan_s = 0.0
        self.next = Held()
        # Paths of which the target holds nothing any more, although it acknowledged something.
        self._emptied: set[str] = set()
        self._new_inodes: set[Inode] = set()
        self._touched_directories: set[str] = set()

    def run(self, compare: set[str], *, last: bool = False) -> Held:
        """Send what changed; returns what the target holds once it has acknowledged that.

        :param compare: paths whose content is compared even if their times did not change.
        :param last: nothing changes any more. Of a tree in memory all files are compared: what wrote
            through a mapping that is gone again left no trace of it.
        """
        started_ns = time.time_ns()
        started = time.monotonic()
        self.frozen = last
        current = scan(self.root, self.tree.excluded())
        self.scanned = len(current)
        self.scan_s = time.monotonic() - started
        held = self.held.stats
        changed = {path for path, status in current.items() if held.get(path) != status}
        changed |= compare & current.keys()
        if last and self.tree.in_memory:
            changed |= {path for path, status in current.items() if stat.S_ISREG(status.mode) and status.size}
        if not changed and current.keys() == held.keys() and self.unknown <= held.keys():
            return self.held
        self.next = self.held.copy_below(current)

        replaced = self._find_replaced(current, changed) if self.tree.overlay else set()
        self._send_deleted(current)
        links = self._links(current, changed) if changed else {}
        if not last:
            self.blocks.follow(self.root, (path for path in sorted(changed) if _is_large(current[path])))
        for path in sorted(changed - links.keys()):
            self._send_path(path, current[path], replace=path in replaced)
        for path, leader in sorted(links.items()):
            self._send_link(path, leader)
        self._send_directories(changed)
        self.batch.flush()
        self._distrust_recent(started_ns, changed)
        return self.next

    # -- what changed ----------------------------------------------------------------------------

    def _find_replaced(self, current: dict[str, Stat], changed: set[str]) -> set[str]:
        """Opaque directories that the target has not emptied yet; everything below is sent anew.

        :raises PreflightError: the upperdir means something that only its merged mount can tell.
        """
        replaced = set()
        for path in changed:
            status = current[path]
            if stat.S_ISDIR(status.mode):
                own = self._overlay_xattrs(path)
                if f"{OVERLAY_XATTR_PREFIX}redirect" in own:
                    raise self._refused(
                        path,
                        "is a directory that was renamed (overlayfs redirect_dir)",
                        "Load overlay with redirect_dir=off",
                    )
                opaque = own.get(f"{OVERLAY_XATTR_PREFIX}opaque") == b"y"
                if opaque and self.held.replaced.get(path) != status.ino:
                    replaced.add(path)
                    self.next.replaced[path] = status.ino
                elif not opaque:
                    self.next.replaced.pop(path, None)
            elif stat.S_ISREG(status.mode) and (
                f"{OVERLAY_XATTR_PREFIX}metacopy" in self._overlay_xattrs(path)
            ):
                raise self._refused(
                    path,
                    "has only its metadata in the writable layer (overlayfs metacopy)",
                    "Load overlay with metacopy=off",
                )
        prefixes = tuple(f"{path}/" for path in replaced if path)
        if prefixes:
            self._emptied = {path for path in current if path.startswith(prefixes)}
            changed |= self._emptied
        return replaced

    def _overlay_xattrs(self, path: str) -> dict[str, bytes]:
        try:
            return read_xattrs(self.root, path, overlay=True)[1]
        except OSError:
            return {}  # vanished; found out again when it is sent

    def _refused(self, path: str, what: str, remedy: str) -> PreflightError:
        return PreflightError(
            f"/{path} {what}, which cannot be moved. {remedy} on this host (module parameter), "
            "recreate the container, and migrate again.",
            container_state="running",
        )

    def _links(self, current: dict[str, Stat], changed: set[str]) -> dict[str, str]:
        """Changed paths that share an inode with another path, the leader, which is sent itself."""
        wanted = {_inode(current[path]) for path in changed if self._is_linked(current[path])}
        if not wanted:
            return {}
        groups: dict[Inode, list[str]] = {}
        for path, status in current.items():
            if _inode(status) in wanted and self._is_linked(status):
                groups.setdefault(_inode(status), []).append(path)
        links: dict[str, str] = {}
        for inode, paths in groups.items():
            paths.sort()
            # One that the target holds as this very inode can be changed in place.
            leader = next((path for path in paths if self._holds(path, inode)), paths[0])
            changed.add(leader)
            links.update((path, leader) for path in paths if path != leader)
        return links

    def _is_linked(self, status: Stat) -> bool:
        # overlayfs links all its whiteouts to one inode; that means nothing.
        return (
            status.nlink > 1
            and not stat.S_ISDIR(status.mode)
            and not (self.tree.overlay and status.is_whiteout)
        )

    def _held_stat(self, path: str) -> Stat | None:
        return None if path in self._emptied else self.held.stats.get(path)

    def _holds(self, path: str, inode: Inode) -> bool:
        """Whether the target holds *path* as a regular file that was this inode."""
        held = self._held_stat(path)
        return held is not None and _inode(held) == inode and path in self.held.digests

    # -- what is sent ----------------------------------------------------------------------------

    def _emit(self, operation: Operation) -> None:
        if operation["path"]:
            self._touched_directories.add(os.path.dirname(operation["path"]))
        self.batch.add(operation)

    def _send_deleted(self, current: dict[str, Stat]) -> None:
        gone = (self.held.stats.keys() | self.unknown) - current.keys()
        for path in sorted(gone):
            held = self.held.stats.get(path)
            if held is not None and self.tree.overlay and held.is_whiteout:
                continue
            self.deleted += 1
            # With its directory everything below has gone as well.
            if os.path.dirname(path) not in gone:
                self._emit({"op": "delete", "path": path})

    def _send_path(self, path: str, status: Stat, *, replace: bool) -> None:
        if not stat.S_ISREG(status.mode):
            self.next.digests.pop(path, None)
        try:
            if self.tree.overlay and status.is_whiteout:
                self._send_whiteout(path)
            elif stat.S_ISREG(status.mode):
                self._send_file(path, status)
            elif stat.S_ISDIR(status.mode):
                self._send_directory(path, replace=replace)
            else:
                self._send_special(path, status)
        except OSError as error:
            if error.errno not in VANISHED:
                raise TransferError(
                    f"cannot read {path} of the {self.tree.name} tree at {self.tree.path}: {error}",
                    phase="pre-copy",
                ) from error
            # Removed or replaced since the scan; the next round sees what has become of it.
            self.next.drop(path)
            self.deleted += 1
            self._emit({"op": "delete", "path": path})

    def _send_whiteout(self, path: str) -> None:
        held = self._held_stat(path)
        self.next.drop_details(path)
        if held is None or not held.is_whiteout:
            self.deleted += 1
            self._emit({"op": "delete", "path": path})

    def _send_file(self, path: str, status: Stat) -> None:
        held = self._held_stat(path)
        known = self.held.digests.get(path, b"") if held is not None else b""
        fd = self.root.open_file(path)
        operation: Operation = {"extents": []}
        try:
            meta = self._metadata(path, status, fd)
            fresh = self.blocks.begin(fd, frozen=self.frozen)
            content = Content(fd, known, fresh)
            in_place = held is not None and bool(known) and held.size > MAX_WHOLE_BYTES and not content.whole
            if not in_place and not content.whole:
                content = Content(fd)
            operation = {
                "op": "write" if in_place else "create",
                "path": path,
                "extents": [],
            }
            begun = False
            for extent in content.extents():
                if extent.data is None:
                    operation.setdefault("holes", []).append([extent.offset, extent.length])
                    continue
                operation["extents"].append([extent.offset, extent.length])
                self.batch.add_data(extent.data)
                if self.batch.full:
                    self._emit(operation)
                    begun = True
                    operation = {"op": "write", "path": path, "extents": []}
            self.blocks.end(fd, content)
        except OSError:
            if operation["extents"]:
                self._emit(operation)  # its data is in the batch already
            raise
        finally:
            os.close(fd)
        self.next.digests[path] = content.digests
        if held is not None and known == content.digests and held.size == content.size_bytes and not begun:
            if _differs(held, status) or self._extra_differs(path):
                self.changed += 1
                self.batch.add({"op": "meta", "path": path, "meta": meta})
            return
        operation["size"] = content.size_bytes
        operation["meta"] = meta
        self.changed += 1
        self._emit(operation)
        if not in_place:
            self._new_inodes.add(_inode(status))

    def _send_directory(self, path: str, *, replace: bool) -> None:
        held = self._held_stat(path)
        operation: Operation = {"op": "directory", "path": path}
        if replace:
            operation["replace"] = True
        elif held is not None and stat.S_ISDIR(held.mode):
            return
        self._emit(operation)

    def _send_special(self, path: str, status: Stat) -> None:
        meta = self._metadata(path, status)
        if stat.S_ISLNK(status.mode):
            parent_fd, name = self.root.parent(path)
            operation: Operation = {
                "op": "symlink",
                "path": path,
                "target": os.readlink(name, dir_fd=parent_fd),
            }
        else:
            operation = {"op": "node", "path": path, "mode": status.mode, "rdev": status.rdev}
        operation["meta"] = meta
        self.changed += 1
        self._emit(operation)
        self._new_inodes.add(_inode(status))

    def _send_link(self, path: str, leader: str) -> None:
        if leader not in self.next.stats:
            # The leader vanished, and with it the only copy of the content that was sent.
            self.next.distrust(path)
            return
        status = self.next.stats[path]
        held = self._held_stat(path)
        self.next.drop_details(path)
        if leader in self.next.digests:
            self.next.digests[path] = self.next.digests[leader]
        if leader in self.next.extra:
            self.next.extra[path] = self.next.extra[leader]
        if (
            held is not None
            and _inode(held) == _inode(status)
            and self._holds(leader, _inode(status))
            and _inode(status) not in self._new_inodes
        ):
            return
        self.changed += 1
        self._emit({"op": "link", "path": path, "to": leader})

    def _send_directories(self, changed: Iterable[str]) -> None:
        """Metadata of directories comes last: what happens inside them changes their times."""
        stats = self.next.stats
        for path in sorted(self._touched_directories.union(changed)):
            status = stats.get(path)
            if status is None or not stat.S_ISDIR(status.mode):
                continue
            try:
                meta = self._metadata(path, status, self.root.directory(path))
            except OSError:
                self.next.distrust(path)
                continue
            held = self._held_stat(path)
            differs = held is None or _differs(held, status) or self._extra_differs(path)
            self.changed += differs
            if differs or path in self._touched_directories:
                self.batch.add({"op": "meta", "path": path, "meta": meta})

    def _metadata(self, path: str, status: Stat, fd: int = -1) -> dict[str, Any]:
        extra = read_extra(self.root, path, fd, overlay=self.tree.overlay)
        if extra:
            self.next.extra[path] = extra
        else:
            self.next.extra.pop(path, None)
        if "flags" in self.held.extra.get(path, {}):
            # None any more, which must be said.
            extra = {"flags": 0, **extra}
        return metadata(status, extra)

    def _extra_differs(self, path: str) -> bool:
        return self.held.extra.get(path) != self.next.extra.get(path)

    def _distrust_recent(self, started_ns: int, changed: Iterable[str]) -> None:
        """Files that may have changed again without changing their times are compared next time."""
        stats = self.next.stats
        for path in changed:
            status = stats.get(path)
            if status is None:
                continue
            coarse = status.ctime_ns % 1_000_000_000 == 0
            tick_ns = COARSE_TICK_NS if coarse else CLOCK_TICK_NS
            if status.ctime_ns >= started_ns - tick_ns:
                stats[path] = status._replace(ctime_ns=UNTRUSTED_NS)


def _is_large(status: Stat) -> bool:
    return stat.S_ISREG(status.mode) and status.size >= MIN_BYTES


def _inode(status: Stat) -> Inode:
    return status.dev, status.ino


def _differs(held: Stat, status: Stat) -> bool:
    """Whether metadata that moves differs; what else there is shows in the content or the xattrs."""
    return (held.mode, held.uid, held.gid, held.mtime_ns) != (
        status.mode,
        status.uid,
        status.gid,
        status.mtime_ns,
    )
