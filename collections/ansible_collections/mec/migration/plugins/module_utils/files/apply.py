# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's half of file synchronisation: apply operations below the roots, and only there."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from typing import Any, Callable

from ..base.errors import MigrationError, TransferError
from ..kernel.inode_flags import open_flagged, set_flags, unprotect
from ..kernel.libc import call, libc
from ..kernel.rooted import Root
from ..kernel.storage import Storage, storage
from ..transport.wire import DAMAGED, Channel, Message
from .batch import Operation, unpack
from .scan import OVERLAY_XATTR_PREFIX, SECURITY_XATTRS_MOVED, scan

# fallocate(2)
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
ZEROS = bytes(1 << 20)


class _Target:
    """One tree on this host."""

    def __init__(self, path: str) -> None:
        self.root = Root(path)
        self.overlay = False
        self.excluded: frozenset[str] = frozenset()
        # Paths of this round; since the last commit, which is more where a round was cut; of the
        # round that the last commit ended; and ever.
        self.mentioned: set[str] = set()
        self.touched: set[str] = set()
        self.last_round: set[str] = set()
        self.ever: set[str] = set()
        # Of the round that the last commit ended; for later ones the root knows.
        self.last_emptied: set[str] = set()
        # To be set at the end of the round: what is immutable could not be changed any more in it.
        self.flags: dict[str, int] = {}

    def unprotect(self, *paths: str, below: bool) -> bool:
        """Until the end of the round; whether anything was protected."""
        found: dict[str, int] = {}
        for path in paths:
            found.update(unprotect(self.root, path, below=below))
        self.flags = {**found, **self.flags}
        return bool(found)

    def set_flags(self) -> None:
        """:raises MigrationError: the file system or the kernel refuses."""
        for path, flags in self.flags.items():
            try:
                # Gone again where nothing is.
                if (fd := open_flagged(self.root, path)) >= 0:
                    try:
                        set_flags(fd, flags)
                    finally:
                        os.close(fd)
            except OSError as error:
                raise _failed(self, "setting the flags", path, error) from error
        self.flags = {}


class FileReceiver:
    """Applies what the source's :class:`FileSync` sends.

    :param roots: directory of each tree by its name. For a container's root file system that is
        its merged mount, so that deleting a path of the image leaves a whiteout.

    A round that is not committed leaves the trees between two states; :meth:`begin` tells the
    source which paths are affected, and it sends them again.
    """

    def __init__(self, roots: Mapping[str, str]) -> None:
        self._paths = dict(roots)
        self._targets: dict[str, _Target] = {}
        self._token = ""
        self._last_token = ""
        self._failure: MigrationError | None = None
        self.handlers: dict[str, Callable[[Message, Channel], None]] = {
            "files.begin": self._on_begin,
            "files.batch": self._on_batch,
            "files.commit": self._on_commit,
            "files.sync": self._on_sync,
        }

    def close(self) -> None:
        for target in self._targets.values():
            target.root.close()
        self._targets = {}

    # -- messages --------------------------------------------------------------------------------

    def _on_begin(self, message: Message, channel: Channel) -> None:
        self._failure = None
        token = message.text("token")
        shared = []
        try:
            for fields in message.fields["trees"]:
                target = self._target(str(fields["name"]))
                target.overlay = bool(fields["overlay"])
                target.excluded = frozenset(fields["excluded"])
                target.mentioned = set()
                if fields.get("storage") and self._is_here(target, Storage(**fields["storage"])):
                    shared.append(str(fields["name"]))
        except DAMAGED as error:
            raise TransferError(f"a list of trees is not one: {error!r}", phase="pre-copy") from error
        answer: dict[str, Any] = {"known": False, "unacknowledged": {}, "emptied": {}, "shared": shared}
        if token and token in (self._token, self._last_token):
            answer["known"] = True
            for name, target in self._targets.items():
                paths, emptied = set(target.touched), set(target.root.emptied)
                if token != self._token:
                    paths |= target.last_round
                    emptied |= target.last_emptied
                answer["unacknowledged"][name] = sorted(paths)
                answer["emptied"][name] = sorted(emptied)
        channel.send("ok", **answer)

    def _on_batch(self, message: Message, _channel: Channel) -> None:
        """Apply a batch. It has no answer of its own: the first failure is the commit's answer."""
        if self._failure is not None:
            return
        try:
            target = self._target(str(message.fields["tree"]))
            self._apply(target, message.body)
        except MigrationError as error:
            self._failure = error
        except (OSError, *DAMAGED) as error:
            self._failure = TransferError(
                f"a batch of file operations is not one: {error!r}", phase="pre-copy"
            )

    def _on_commit(self, message: Message, channel: Channel) -> None:
        self.commit(message.fields)
        channel.send("ok")

    def _on_sync(self, _message: Message, channel: Channel) -> None:
        self.sync()
        channel.send("ok")

    def sync(self) -> None:
        """Bring what was applied to stable storage; not inside the frozen window."""
        for target in self._targets.values():
            _syncfs(target.root.directory(""))

    # -- for the receiver, which may end a round by a message of its own ---------------------------

    def commit(self, fields: Mapping[str, Any]) -> None:
        """End a round.

        :param fields: what the source's ``FileSync.commit_fields`` returned.
        :raises MigrationError: something of this round could not be applied.
        """
        if self._failure is not None:
            raise self._failure
        try:
            full, token = [str(name) for name in fields["full"]], str(fields["token"])
        except DAMAGED as error:
            raise TransferError(
                f"the end of a round of files is not one: {error!r}", phase="pre-copy"
            ) from error
        for name in full:
            self._remove_unmentioned(self._target(name))
        for target in self._targets.values():
            target.set_flags()
        self._last_token, self._token = self._token, token
        for target in self._targets.values():
            target.ever |= target.touched
            target.last_round, target.touched, target.mentioned = target.touched, set(), set()
            target.last_emptied, target.root.emptied = target.root.emptied, set()

    # -- operations ------------------------------------------------------------------------------

    @staticmethod
    def _is_here(target: _Target, theirs: Storage) -> bool:
        """Whether the source's directory is this one, on storage that both hosts have."""
        try:
            return storage(target.root.path).is_same(theirs)
        except OSError as error:
            raise MigrationError(f"cannot read {target.root.path}: {error}", phase="pre-copy") from error

    def _target(self, name: str) -> _Target:
        if name not in self._targets:
            try:
                self._targets[name] = _Target(self._paths[name])
            except KeyError:
                raise MigrationError(
                    f"the target has no tree named {name}; it has {', '.join(sorted(self._paths))}",
                    phase="pre-copy",
                ) from None
            except OSError as error:
                raise MigrationError(
                    f"the target cannot open the {name} tree at {self._paths[name]}: {error}",
                    phase="pre-copy",
                ) from error
        return self._targets[name]

    def _apply(self, target: _Target, body: bytes) -> None:
        operations, data = unpack(body)
        position = 0
        for operation in operations:
            path = operation["path"]
            target.touched.add(path)
            target.mentioned.add(path)
            try:
                position += self._apply_unprotected(target, operation, path, data[position:])
            except OSError as error:
                raise _failed(target, operation["op"], path, error) from error
            if "flags" in operation.get("meta", {}):
                target.flags[path] = int(operation["meta"]["flags"])
            elif "meta" in operation or operation["op"] in ("delete", "link"):
                target.flags.pop(path, None)

    def _apply_unprotected(self, target: _Target, operation: Operation, path: str, data: memoryview) -> int:
        try:
            return self._apply_one(target, operation, path, data)
        except PermissionError:
            paths = [path, operation["to"]] if operation["op"] == "link" else [path]
            # All others remove what may be there.
            if not target.unprotect(*paths, below=operation["op"] not in ("meta", "write")):
                raise
        return self._apply_one(target, operation, path, data)

    def _apply_one(self, target: _Target, operation: Operation, path: str, data: memoryview) -> int:
        """Do one operation; returns how many bytes of *data* were its own."""
        root, kind = target.root, operation["op"]
        if kind in ("create", "write"):
            return self._write_file(target, operation, path, data)
        if kind == "meta":
            self._set_metadata(target, path, operation["meta"])
        elif kind == "delete":
            if path:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    root.remove(path)
        elif kind == "directory":
            self._make_directory(root, path, replace=bool(operation.get("replace")))
        elif kind == "link":
            self._link(root, path, operation["to"])
        elif kind == "symlink":
            root.remove(path)
            parent_fd, name = root.parent(path)
            os.symlink(operation["target"], name, dir_fd=parent_fd)
            self._set_metadata(target, path, operation["meta"])
        elif kind == "node":
            root.remove(path)
            parent_fd, name = root.parent(path)
            mode = stat.S_IFMT(operation["mode"]) | 0o600
            os.mknod(name, mode, operation["rdev"], dir_fd=parent_fd)
            self._set_metadata(target, path, operation["meta"])
        else:
            raise TransferError(f"unknown file operation {kind}", phase="pre-copy")
        return 0

    def _write_file(self, target: _Target, operation: Operation, path: str, data: memoryview) -> int:
        root = target.root
        in_place = operation["op"] == "write"
        fd = root.open_file(path, os.O_WRONLY) if in_place else self._create(root, path)
        used = 0
        try:
            for offset, length in operation["extents"]:
                _pwrite(fd, data[used : used + length], offset)
                used += length
            for offset, length in operation.get("holes", ()):
                _punch_hole(fd, offset, length)
            if "size" in operation:
                os.ftruncate(fd, operation["size"])
            if "meta" in operation:
                self._set_file_metadata(target, fd, operation["meta"])
        finally:
            os.close(fd)
        return used

    def _create(self, root: Root, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        parent_fd, name = root.parent(path)
        try:
            return os.open(name, flags, 0o600, dir_fd=parent_fd)
        except FileExistsError:
            # A new inode, never the old one: that may have other names, which keep what they have.
            root.remove(path)
            parent_fd, name = root.parent(path)
            return os.open(name, flags, 0o600, dir_fd=parent_fd)

    def _make_directory(self, root: Root, path: str, *, replace: bool) -> None:
        if not path:
            return
        status = root.lstat(path)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            root.remove(path)
            status = None
        if status is None:
            parent_fd, name = root.parent(path)
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        elif replace:
            root.clear(path)

    def _link(self, root: Root, path: str, leader: str) -> None:
        root.remove(path)
        # Resolving one parent can close the other's descriptor, never the one just before it.
        leader_fd, leader_name = root.parent(leader)
        parent_fd, name = root.parent(path)
        os.link(
            leader_name,
            name,
            src_dir_fd=leader_fd,
            dst_dir_fd=parent_fd,
            follow_symlinks=False,
        )

    # -- metadata --------------------------------------------------------------------------------

    def _set_file_metadata(self, target: _Target, fd: int, meta: Mapping[str, Any]) -> None:
        # In this order: chown takes setuid bits and capabilities away, an ACL changes the mode.
        os.fchown(fd, meta["uid"], meta["gid"])
        _set_xattrs(fd, meta.get("xattrs", {}), follow=True, overlay=target.overlay)
        os.fchmod(fd, meta["mode"])
        os.utime(fd, ns=(meta["mtime_ns"], meta["mtime_ns"]))

    def _set_metadata(self, target: _Target, path: str, meta: Mapping[str, Any]) -> None:
        root = target.root
        if not path:
            self._set_file_metadata(target, root.directory(""), meta)
            return
        parent_fd, name = root.parent(path)
        os.chown(name, meta["uid"], meta["gid"], dir_fd=parent_fd, follow_symlinks=False)
        _set_xattrs(root.proc_path(path), meta.get("xattrs", {}), follow=False, overlay=target.overlay)
        status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            # There is no fchmodat(2) that does not follow, so a descriptor pins what was looked at.
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
            try:
                if stat.S_ISLNK(os.fstat(fd).st_mode):
                    raise OSError(errno.ELOOP, "became a symlink", path)
                os.chmod(f"/proc/self/fd/{fd}", meta["mode"])
            finally:
                os.close(fd)
        os.utime(
            name,
            ns=(meta["mtime_ns"], meta["mtime_ns"]),
            dir_fd=parent_fd,
            follow_symlinks=False,
        )

    # -- the end of a round ------------------------------------------------------------------------

    def _remove_unmentioned(self, target: _Target) -> None:
        """After a full round: what it did not mention is not in the source's tree."""
        if target.overlay:
            # What the image brought stays; only what earlier rounds left behind goes.
            extra = (target.ever | target.touched) - target.mentioned
        else:
            extra = scan(target.root, target.excluded).keys() - target.mentioned
        for path in sorted(extra):
            target.flags.pop(path, None)
            directory = os.path.dirname(path)
            if path and directory not in extra:
                try:
                    times = os.fstat(target.root.directory(directory))
                    self._apply_unprotected(target, {"op": "delete", "path": path}, path, memoryview(b""))
                    os.utime(target.root.directory(directory), ns=(times.st_atime_ns, times.st_mtime_ns))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError as error:
                    raise _failed(target, "delete", path, error) from error


def _failed(target: _Target, operation: str, path: str, error: OSError) -> MigrationError:
    message = f"{operation} of {target.root.path}/{path} failed on the target: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        space = os.statvfs(target.root.directory(""))
        free_bytes = space.f_bavail * space.f_frsize
        message += f"; {free_bytes} bytes are free there. Free some space and migrate again."
    elif error.errno in (errno.ENOTSUP, errno.ENOTTY, errno.EPERM):
        message += "; does the file system there support ownership, extended attributes and flags (chattr)?"
    return MigrationError(message, phase="pre-copy")


def _pwrite(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written


def _set_xattrs(name: int | str, wanted: Mapping[str, str], *, follow: bool, overlay: bool) -> None:
    """Make the extended attributes of *name* those in *wanted* (base64)."""
    present = (
        os.listxattr(name, follow_symlinks=follow) if follow else os.listxattr(name, follow_symlinks=False)
    )
    for key in present:
        if key in wanted or (overlay and key.startswith(OVERLAY_XATTR_PREFIX)):
            continue
        if key.startswith("security.") and key not in SECURITY_XATTRS_MOVED:
            continue
        os.removexattr(name, key, follow_symlinks=follow)
    for key, value in wanted.items():
        os.setxattr(name, key, base64.b64decode(value), follow_symlinks=follow)


def _punch_hole(fd: int, offset: int, length: int) -> None:
    size = os.fstat(fd).st_size
    length = min(length, max(0, size - offset))
    if not length:
        return
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    if libc.fallocate(fd, mode, offset, length) == 0:
        return
    # A file system without holes: zeros read the same.
    while length:
        part = min(length, len(ZEROS))
        _pwrite(fd, memoryview(ZEROS)[:part], offset)
        offset += part
        length -= part


def _syncfs(fd: int) -> None:
    try:
        call("syncfs", fd)
    except OSError as error:
        raise MigrationError(f"could not bring files to stable storage: {error}", phase="verify") from error
