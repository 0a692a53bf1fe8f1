# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the code of this collection's modules on a host until that starts anew.

The controller runs this text: ``python3 -c TEXT PARENT NAME SIZE MODULE``, with a zip archive of SIZE bytes
on the standard input, and behind it what the module is given. The archive becomes the directory NAME below
PARENT, and the module runs from there. The controller's part is ``plugin_utils/actions/kept_code.py``.

PARENT is on tmpfs: no crash of the host leaves files there of which only a part was written.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import sys
import tempfile
import zipfile

# Several controllers may have several versions.
MOST_KEPT = 3


def read(size: int) -> bytes:
    """So many bytes of the standard input, and not one more: the module reads the rest."""
    parts = []
    while size > 0:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            raise SystemExit("the archive of the modules' code is incomplete")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def require_private(directory: str) -> None:
    """Make *directory* if need be.

    :raises SystemExit: others can write to it, or it is another user's.
    """
    if not os.path.isdir(directory):
        os.mkdir(directory, 0o700)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise SystemExit(f"{directory} must be a directory of this user that no other one can use")


def keep(archive: bytes, parent: str, name: str) -> str:
    """Unpack *archive*; returns the directory, which is complete as soon as it is there.

    :raises OSError: there is no room for it.
    """
    made = tempfile.mkdtemp(dir=parent)
    directory = os.path.join(parent, name)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(made)
        try:
            os.rename(made, directory)
        except OSError:
            # Another one of this controller's tasks was faster, unless what is there is not whole.
            if not os.path.isfile(os.path.join(directory, "__main__.py")):
                remove(directory)
                os.rename(made, directory)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return directory


def remove_old(parent: str) -> None:
    """Remove all but the newest: a module that runs from one has imported what it needs."""
    found = sorted((entry.stat().st_mtime, entry.path) for entry in os.scandir(parent))
    for _time, path in found[:-MOST_KEPT]:
        remove(path)


def remove(directory: str) -> None:
    """Remove *directory*, which never is there in part under its own name."""
    aside = f"{directory}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(directory, aside)
    shutil.rmtree(aside, ignore_errors=True)


def main(parent: str, name: str, size: str, module: str) -> None:
    """Keep the archive, and become the module.

    :raises SystemExit: the host cannot keep it, and nothing was begun.
    """
    archive = read(int(size))
    require_private(parent)
    directory = keep(archive, parent, name)
    remove_old(parent)
    os.execv(sys.executable, [sys.executable, directory, module])  # noqa: S606  No shell is wanted.


if __name__ == "__main__":
    main(*sys.argv[1:])
