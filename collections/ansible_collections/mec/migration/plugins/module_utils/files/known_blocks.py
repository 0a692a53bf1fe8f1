# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of large files' blocks that are kept from one round to the next.

The frozen window must not last as long as it takes to read a database of which one page changed. So the
kernel reports which pages of large files change (:mod:`..kernel.page_cache`), and a round reads only the
blocks in which one lies. Where the kernel does not, all of a file that changed is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from ..base.page_ranges import RangeSet
from ..kernel.page_cache import (
    PAGE_BYTES,
    PageCacheChanges,
    Unknown,
    clean,
    is_on_reporting_device,
    is_reported,
)
from ..kernel.rooted import Root
from .content import BLOCK_BYTES, Content, Fresh

MIN_BYTES = 4 << 20
"""Smaller files are read whole: that takes 2 ms."""

Inode = tuple[int, int]


class _File:
    def __init__(self) -> None:
        self.size_bytes = 0
        self.digests = b""
        self.holes = RangeSet()
        # Blocks that may be other than their digest says: they changed since they were digested.
        self.stale: set[int] = set()
        # Blocks that changed since the file was last looked at.
        self.touched: set[int] = set()
        # Whether nothing was dirty when it was last looked at.
        self.cleaned = False

    def forget(self) -> None:
        self.digests = b""


class KnownBlocks:
    """Of all files that a service's trees have; one for a migration."""

    def __init__(self) -> None:
        self._changes: PageCacheChanges | None = None
        self._impossible = ""
        self._files: dict[Inode, _File] = {}
        self._refused: set[Inode] = set()

    @property
    def note(self) -> str:
        """Why large files are read whole when they change; empty if they are not."""
        if self._refused and not self._impossible:
            return f"of {len(self._refused)} large files the file system does not report all changes"
        return self._impossible

    def follow(self, root: Root, paths: Iterable[str]) -> None:
        """While the service runs, before these files are read: have their changes reported from now on."""
        if self._impossible:
            return
        new: set[Inode] = set()
        for path in paths:
            with contextlib.suppress(OSError):  # vanished; or is no such file any more
                fd = root.open_file(path)
                try:
                    inode = _inode(fd)
                    if inode in self._files or inode in self._refused or inode in new:
                        continue
                    if is_on_reporting_device(fd) and is_reported(fd):
                        new.add(inode)
                    else:
                        self._refused.add(inode)
                finally:
                    os.close(fd)
        if not new:
            return
        try:
            if self._changes is None:
                self._changes = PageCacheChanges()
            self._changes.follow(number for _device, number in new)
        except OSError as error:
            self._give_up(f"the kernel does not report which pages of files change: {error}")
            return
        self._files.update((inode, _File()) for inode in new)

    def begin(self, fd: int, *, frozen: bool) -> Fresh | None:
        """Right before a file is read: the digests that it still has.

        :param frozen: nothing changes any more.
        :returns: None if all must be read.
        """
        file = self._files.get(_inode(fd))
        if file is None:
            return None
        self._take()
        file.stale |= file.touched
        file.touched = set()
        file.cleaned = False
        try:
            if not is_reported(fd):
                file.forget()
            elif not frozen:
                clean(fd)
                file.cleaned = True
        except OSError:
            file.forget()
        return Fresh(file.digests, file.stale.copy(), file.holes, file.size_bytes) if file.digests else None

    def end(self, fd: int, content: Content) -> None:
        """After :meth:`begin`, once *content* has been read to its end."""
        file = self._files.get(_inode(fd))
        if file is None or not file.cleaned:
            # When frozen we do not write dirty pages back, so later writes to them are not reported if the
            # service runs on here. Keep the older digests, and leave changed blocks stale.
            return
        file.digests, file.holes, file.size_bytes = content.digests, content.holes, content.size_bytes
        file.stale = set()
        if content.whole:
            file.forget()  # one digest for all of it

    def close(self) -> None:
        if self._changes is not None:
            self._changes.close()
        self._changes, self._files = None, {}

    def _take(self) -> None:
        """Note what the kernel has reported."""
        if self._changes is None:
            return
        try:
            found = self._changes.take()
        except Unknown:
            for file in self._files.values():
                file.forget()
            return
        for (_device, number), file in self._files.items() if found else ():
            file.touched.update(
                *(
                    _blocks(range(pages.start * PAGE_BYTES, pages.stop * PAGE_BYTES))
                    for pages in found.get(number, ())
                )
            )

    def _give_up(self, why: str) -> None:
        self._impossible = why
        self.close()


def _inode(fd: int) -> Inode:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _blocks(changed: range) -> range:
    """The blocks in which the bytes *changed* lie."""
    return range(changed.start // BLOCK_BYTES, -(-changed.stop // BLOCK_BYTES))
