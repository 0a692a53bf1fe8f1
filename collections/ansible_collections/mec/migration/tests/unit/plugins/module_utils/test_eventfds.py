# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eventfds that CRIU would change: set aside in the images, from this process's own, and made by the gate."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu.eventfds import LIST_FILE, set_aside
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, NAME, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    decode_fields,
    encode_field,
    read_messages,
    write_messages,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.open_files import FDINFO_MAGIC, IDS_MAGIC
from role_files import role_file

EFD_SEMAPHORE = 1
FOWN = b"".join(encode_field(number, 0) for number in range(1, 6))
REGULAR, EVENTFD = 1, 6
libc = ctypes.CDLL(None, use_errno=True)


def fields(*pairs):
    return b"".join(encode_field(number, value) for number, value in pairs)


def shows_semaphores():
    """Linux 6.5 and later do."""
    descriptor = libc.eventfd(0, EFD_SEMAPHORE)
    try:
        return "eventfd-semaphore" in Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)


@pytest.fixture
def dumped(tmp_path):
    """Makes eventfds in this process, and the images of them as CRIU writes those."""
    made = []

    def dump(*wanted):
        """:param wanted: flags and counter of each. Files are numbered from 1."""
        files, table = [], []
        for file, (flags, counter) in enumerate(wanted, start=1):
            descriptor = libc.eventfd(0, flags | os.O_NONBLOCK)
            made.append(descriptor)
            if counter:
                os.write(descriptor, counter.to_bytes(8, "little"))
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & os.O_NONBLOCK)
            entry = fields((1, file), (2, fcntl.fcntl(descriptor, fcntl.F_GETFL)), (3, FOWN), (4, counter))
            files.append(fields((1, EVENTFD), (2, file), (8, entry)))
            table.append(fields((1, file), (2, 0), (3, EVENTFD), (4, descriptor)))
        files.append(fields((1, REGULAR), (2, 99), (3, b"another file")))
        table.append(fields((1, 99), (2, 0), (3, REGULAR), (4, 0)))
        write_messages(str(tmp_path / NAME), MAGIC, files)
        write_messages(str(tmp_path / "ids-7.img"), IDS_MAGIC, [fields((1, 1), (2, 3), (3, 1), (4, 1))])
        write_messages(str(tmp_path / "fdinfo-3.img"), FDINFO_MAGIC, table)
        images = FilesImage(str(tmp_path))
        found = set_aside(images, {os.getpid(): 7})
        images.write()
        return found

    yield dump
    for descriptor in made:
        os.close(descriptor)


@pytest.fixture
def gate():
    return role_file("criu_gate")


def types(directory):
    return [
        dict(decode_fields(message))[3]
        for message in read_messages(f"{directory}/fdinfo-3.img", FDINFO_MAGIC)
    ]


@pytest.mark.skipif(not shows_semaphores(), reason="this kernel does not show which eventfds are semaphores")
def test_a_semaphore_is_set_aside_and_others_stay(dumped, tmp_path):
    (found,) = dumped((0, 5), (EFD_SEMAPHORE, 3), (os.O_NONBLOCK, 0))
    assert (found.file, found.counter, found.semaphore) == (2, 3, True)
    kept, changed, *others = read_messages(str(tmp_path / NAME), MAGIC)
    assert [dict(decode_fields(each))[1] for each in (kept, *others)] == [EVENTFD, EVENTFD, REGULAR]
    regular = dict(decode_fields(dict(decode_fields(changed))[3]))
    assert (regular[1], regular[5], regular[6]) == (2, FOWN, b"/mec-eventfd-2")
    assert types(tmp_path) == [EVENTFD, REGULAR, EVENTFD, REGULAR]


def test_a_counter_of_more_than_32_bits_is_set_aside(dumped):
    assert [each.file for each in dumped((0, 1 << 32), (0, (1 << 32) - 1))] == [1]


def test_images_without_odd_eventfds_are_left_alone(dumped, tmp_path):
    assert dumped((0, 5)) == []
    assert types(tmp_path) == [EVENTFD, REGULAR]
    assert not (tmp_path / LIST_FILE).exists()
    assert set_aside(FilesImage(str(tmp_path / "none")), {}) == []


def test_a_damaged_image_is_an_error(tmp_path):
    damaged = fields((1, EVENTFD), (2, 1), (8, fields((1, 1))))
    write_messages(str(tmp_path / NAME), MAGIC, [damaged])
    with pytest.raises(MigrationError, match="damaged"):
        set_aside(FilesImage(str(tmp_path)), {os.getpid(): 7})


def test_the_gate_makes_what_was_set_aside(dumped, tmp_path, gate):
    big = (1 << 40) + 7
    (found,) = dumped((os.O_NONBLOCK, big))
    config = tmp_path / "criu.conf"
    config.write_text("tcp-close\n")
    gate.make_eventfds(str(tmp_path), str(config))
    first, line = config.read_text().splitlines()
    descriptor, name = re.fullmatch(r"inherit-fd fd\[(\d+)\]:(.+)", line).groups()
    with contextlib.closing(os.fdopen(int(descriptor), "rb", buffering=0)) as made:
        assert (first, name) == ("tcp-close", f"mec-eventfd-{found.file}")
        # CRIU is executed, and inherits it.
        assert os.get_inheritable(made.fileno())
        assert fcntl.fcntl(made, fcntl.F_GETFL) == found.flags
        assert int.from_bytes(made.read(8), "little") == big


def test_a_semaphore_that_the_gate_makes_gives_one_at_a_time(tmp_path, gate):
    (tmp_path / LIST_FILE).write_text("[[1, 3, 2050, true]]")
    config = tmp_path / "criu.conf"
    gate.make_eventfds(str(tmp_path), str(config))
    descriptor = int(re.search(r"\[(\d+)\]", config.read_text())[1])
    with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as made:
        assert [int.from_bytes(made.read(8), "little") for _turn in range(3)] == [1, 1, 1]
        assert made.read(8) is None


def test_without_any_the_gate_leaves_the_configuration_alone(tmp_path, gate):
    gate.make_eventfds(str(tmp_path), str(tmp_path / "criu.conf"))
    assert not (tmp_path / "criu.conf").exists()
