# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connected UDP sockets lose their peer in the images, and get it again: this process's own sockets."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu import connected_datagrams
from ansible_collections.mec.migration.plugins.module_utils.criu.connected_datagrams import disconnect
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, NAME, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    decode_fields,
    encode_field,
    read_messages,
    write_messages,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.open_files import FDINFO_MAGIC, IDS_MAGIC
from ansible_collections.mec.migration.plugins.module_utils.kernel import datagram_peers
from ansible_collections.mec.migration.plugins.module_utils.kernel.datagram_peers import (
    Peer,
    connect_again,
    peers_of,
)
from ansible_collections.mec.migration.plugins.module_utils.target.before_resume import BELL, BeforeResume
from role_files import FILES

INTERNET = 4
UDP, TCP, ESTABLISHED, CLOSED = 17, 6, 1, 7
OURS = {os.getpid(): 7}


def fields(*pairs):
    return b"".join(encode_field(number, value) for number, value in pairs)


def words(address):
    packed = ipaddress.ip_address(address).packed
    return struct.unpack(f"={len(packed) // 4}I", packed)


def entry(own, peer, protocol=UDP, ports=(5000, 53), shutdown=0):
    """As CRIU writes an inet_sk_entry, as far as it matters here."""
    return fields(
        (1, 3),
        (3, socket.AF_INET6 if ":" in own else socket.AF_INET),
        (4, socket.SOCK_DGRAM),
        (5, protocol),
        (6, ESTABLISHED),
        (7, ports[0]),
        (8, ports[1]),
        *((11, word) for word in words(own)),
        *((12, word) for word in words(peer)),
        (14, b"options"),
        *([(19, shutdown)] if shutdown else []),
    )


@pytest.fixture
def pair():
    """Two sockets of which each is the other's peer."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        yield one, other


def edited(directory, descriptor, image_entry):
    """The peers, and the entry as it is then."""
    write_messages(str(directory / NAME), MAGIC, [fields((1, INTERNET), (2, 9), (4, image_entry))])
    write_messages(str(directory / "ids-7.img"), IDS_MAGIC, [fields((1, 1), (2, 3), (3, 1), (4, 1))])
    table = [fields((1, 9), (2, 0), (3, INTERNET), (4, descriptor))]
    write_messages(str(directory / "fdinfo-3.img"), FDINFO_MAGIC, table)
    files = FilesImage(str(directory))
    peers = disconnect(files, OURS)
    files.write()
    (message,) = read_messages(str(directory / NAME), MAGIC)
    return peers, decode_fields(dict(decode_fields(message))[4])


@pytest.mark.parametrize(
    ("own", "peer"), [("172.17.0.2", "192.0.2.7"), ("2001:db8::2", "2001:db8::7"), ("::ffff:10.0.0.2", "::1")]
)
def test_one_with_an_address_of_the_container_loses_address_and_peer(tmp_path, pair, own, peer):
    one, other = pair
    peers, left = edited(tmp_path, one.fileno(), entry(own, peer, shutdown=1))
    assert peers == [Peer(7, one.fileno(), one.getsockname()[1], list(other.getsockname()), 1)]
    count = len(words(own))
    values = [value for number, value in left if number in (11, 12)]
    assert values == [0] * 2 * count
    rest = dict(left)
    assert (rest[6], rest[7], rest[8], rest[14]) == (CLOSED, 5000, 0, b"options")
    assert 19 not in rest


@pytest.mark.parametrize(
    "kept",
    [
        entry("127.0.0.1", "127.0.0.1"),
        entry("::1", "::1"),
        entry("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        entry("172.17.0.2", "192.0.2.7", protocol=TCP),
        entry("172.17.0.2", "0.0.0.0", ports=(5000, 0)),
    ],
)
def test_others_stay_as_they_are(tmp_path, pair, kept):
    peers, left = edited(tmp_path, pair[0].fileno(), kept)
    assert (peers, left) == ([], decode_fields(kept))


def test_a_damaged_image_is_an_error(tmp_path, pair):
    with pytest.raises(MigrationError, match="images of sockets"):
        edited(tmp_path, pair[0].fileno(), entry("172.17.0.2", "192.0.2.7") + b"\xff")


@pytest.mark.parametrize("shut_down", [0, 1, 2, 3])
def test_it_gets_its_peer_again(pair, shut_down):
    _one, other = pair
    with socket.socket(type=socket.SOCK_DGRAM) as lost:
        lost.bind(("", 0))
        sent = [list(Peer(7, lost.fileno(), lost.getsockname()[1], [*other.getsockname()], shut_down))]
        assert connect_again(OURS, peers_of(sent)) == []
        assert lost.getpeername() == other.getsockname()
        if shut_down >= 2:
            with pytest.raises(BrokenPipeError):
                lost.send(b"out")
        else:
            assert lost.send(b"out") == 3


def test_what_the_service_has_done_meanwhile_stays(pair):
    one, other = pair
    with socket.socket(type=socket.SOCK_DGRAM) as elsewhere, socket.socket() as stream:
        elsewhere.bind(("127.0.0.1", 0))
        stream.bind(("127.0.0.1", 0))
        port = elsewhere.getsockname()[1]
        address = list(other.getsockname())
        peers = [
            # It has another peer by now; the descriptor is another socket's, or none.
            Peer(7, one.fileno(), one.getsockname()[1], [*elsewhere.getsockname()], 0),
            Peer(7, elsewhere.fileno(), port + 1, address, 0),
            Peer(7, stream.fileno(), stream.getsockname()[1], address, 0),
            Peer(7, 99999, 1, address, 0),
            Peer(8, elsewhere.fileno(), port, address, 0),
        ]
        assert connect_again(OURS, peers) == []
        assert one.getpeername() == other.getsockname()
        for untouched in (elsewhere, stream):
            with pytest.raises(OSError, match="not connected"):
                untouched.getpeername()


def test_it_gets_its_peer_before_the_service_goes_on(tmp_path):
    program = """
import os, socket, sys
held = socket.socket(type=socket.SOCK_DGRAM)
held.bind(("127.0.0.1", 0))
print(os.getpid(), held.fileno(), held.getsockname()[1], flush=True)
sys.stdin.readline()
print(held.getpeername(), flush=True)
"""
    service = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, descriptor, port = (int(word) for word in service.stdout.readline().split())
    os.kill(pid, signal.SIGSTOP)
    peers = [Peer(pid, descriptor, port, ["127.0.0.1", 9], 0)]
    before = BeforeResume(str(tmp_path), lambda first: connect_again({pid: first}, peers, -1))
    environment = {
        "CRTOOLS_SCRIPT_ACTION": "pre-resume",
        "CRTOOLS_INIT_PID": str(pid),
        "MEC_BEFORE_RESUME": str(tmp_path / BELL),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(["sh", FILES / "criu_actions"], env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    before.close()
    # Whoever should answer may have died.
    subprocess.run(["sh", FILES / "criu_actions"], env=environment, check=True, timeout=60)
    os.kill(pid, signal.SIGCONT)
    said, _nothing = service.communicate("\n")
    assert said.strip() == "('127.0.0.1', 9)"


def test_a_restore_that_fails_calls_nobody(tmp_path):
    called = []
    BeforeResume(str(tmp_path), called.append).close()
    assert called == []


def test_what_cannot_be_is_said():
    with socket.socket(type=socket.SOCK_DGRAM) as lost:
        lost.bind(("", 0))
        descriptor, port = lost.fileno(), lost.getsockname()[1]
        # To be allowed to send to it the socket would need SO_BROADCAST.
        (said,) = connect_again(OURS, [Peer(7, descriptor, port, ["255.255.255.255", 9], 0)])
    assert said.startswith(
        f"the connection to 255.255.255.255 port 9 of file descriptor {descriptor} of process 7 ("
    )


@pytest.mark.parametrize(
    "damaged", [None, [[1, 2]], [[1, 2, 3, [], 0]], [[1, 2, 3, [4, 5], 0]], [["1", 2, 3, ["a"], 0]]]
)
def test_damaged_fields_are_an_error(damaged):
    with pytest.raises(ValueError, match=r"peers of sockets|an address is none"):
        peers_of(damaged)


def free_port():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as found:
        found.bind(("::", 0))
        return found.getsockname()[1]


@pytest.fixture
def scoped(monkeypatch):
    """A socket that listens, and one that lost it as a peer behind interface eth7, which is lo here."""
    monkeypatch.setattr(datagram_peers, "interface_names", lambda _pid: {1: "eth7"})
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listens,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as lost,
    ):
        listens.bind(("::1", 0))
        # By its number, as a restore binds it, so that it keeps it without a peer.
        lost.bind(("::", free_port()))
        address = [*listens.getsockname()[:3], 55]
        yield lost, Peer(7, lost.fileno(), lost.getsockname()[1], address, 0, "eth7")


@pytest.mark.parametrize("connected", [False, True])
def test_an_interface_has_its_own_number_there(monkeypatch, scoped, connected):
    lost, peer = scoped
    port = lost.getsockname()[1]
    if connected:
        # Before there was a link-local address to send from.
        lost.connect((*peer.address[:3], 1))
    ready = iter([False, False, True])
    monkeypatch.setattr(datagram_peers, "_has_link_local", lambda *_: next(ready))
    assert connect_again(OURS, peers_of([list(peer)])) == []
    assert list(ready) == []
    assert lost.getpeername()[:2] == tuple(peer.address[:2])
    assert lost.getsockname()[1] == port


def test_an_interface_that_is_not_there_is_waited_for(monkeypatch, scoped):
    lost, peer = scoped
    names = iter([{}, {1: "lo"}, {1: "lo", 2: "eth7"}])
    monkeypatch.setattr(datagram_peers, "interface_names", lambda _pid: next(names))
    monkeypatch.setattr(datagram_peers, "_has_link_local", lambda *_: True)
    connect_again(OURS, [peer])
    assert list(names) == []
    monkeypatch.setattr(datagram_peers, "interface_names", lambda _pid: {1: "lo"})
    lost.close()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 0))
        missing = peer._replace(descriptor=other.fileno(), port=other.getsockname()[1])
        (said,) = connect_again(OURS, [missing], patience_s=0.01)
        assert said.endswith("(Network is down)")


def test_the_name_of_the_interface_goes_with_a_link_local_address(monkeypatch):
    monkeypatch.setattr(connected_datagrams, "interface_names", lambda _pid: {9: "eth0"})
    assert connected_datagrams._interface(1, ("fe80::1", 514, 0, 9)) == "eth0"
    assert connected_datagrams._interface(1, ("2001:db8::1", 514, 0, 0)) == ""
    assert connected_datagrams._interface(1, ("192.0.2.1", 514)) == ""
