# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process is told that sockets of MPTCP are of TCP; the kernel of the machine does it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel import mptcp

IPV6_RECVPKTINFO = 49
SO_PROTOCOL = 38
ASK = """
import socket, sys
ours = socket.socket(fileno=int(sys.argv[1]))
print(ours.getsockopt(1, 38), flush=True)
sys.stdin.readline()
print(ours.getsockopt(1, 38), ours.getsockopt(41, 49), flush=True)
"""


@pytest.fixture
def listener():
    reason = mptcp.obstacle()
    if reason:
        pytest.skip(f"this kernel cannot do it: {reason}")
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, mptcp.IPPROTO_MPTCP) as ours:
        ours.bind(("::1", 0))
        ours.listen()
        yield ours


def protocol(one):
    return one.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL)


def test_one_process_is_told_and_no_other(listener):
    with subprocess.Popen(
        [sys.executable, "-c", ASK, str(listener.fileno())],
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "262\n"
        link = mptcp.tell_tcp(other.pid)
        try:
            # An option that MPTCP does not have, too, of which CRIU wants to know.
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "6 0\n"
            assert protocol(listener) == mptcp.IPPROTO_MPTCP
        finally:
            os.close(link)


def test_it_ends_with_the_descriptor_and_other_sockets_are_left_alone(listener):
    link = mptcp.tell_tcp(os.getpid())
    try:
        assert protocol(listener) == socket.IPPROTO_TCP
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            assert protocol(datagrams) == socket.IPPROTO_UDP
            with pytest.raises(OSError, match=r"not supported|not available"):
                datagrams.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        os.close(link)
    assert protocol(listener) == mptcp.IPPROTO_MPTCP
    with pytest.raises(OSError, match="not supported"):
        listener.getsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO)


def test_who_has_one(listener):
    assert mptcp.holds_mptcp([os.getpid()])
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            assert not mptcp.holds_mptcp([other.pid])
        finally:
            other.kill()
