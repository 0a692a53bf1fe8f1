# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in messages that nobody has read yet are seen, and the messages stay as they are."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.in_flight import (
    SO_PEEK_OFF,
    count_in_flight,
    first_in_flight,
)

KINDS = [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]


@contextlib.contextmanager
def pair(kind=socket.SOCK_STREAM):
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        yield one, other


def peeked(receiver):
    """Inodes of the files in the first message, and how many descriptors this process has meanwhile."""
    before = len(os.listdir("/proc/self/fd"))
    with first_in_flight(os.getpid(), receiver.fileno()) as found:
        inodes = [os.fstat(each).st_ino for each in found]
        assert not any(os.get_inheritable(each) for each in found)
        assert len(os.listdir("/proc/self/fd")) == before + len(found)
    assert len(os.listdir("/proc/self/fd")) == before
    return inodes


@pytest.mark.parametrize("kind", KINDS)
def test_the_message_stays(kind):
    reader, writer = os.pipe()
    with pair(kind) as (sender, receiver):
        assert (count_in_flight(os.getpid(), receiver.fileno()), peeked(receiver)) == (0, [])
        socket.send_fds(sender, [b"with files"], [reader, writer])
        socket.send_fds(sender, [b"another"], [reader])
        assert count_in_flight(os.getpid(), receiver.fileno()) == 3
        both = [os.fstat(reader).st_ino] * 2
        assert (peeked(receiver), peeked(receiver)) == (both, both)
        data, files, _flags, _address = socket.recv_fds(receiver, 10, 9)
        assert data == b"with files"
        assert [os.fstat(each).st_ino for each in files] == both
        assert peeked(receiver) == both[:1]
        for each in (*files, reader, writer):
            os.close(each)


def test_files_behind_plain_data():
    reader, writer = os.pipe()
    with pair() as (sender, receiver):
        sender.send(b"a header, ")
        sender.send(b"and ")
        socket.send_fds(sender, [b"a file"], [reader])
        socket.send_fds(sender, [b", and another"], [writer])
        assert peeked(receiver) == [os.fstat(reader).st_ino]
        assert receiver.recv(99).startswith(b"a header, ")
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_of_peeking_is_not_moved(kind):
    with pair(kind) as (sender, receiver):
        receiver.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 2)
        socket.send_fds(sender, [b"with a file"], [0])
        assert peeked(receiver) == []
        assert receiver.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF) == 2


def test_an_error_stays_for_the_service():
    with pair() as (sender, receiver):
        socket.send_fds(sender, [b"with a file"], [0])
        receiver.send(b"not read")
        sender.close()
        assert peeked(receiver) == []
        with pytest.raises(ConnectionResetError):
            raise OSError(receiver.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "")


def test_of_what_is_no_socket_or_a_listener_nothing_is_seen(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "listener"))
        listener.listen()
        client.connect(str(tmp_path / "listener"))
        socket.send_fds(client, [b"not accepted"], [0])
        assert peeked(listener) == []
    reader, writer = os.pipe()
    with first_in_flight(os.getpid(), reader) as found:
        assert found == []
    os.close(reader)
    os.close(writer)
