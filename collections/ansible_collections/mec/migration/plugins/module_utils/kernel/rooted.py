# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths below a directory, reached without ever following a symlink.

A container owns what lies in its trees: it can put a symlink to ``/etc/shadow`` where a directory
was a moment ago. So every component of a path is opened with ``O_NOFOLLOW`` relative to the one
before it, on the source (nothing of the host may leak) and on the target (nothing of the host may
be overwritten).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_OPEN_DIRECTORIES = 128


class Root:
    """A directory tree. Paths are relative, ``/``-separated; ``""`` is the root itself.

    :raises OSError: as the system calls do; ENOTDIR or ELOOP where a component is a symlink, EINVAL
        where it is ``.``, ``..`` or empty.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories: OrderedDict[str, int] = OrderedDict()
        # Directories below which everything was removed, until somebody takes note of it.
        self.emptied: set[str] = set()

    def directory(self, path: str) -> int:
        """A descriptor of the directory *path*; it belongs to this object, use it at once."""
        if not path:
            return self._fd
        if path.startswith("/"):
            raise OSError(errno.EINVAL, "not a relative path", path)
        fd = self._directories.get(path)
        if fd is not None:
            self._directories.move_to_end(path)
            return fd
        # From the nearest open ancestor downwards, in a loop: trees may be very deep.
        missing = [path]
        while True:
            # Not dirname(), which skips repeated slashes and stays at a leading one.
            ancestor = missing[-1].rpartition("/")[0]
            if not ancestor or ancestor in self._directories:
                break
            missing.append(ancestor)
        fd = self._directories[ancestor] if ancestor else self._fd
        for step in reversed(missing):
            fd = os.open(_checked(step.rpartition("/")[2]), DIRECTORY_FLAGS, dir_fd=fd)
            self._directories[step] = fd
            if len(self._directories) > MAX_OPEN_DIRECTORIES:
                os.close(self._directories.popitem(last=False)[1])
        return fd

    def parent(self, path: str) -> tuple[int, str]:
        """Descriptor of the directory that holds *path*, and the last component of *path*."""
        directory, _sep, name = path.rpartition("/")
        return self.directory(directory), _checked(name)

    def proc_path(self, path: str) -> str:
        """A name for *path* that xattr calls accept; only its last component can be a symlink."""
        if not path:
            return f"/proc/self/fd/{self._fd}"
        parent_fd, name = self.parent(path)
        return f"/proc/self/fd/{parent_fd}/{name}"

    def forget(self, path: str = "") -> None:
        """Close the descriptors at and below *path*: what they name may have been replaced."""
        below = path + "/"
        for key in [key for key in self._directories if not path or key == path or key.startswith(below)]:
            os.close(self._directories.pop(key))

    def remove(self, path: str) -> bool:
        """Remove *path* and everything below it; False where there was nothing."""
        parent_fd, name = self.parent(path)
        try:
            os.unlink(name, dir_fd=parent_fd)
            return True
        except FileNotFoundError:
            return False
        except IsADirectoryError:
            self.clear(path)
        parent_fd, name = self.parent(path)
        self.forget(path)
        os.rmdir(name, dir_fd=parent_fd)
        return True

    def clear(self, path: str) -> None:
        """Remove everything below the directory *path*, never past a mount point."""
        self.emptied.add(path)
        # Depth first with a stack of paths: every directory is emptied after its children were.
        stack = [(path, False)]
        device = os.fstat(self.directory(path)).st_dev
        while stack:
            directory, emptied = stack.pop()
            if emptied:
                parent_fd, name = self.parent(directory)
                self.forget(directory)
                os.rmdir(name, dir_fd=parent_fd)
                continue
            if directory != path:
                stack.append((directory, True))
            fd = self.directory(directory)
            if os.fstat(fd).st_dev != device:
                raise OSError(errno.EXDEV, "a file system is mounted there", directory)
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        child = f"{directory}/{entry.name}" if directory else entry.name
                        stack.append((child, False))
                    else:
                        os.unlink(entry.name, dir_fd=fd)

    def lstat(self, path: str) -> os.stat_result | None:
        """What *path* is, None where it is nothing."""
        try:
            if not path:
                return os.fstat(self._fd)
            parent_fd, name = self.parent(path)
            return os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_file(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the regular file *path*, which the caller closes.

        :raises OSError: also where it is no regular file (EINVAL); a FIFO never blocks.
        """
        parent_fd, name = self.parent(path)
        fd = os.open(
            name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=parent_fd
        )
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return fd

    def close(self) -> None:
        self.forget()
        with contextlib.suppress(OSError):
            os.close(self._fd)


def _checked(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, "not a name below the tree", name)
    return name
