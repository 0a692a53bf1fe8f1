# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UNIX sockets whose file was renamed get its name in the images: this process's own sockets."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu import renamed_sockets
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, NAME, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    decode_fields,
    encode_field,
    read_messages,
    write_messages,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.renamed_sockets import bind_to_new_names
from ansible_collections.mec.migration.plugins.module_utils.kernel import bound_files

UNIX, LISTENS, CONNECTED, CLOSED = 5, 10, 1, 7


def fields(*pairs):
    return b"".join(encode_field(number, value) for number, value in pairs)


def bound(path, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(str(path))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def entry(found, name, state, deleted=False):
    """As CRIU writes a unix_sk_entry, as far as it matters here."""
    inode = os.fstat(found.fileno()).st_ino
    return fields(
        *((1, 3), (2, inode), (3, int(found.type)), (4, state), (10, b"options"), (11, name), (13, b"mode")),
        *([(15, True)] if deleted else []),
    )


def edited(directory, image_entry):
    """How many were changed, and the entry as it is then."""
    write_messages(str(directory / NAME), MAGIC, [fields((1, UNIX), (2, 9), (16, image_entry))])
    files = FilesImage(str(directory))
    changed = bind_to_new_names(files, {os.getpid(): 1})
    files.write()
    (message,) = read_messages(str(directory / NAME), MAGIC)
    return changed, dict(decode_fields(dict(decode_fields(message))[16]))


@pytest.mark.parametrize(
    ("kind", "state"),
    [(socket.SOCK_STREAM, LISTENS), (socket.SOCK_DGRAM, CLOSED)],
    ids=["stream", "datagram"],
)
@pytest.mark.parametrize("deleted", [False, True], ids=["renamed", "linked"])
def test_it_gets_the_name_that_its_file_has(tmp_path, kind, state, deleted):
    first, name = tmp_path / "socket.tmp", tmp_path / "socket"
    with bound(first, kind) as found:
        os.rename(first, name)
        image_entry = entry(found, os.fsencode(first) + b"\0", state, deleted)
        changed, new = edited(tmp_path, image_entry)
    assert changed == 1
    assert new.pop(11) == os.fsencode(name) + b"\0"
    assert new == {number: value for number, value in decode_fields(image_entry) if number not in (11, 15)}


def test_a_name_in_another_directory(tmp_path):
    first, name = tmp_path / "socket.tmp", tmp_path / "run" / "socket"
    name.parent.mkdir()
    with bound(first) as found:
        os.rename(first, name)
        changed, new = edited(tmp_path, entry(found, os.fsencode(first) + b"\0", LISTENS, deleted=True))
    assert (changed, new[11]) == (1, os.fsencode(name) + b"\0")
    assert 15 not in new


def test_a_file_that_shows_another_inode_than_the_kernel_has(tmp_path, monkeypatch):
    """As an overlay of several file systems does."""
    really = bound_files.os.stat
    odd = SimpleNamespace(st_ino=7, st_nlink=1, st_mode=0o140755)
    monkeypatch.setattr(
        bound_files.os, "stat", lambda path, **words: odd if "dir_fd" in words else really(path, **words)
    )
    first = tmp_path / "socket"
    with bound(first) as found:
        given = entry(found, os.fsencode(first) + b"\0", LISTENS)
        assert edited(tmp_path, given)[0] == 0
        os.rename(first, tmp_path / "published")
        changed, new = edited(tmp_path, given)
    assert (changed, new[11]) == (1, os.fsencode(tmp_path / "published") + b"\0")


def test_what_has_its_first_name_stays(tmp_path):
    first = tmp_path / "socket"
    with bound(first) as found:
        given = entry(found, os.fsencode(first) + b"\0", LISTENS)
        assert edited(tmp_path, given) == (0, dict(decode_fields(given)))
        os.link(first, tmp_path / "second")
        assert edited(tmp_path, given)[0] == 0
        os.unlink(tmp_path / "second")
        os.unlink(first)
        assert edited(tmp_path, entry(found, os.fsencode(first) + b"\0", LISTENS, deleted=True))[0] == 0


def test_the_kernel_is_not_asked_where_no_socket_has_a_path(tmp_path, monkeypatch):
    monkeypatch.setattr(renamed_sockets, "unix_sockets", lambda pid: pytest.fail("it was asked"))
    with socket.socket(socket.AF_UNIX) as found:
        for name, state in ((b"", LISTENS), (b"\0abstract", LISTENS), (b"/run/x\0", CONNECTED)):
            assert edited(tmp_path, entry(found, name, state))[0] == 0


def test_a_damaged_image_is_an_error(tmp_path):
    with pytest.raises(MigrationError, match="damaged"):
        edited(tmp_path, fields((3, 1), (4, LISTENS), (11, b"/run/x\0")))
