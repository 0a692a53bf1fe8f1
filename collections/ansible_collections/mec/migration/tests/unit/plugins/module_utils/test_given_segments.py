# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory that CRIU is given: which of it, how the images name it then, and what is opened for it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import threading

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, NAME, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.given_segments import (
    GIVEN_FILE,
    INODES_IMAGE,
    INODES_MAGIC,
    LIST_FILE,
    GivenFile,
    GivenSegment,
    give,
    given_in,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    decode_fields,
    encode_field,
    read_messages,
    write_messages,
)
from role_files import role_file

REGULAR, MEMFD = 1, 18
SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1, 2, 4, 8, 16
MIB = 1 << 20


def fields(*pairs):
    return b"".join(encode_field(number, value) for number, value in pairs)


def owner(pid=0):
    return fields((1, 0), (2, 0), (3, 0), (4, 0), (5, pid))


def opened(file, inode, flags=os.O_RDWR, position=0, pid=0):
    entry = fields((1, file), (2, flags), (3, position), (4, owner(pid)), (5, inode))
    return fields((1, MEMFD), (2, file), (20, entry))


def inode(number, shmid, seals=SEAL, *more):
    about = [(1, "name"), (2, 5), (3, 6), (4, MIB), (5, shmid), (6, seals), (7, number)]
    return fields(*about, *more, (9, 0o100640))


@pytest.fixture
def images(tmp_path):
    def write(files, inodes):
        files = [*files, fields((1, REGULAR), (2, 99), (3, b"another file"))]
        write_messages(str(tmp_path / NAME), MAGIC, files)
        write_messages(str(tmp_path / INODES_IMAGE), INODES_MAGIC, inodes)
        return str(tmp_path)

    return write


def given(directory, ready):
    files = FilesImage(directory)
    segments = give(files, ready)
    files.write()
    return segments


def names(directory):
    """By which name CRIU knows the memfd of each open file."""
    inodes = [
        dict(decode_fields(each)) for each in read_messages(f"{directory}/{INODES_IMAGE}", INODES_MAGIC)
    ]
    assert len({each[7] for each in inodes}) == len(inodes)
    by_number = {each[7]: each for each in inodes}
    found = {}
    for message in read_messages(f"{directory}/{NAME}", MAGIC):
        entry = dict(decode_fields(message))
        if entry[1] == MEMFD:
            found[entry[2]] = by_number[dict(decode_fields(entry[20]))[5]][1].decode()
    return found


def test_each_open_file_has_a_name_of_its_own(images):
    directory = images(
        [opened(3, 1, 0), opened(4, 1, 0o100002, 77), opened(5, 2, 0), opened(6, 3, 0)],
        [inode(1, 1000, SHRINK | GROW), inode(2, 2000), inode(3, 3000)],
    )
    segments = [
        GivenSegment(-1000, MIB, 5, 6, 0o100640, SHRINK | GROW),
        GivenSegment(-3000, MIB, 5, 6, 0o100640, SEAL),
    ]
    assert given(directory, [-1000, -3000, -4000]) == segments
    assert names(directory) == {3: "mec-segment-3", 4: "mec-segment-4", 5: "name", 6: "mec-segment-6"}
    files = [
        GivenFile("mec-segment-3", -1000, os.O_RDWR, 0),
        GivenFile("mec-segment-4", -1000, 0o100002, 77),
        GivenFile("mec-segment-6", -3000, os.O_RDWR, 0),
    ]
    assert given_in(directory) == (segments, files)
    # CRIU seals at its end what has any other seal, and makes it for that.
    inodes = [
        dict(decode_fields(each)) for each in read_messages(f"{directory}/{INODES_IMAGE}", INODES_MAGIC)
    ]
    assert {each[6] for each in inodes} == {SEAL}


@pytest.mark.parametrize(
    ("file", "about"),
    [
        (opened(3, 1, os.O_RDONLY | 0o100000), inode(1, 1000)),
        (opened(3, 1, os.O_WRONLY), inode(1, 1000)),
        (opened(3, 1, pid=7), inode(1, 1000)),
        (opened(3, 1), inode(1, 1000, WRITE)),
        (opened(3, 1), inode(1, 1000, FUTURE_WRITE | SHRINK)),
        (opened(3, 1), inode(1, 1000, SEAL, (8, 4 | 21 << 26))),
    ],
    ids=["read only", "write only", "with an owner", "write seal", "future write seal", "huge pages"],
)
def test_what_would_be_another_is_left_to_criu(images, file, about):
    directory = images([file, opened(4, 1, 0)], [about])
    before = names(directory)
    assert given(directory, [-1000]) == []
    assert names(directory) == before
    assert given_in(directory) == ([], [])
    assert not os.path.exists(f"{directory}/{LIST_FILE}")


def test_without_memfds_there_is_nothing_to_give(tmp_path, images):
    assert given(str(tmp_path), [-1000]) == []
    assert given(images([opened(3, 1)], [inode(1, 1000)]), []) == []


@pytest.mark.parametrize(
    "about", [b"\x08", fields((1, "name")), inode(1, 1000).replace(b"\x38\x01", b"\x3a\x00")]
)
def test_a_damaged_image_is_an_error(images, about):
    directory = images([opened(3, 1)], [about])
    with pytest.raises(MigrationError, match="damaged"):
        given(directory, [-1000])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"segments": [[1]], "files": []}', '{"segments": [], "files": [["a"]]}']
)
def test_a_damaged_list_is_an_error(tmp_path, text):
    (tmp_path / LIST_FILE).write_text(text)
    with pytest.raises(MigrationError, match="damaged"):
        given_in(str(tmp_path))


@pytest.fixture
def gate():
    return role_file("criu_gate")


@pytest.fixture
def segment():
    descriptor = os.memfd_create("held", os.MFD_CLOEXEC)
    os.truncate(descriptor, MIB)
    yield descriptor
    os.close(descriptor)


def test_the_gate_opens_each_file_anew(gate, segment, tmp_path):
    os.pwrite(segment, b"content", 0)
    path = f"/proc/{os.getpid()}/fd/{segment}"
    listed = [
        [path, "mec-segment-3", 0o100002, 3],
        [path, "mec-segment-4", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0],
    ]
    (tmp_path / GIVEN_FILE).write_text(json.dumps(listed))
    config = tmp_path / "criu.conf"
    config.write_text("tcp-close\n")
    gate.open_segments(str(tmp_path), str(config))
    found = re.findall(r"^inherit-fd fd\[(\d+)\]:(.*)$", config.read_text(), re.MULTILINE)
    assert [name for _descriptor, name in found] == ["/memfd:mec-segment-3", "/memfd:mec-segment-4"]
    first, second = (int(descriptor) for descriptor, _name in found)
    try:
        assert os.read(first, 4) == b"tent"
        assert os.lseek(second, 0, os.SEEK_CUR) == 0
        assert all(map(os.get_inheritable, (first, second)))
        flags = [fcntl.fcntl(each, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND) for each in (first, second)]
        assert flags == [os.O_RDWR, os.O_RDWR | os.O_APPEND]
    finally:
        os.close(first)
        os.close(second)


def test_without_a_list_the_gate_opens_nothing(gate, tmp_path):
    gate.open_segments(str(tmp_path), str(tmp_path / "criu.conf"))
    assert not (tmp_path / "criu.conf").exists()


def test_the_gate_makes_pages_until_the_restore_may_begin(gate, segment):
    near, far = socket.socketpair()
    path = f"/proc/{os.getpid()}/fd/{segment}"
    passed = threading.Thread(target=gate.wait_at, args=(far,))
    passed.start()
    with near, near.makefile("rw", encoding="utf-8") as stream:

        def ask(order):
            stream.write(json.dumps(order) + "\n")
            stream.flush()
            return stream.readline()

        assert ask([[path, [[4096, 12288], [MIB - 4096, MIB]]]]) == "\n"
        assert os.fstat(segment).st_blocks * 512 == 3 * 4096
        assert os.fstat(segment).st_size == MIB
        assert "No such file" in ask([["/proc/self/fd/987654", [[0, 4096]]]])
        assert passed.is_alive()
        stream.write("\n")
        stream.flush()
        passed.join(60)
        assert not passed.is_alive()
    far.close()


def test_the_gate_ends_with_the_migration(gate):
    near, far = socket.socketpair()
    near.close()
    with far, pytest.raises(SystemExit, match="given up"):
        gate.wait_at(far)


def test_the_runtime_hands_on_what_the_gate_says(gate, segment):
    restore = role_file("armed_runtime").Restore([], {}, "id")
    assert "not prepared" in restore.allocate([])
    near, far = socket.socketpair()
    restore._gate = near
    waiting = threading.Thread(target=gate.wait_at, args=(far,))
    waiting.start()
    path = f"/proc/{os.getpid()}/fd/{segment}"
    assert restore.allocate([[path, [[0, 8192]]]]) == ""
    assert os.fstat(segment).st_blocks * 512 == 8192
    assert "No such file" in restore.allocate([["/proc/self/fd/987654", [[0, 4096]]]])
    near.send(b"\n")
    waiting.join(60)
    far.close()
    with pytest.raises(OSError, match="was ended"):
        restore.allocate([])
    near.close()
