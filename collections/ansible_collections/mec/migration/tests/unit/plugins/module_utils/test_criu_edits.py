# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the images of the final dump."""

from __future__ import annotations

import ctypes
import os
import select
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.criu.edits import (
    MM_MAGIC,
    MOUNTS_MAGIC,
    TIMERFD,
    keep_reserved,
    mount_anew,
    rearm_timers,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, NAME, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    decode_fields,
    encode_field,
    read_messages,
    write_messages,
)

libc = ctypes.CDLL(None, use_errno=True)
FOWN = b"".join(encode_field(number, 0) for number in range(1, 6))


class TimerSpec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


def timer(value, interval, ticks):
    """An entry as CRIU writes it; times are pairs of seconds and nanoseconds."""
    numbers = (1, ticks, 0, *value, *interval)
    entry = encode_field(1, 5) + encode_field(2, 0) + encode_field(3, FOWN)
    entry += b"".join(encode_field(number, each) for number, each in enumerate(numbers, start=4))
    return encode_field(1, TIMERFD) + encode_field(2, 5) + encode_field(12, entry)


def times(message):
    entry = dict(decode_fields(dict(decode_fields(message))[12]))
    return [entry[number] for number in (7, 8, 9, 10)]


@pytest.mark.parametrize(
    ("value", "interval", "ticks", "expected"),
    [
        ((0, 0), (1, 0), 1, [0, 1, 1, 0]),
        ((0, 0), (0, 5000), 1, [0, 1, 0, 5000]),
        ((2, 7), (1, 0), 0, [2, 7, 1, 0]),
        ((0, 0), (0, 0), 1, [0, 0, 0, 0]),
    ],
    ids=["expired", "expired, below a second", "running", "expired once"],
)
def test_only_an_expired_periodic_timer_is_changed(tmp_path, value, interval, ticks, expected):
    path = str(tmp_path / NAME)
    other = encode_field(1, 1) + encode_field(2, 9) + encode_field(3, b"a file")
    before = [other, timer(value, interval, ticks), other]
    write_messages(path, MAGIC, before)
    files = FilesImage(str(tmp_path))
    changed = rearm_timers(files)
    assert read_messages(path, MAGIC) == before
    files.write()
    after = read_messages(path, MAGIC)
    assert times(after[1]) == expected
    assert [after[0], after[2]] == [other, other]
    assert changed == (times(before[1]) != expected)


def test_the_kernel_takes_a_timer_that_is_set_so_for_one_that_expired():
    """As CRIU restores it: set to what the image says."""

    def made(interval_ns, value_ns):
        descriptor = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        spec = TimerSpec(0, interval_ns, 0, value_ns)
        assert libc.timerfd_settime(descriptor, 0, ctypes.byref(spec), None) == 0
        return descriptor

    lost, kept = made(10_000_000, 0), made(10_000_000, 1)
    try:
        assert select.select([lost, kept], [], [], 1)[0] == [kept]
        for _turn in range(3):
            assert select.select([kept], [], [], 1)[0]
            assert int.from_bytes(os.read(kept, 8), "little") >= 1
    finally:
        os.close(lost)
        os.close(kept)


def test_images_without_files_are_left_alone(tmp_path):
    files = FilesImage(str(tmp_path))
    assert rearm_timers(files) == 0
    files.write()
    assert not list(tmp_path.iterdir())


def area(start, size, protection, status=1 << 9, flags=0x22):
    numbers = (start, start + size, 0, 0, protection, flags, status, 1)
    return b"".join(encode_field(number, each) for number, each in enumerate(numbers, start=1))


def test_only_a_large_reservation_is_not_counted(tmp_path):
    image = str(tmp_path / "mm-7.img")
    given = [
        area(1 << 40, 8 << 40, 0),
        area(1 << 36, 1 << 30, 1),
        area(1 << 35, 1 << 30, 3),
        area(1 << 34, 1 << 20, 0),
        area(1 << 33, 1 << 30, 0, status=1 << 6),
    ]
    entry = encode_field(1, 1 << 47) + encode_field(12, 3)
    write_messages(image, MM_MAGIC, [entry + b"".join(encode_field(14, each) for each in given)])
    assert keep_reserved(image)
    (message,) = read_messages(image, MM_MAGIC)
    assert message.startswith(entry)
    flags = [dict(decode_fields(value))[6] for number, value in decode_fields(message) if number == 14]
    assert flags == [0x4022, 0x4022, 0x22, 0x22, 0x22]
    assert not keep_reserved(image)


def test_what_was_mounted_and_is_deleted_is_mounted_anew_by_the_container_engine_alone(tmp_path):
    path = str(tmp_path / "mountpoints-12.img")

    def mounted(deleted, external):
        head = (
            encode_field(2, 700) + encode_field(6, "/conf") + encode_field(7, "conf") + encode_field(10, 128)
        )
        return head + encode_field(16, True) * deleted + encode_field(18, "/conf") * external

    every = [mounted(deleted, external) for deleted in (True, False) for external in (True, False)]
    write_messages(path, MOUNTS_MAGIC, every)
    assert mount_anew(path)
    assert read_messages(path, MOUNTS_MAGIC) == [mounted(False, True), *every[1:]]
    assert not mount_anew(path)
