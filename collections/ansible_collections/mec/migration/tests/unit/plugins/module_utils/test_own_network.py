# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is in a real network namespace."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.network_settings import changed_settings
from ansible_collections.mec.migration.plugins.module_utils.kernel.own_network import Route, read_network

# Gives the loopback of a network of its own an address, and a route through it.
PROGRAM = """
import ctypes, fcntl, socket, struct, sys
if ctypes.CDLL(None).unshare(0x40000000) != 0:
    print("not given", flush=True)
    sys.exit()


def address(text):
    return struct.pack("@HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))


query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# SIOCSIFFLAGS: up; SIOCSIFADDR, SIOCSIFNETMASK
fcntl.ioctl(query, 0x8914, struct.pack("16sh14x", b"lo", 1))
fcntl.ioctl(query, 0x8916, struct.pack("16s16s", b"lo:1", address("10.200.0.9")))
fcntl.ioctl(query, 0x891C, struct.pack("16s16s", b"lo:1", address("255.255.255.0")))
# SIOCADDRT, struct rtentry: destination, gateway, mask, flags (RTF_UP, RTF_GATEWAY)
route = struct.pack(
    "@L16s16s16sHhLPhPLLH",
    *(0, address("10.201.0.0"), address("10.200.0.1"), address("255.255.0.0"), 3, 0, 0, 0, 0, 0, 0, 0, 0),
)
fcntl.ioctl(query, 0x890B, route)
print("there", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def another_network(program):
    """The process of a program that says when its own network is there, and ends with its input."""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline().strip()
        if line == "not given":
            pytest.skip("this machine gives no network namespace")
        assert line == "there"
        yield process
        process.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")
def test_addresses_and_routes_of_another_network():
    with another_network(PROGRAM) as process:
        network = read_network(process.pid)
    assert network.interfaces == ()
    assert network.addresses == ("10.200.0.9",)
    assert Route("10.201.0.0/16", "10.200.0.1", "lo") in network.routes


def test_a_process_that_is_gone_has_nothing():
    assert read_network(2**22) == ((), (), (), (), ())
    with pytest.raises(OSError, match="No such file"):
        changed_settings(2**22, {})


SETTINGS = """
import ctypes, sys
if ctypes.CDLL(None).unshare(0x40000000) != 0:
    print("not given", flush=True)
    sys.exit()
for name, value in (("ipv4/ip_default_ttl", "99"), ("core/somaxconn", "77"), ("ipv4/tcp_fin_timeout", "21")):
    with open(f"/proc/sys/net/{name}", "w") as setting:
        setting.write(value)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")
def test_settings_that_are_not_as_in_a_new_network():
    before = os.readlink("/proc/self/ns/net")
    with another_network(SETTINGS) as process:
        given = {"net.ipv4.tcp_fin_timeout": "21"}
        assert changed_settings(process.pid, given) == ["net.core.somaxconn", "net.ipv4.ip_default_ttl"]
    # Whoever asks stays where it is.
    assert os.readlink("/proc/self/ns/net") == before
