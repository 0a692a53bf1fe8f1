# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream between two hosts, over real sockets and real TLS."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import ssl
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.transport import wire, zstd
from ansible_collections.mec.migration.plugins.module_utils.transport.compression import Compression
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import (
    PREFIX,
    Channel,
    Keys,
    connect,
    tls_context,
)
from peers import Peer

# Made on the controller: where there is none (ansible-test with an edge host's Python), nothing to try.
key_pair = pytest.importorskip("ansible_collections.mec.migration.plugins.lookup.migration_keys").key_pair
needs_zstd = pytest.mark.skipif(zstd.load() is None, reason="no libzstd on this machine")
MIGRATION = "redis-1"


@pytest.fixture(scope="module")
def credentials():
    """Key and certificate of the source, the target and a stranger."""
    return {name: key_pair(name) for name in ("source", "target", "stranger")}


def keys_of(credentials, ours, theirs):
    key, certificate = credentials[ours]
    return Keys(key, certificate, credentials[theirs][1])


class Server:
    """Takes one TLS connection and greets it; then ``channel`` is its end, or ``error`` says why not."""

    def __init__(self, keys, scratch_dir, migration_id=MIGRATION, zstd_ok=True, clock_ahead_s=0):
        self._context = tls_context(keys, server=True, scratch_dir=scratch_dir)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.port = self._listener.getsockname()[1]
        self._migration_id, self._zstd_ok = migration_id, zstd_ok
        self._clock_ahead_s = clock_ahead_s
        self.channel = None
        self.error = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        try:
            raw, _address = self._listener.accept()
            raw.settimeout(60)
            self.secured = self._context.wrap_socket(raw, server_side=True)
            channel = Channel(self.secured)
            hello = channel.receive()
            if hello.fields["migration_id"] != self._migration_id:
                channel.send("error", message="another migration", phase="arm")
            else:
                channel.send("ok", zstd_ok=self._zstd_ok, clock_s=time.time() + self._clock_ahead_s)
                channel.allow_compression(hello.fields["zstd_ok"])
                self.channel = channel
        except (OSError, MigrationError) as error:
            self.error = error

    def join(self):
        self._thread.join(60)
        self._listener.close()
        return self


@pytest.fixture
def pair(credentials, tmp_path):
    """A connected source and target."""
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path))
    source = connect(
        "127.0.0.1",
        server.port,
        keys_of(credentials, "source", "target"),
        migration_id=MIGRATION,
        scratch_dir=str(tmp_path),
    )
    target = server.join().channel
    assert target is not None, server.error
    yield source, target
    source.close()
    target.close()


def test_the_greeting_tells_how_the_clocks_differ(credentials, tmp_path):
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path), clock_ahead_s=-90)
    keys = keys_of(credentials, "source", "target")
    source = connect("127.0.0.1", server.port, keys, migration_id=MIGRATION, scratch_dir=str(tmp_path))
    server.join().channel.close()
    source.close()
    assert abs(source.peer_clock.ahead_s + 90) <= source.peer_clock.error_s + 0.001
    assert source.peer_clock.telling


@pytest.fixture
def plain():
    """A channel, and the bare socket at its other end."""
    near, far = socket.socketpair()
    channel = Channel(near)
    channel.set_timeout(60)
    yield channel, far
    channel.close()
    far.close()


def refused(credentials, tmp_path, client, server):
    listening = Server(keys_of(credentials, *server), str(tmp_path))
    with pytest.raises(MigrationError) as caught:
        connect(
            "127.0.0.1",
            listening.port,
            keys_of(credentials, *client),
            migration_id=MIGRATION,
            scratch_dir=str(tmp_path),
        )
    assert listening.join().channel is None
    return caught.value


def seconds_to_send(pair, size_bytes):
    source, target = pair
    thread = threading.Thread(target=lambda: (target.receive(), target.send("ok")))
    thread.start()
    start = time.monotonic()
    source.request("memory.pages", os.urandom(size_bytes))
    seconds = time.monotonic() - start
    thread.join(60)
    return seconds


def test_a_limit_holds_until_it_is_lifted(pair):
    source, _target = pair
    source.limit(16)
    limited = seconds_to_send(pair, 1 << 20)
    source.limit(0)
    assert limited > 0.25
    # A busy machine may be slow in one of them; with the limit none is quicker.
    assert any(seconds_to_send(pair, 1 << 20) < limited / 2 for _try in range(100))


def test_the_kernel_asks_for_a_target_that_is_waited_for(pair):
    source, _target = pair
    options = source._socket
    assert options.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    idle, between = (
        options.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
    )
    assert idle + between < wire.SILENT_KERNEL_S


def test_a_request_that_does_not_reach_the_target_is_not_waited_for_in_vain(monkeypatch):
    """The kernel asks only where nothing is on its way; here something is, which is never read."""
    monkeypatch.setattr(wire, "SILENT_KERNEL_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = socket.create_connection(listener.getsockname())
        with source, listener.accept()[0]:
            wire.notice_silence(source)
            source.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    source.send(b"0" * 65536)
            source.settimeout(60)
            with pytest.raises(OSError, match="timed out") as raised:
                source.recv(1)
    assert raised.value.errno == errno.ETIMEDOUT, "the kernel's, not ours"


def test_messages_go_both_ways(pair):
    source, target = pair
    body = os.urandom(3 << 20)
    sent = []
    thread = threading.Thread(target=lambda: sent.append(source.ask("memory.pages", body, process=7)))
    thread.start()
    message = target.receive()
    thread.join(60)
    assert (message.kind, message.fields, message.body) == ("memory.pages", {"process": 7}, body)
    target.send("ok", rounds=1)
    assert source.answer("memory.pages").fields == {"rounds": 1}
    assert source.sent_bytes >= len(body)
    # What one end counts as sent, the other counts as received; the greeting was no different.
    assert source.sent_bytes == target.received_bytes
    assert source.received_bytes == target.sent_bytes


def test_a_request_is_a_message_and_its_answer(pair):
    source, target = pair
    thread = threading.Thread(target=lambda: target.send("ok", echo=target.receive().body.decode()))
    thread.start()
    assert source.request("handover.status", b"who runs").fields == {"echo": "who runs"}
    thread.join(60)


def test_the_connection_is_tls_1_3_and_no_key_is_left_on_disk(credentials, tmp_path):
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path))
    channel = connect(
        "127.0.0.1",
        server.port,
        keys_of(credentials, "source", "target"),
        migration_id=MIGRATION,
        scratch_dir=str(tmp_path),
    )
    assert server.join().secured.version() == "TLSv1.3"
    assert os.listdir(tmp_path) == []
    channel.close()


def test_tls_1_2_is_refused(credentials, tmp_path):
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw)
    assert isinstance(server.join().error, ssl.SSLError)


def test_a_stranger_is_not_let_in(credentials, tmp_path):
    error = refused(credentials, tmp_path, ("stranger", "target"), ("target", "source"))
    assert isinstance(error, TransferError)


def test_the_source_does_not_talk_to_a_stranger(credentials, tmp_path):
    error = refused(credentials, tmp_path, ("source", "target"), ("stranger", "source"))
    assert "no TLS connection" in error.message
    assert "certificate" in error.message.lower()


def test_a_client_without_a_certificate_is_not_let_in(credentials, tmp_path):
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=credentials["target"][1])
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        secured = context.wrap_socket(raw)
        # With TLS 1.3 the client learns of it with the first bytes that it reads.
        with contextlib.suppress(OSError):
            assert secured.recv(1) == b""
    assert server.join().channel is None
    assert isinstance(server.error, ssl.SSLError)


def test_no_certificate_but_the_peers_own_counts(credentials, tmp_path):
    """A second certificate of the same name is another certificate."""
    key, certificate = key_pair("source")
    double = dict(credentials, double=(key, certificate))
    refused(double, tmp_path, ("double", "target"), ("target", "source"))


def test_nobody_listens(credentials, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransferError) as caught:
        connect(
            "127.0.0.1",
            port,
            keys_of(credentials, "source", "target"),
            migration_id=MIGRATION,
            scratch_dir=str(tmp_path),
        )
    assert f"127.0.0.1 port {port}" in caught.value.message
    assert MIGRATION in caught.value.message


def test_the_receiver_of_another_migration(credentials, tmp_path):
    server = Server(keys_of(credentials, "target", "source"), str(tmp_path), migration_id="web-9")
    with pytest.raises(MigrationError, match="another migration") as caught:
        connect(
            "127.0.0.1",
            server.port,
            keys_of(credentials, "source", "target"),
            migration_id=MIGRATION,
            scratch_dir=str(tmp_path),
        )
    assert caught.value.phase == "arm"
    server.join()


def test_an_orderly_end_is_none_and_a_cut_is_an_error(plain):
    channel, far = plain
    Channel(far).send("ok")
    assert channel.receive().kind == "ok"
    far.close()
    assert channel.receive() is None


@pytest.mark.parametrize("size", [1, PREFIX.size, PREFIX.size + 3, -1])
def test_a_message_cut_anywhere(plain, size):
    channel, far = plain
    header = b'{"kind":"memory.pages"}'
    message = PREFIX.pack(len(header), 4) + header + b"page"
    far.sendall(message[:size])
    far.close()
    with pytest.raises(TransferError, match="cut in the middle"):
        channel.receive()


def test_a_cut_in_tls_is_an_error(pair):
    source, target = pair
    source.set_timeout(60)
    # Not closed in good order: the socket below is shut.
    target._socket.shutdown(socket.SHUT_RDWR)

    def go_on():
        for _message in range(100):
            source.request("memory.pages", bytes(1 << 20))

    with pytest.raises(TransferError, match=r"broke|closed"):
        go_on()
    with pytest.raises(TransferError, match=r"broke|closed"):
        source.request("handover.status")


def test_a_silent_peer_runs_into_the_time_out(plain):
    channel, _far = plain
    channel.set_timeout(0.05)
    with pytest.raises(TransferError, match="timed out"):
        channel.answer("handover.end")


@pytest.mark.parametrize(
    ("header_bytes", "body_bytes"), [(wire.MAX_HEADER_BYTES + 1, 0), (10, wire.MAX_BODY_BYTES + 1)]
)
def test_too_large_a_message_is_refused_before_it_takes_memory(plain, header_bytes, body_bytes):
    channel, far = plain
    far.sendall(PREFIX.pack(header_bytes, body_bytes))
    with pytest.raises(
        TransferError, match=f"announces {header_bytes} [+] {body_bytes} bytes, over the limit"
    ):
        channel.receive()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "without a readable header"),
        (b"{", "without a readable header"),
        (b"\xff\xfe", "without a readable header"),
        (b"[" * 100_000, "without a readable header"),
        (b"[]", "without a readable header"),
        (b'"kind"', "without a readable header"),
        (b"{}", "kind is missing, and must be text"),
        (b'{"kind":7}', "kind is 7, and must be text"),
        (b'{"kind":"' + b"x" * 65 + b'"}', "65 characters"),
        (b'{"kind":"x","zstd":"y"}', "zstd is 'y', and must be a whole number"),
        (b'{"kind":"x","zstd":-1}', "zstd is -1"),
        (b'{"kind":"x","zstd":1e400}', "zstd is inf"),
        (b'{"kind":"x","n":0}', "n is 0"),
        (b'{"kind":"x","n":true}', "n is True"),
        (b'{"kind":"x","zstd":5,"dictionary":1}', "dictionary is 1, and must be true or false"),
    ],
)
def test_a_header_that_is_none(plain, header, said):
    channel, far = plain
    far.sendall(PREFIX.pack(len(header), 0) + header)
    with pytest.raises(TransferError, match=said):
        channel.receive()


def test_an_answer_repeats_the_number_of_what_was_asked(plain):
    channel, far = plain
    peer = Channel(far)
    channel.ask("memory.round_end")
    channel.ask("files.commit")
    for kind in ("memory.round_end", "files.commit"):
        assert peer.receive().kind == kind
        peer.send("ok", of=kind)
    assert channel.answer("memory.round_end").fields == {"of": "memory.round_end"}
    assert channel.answer("files.commit").fields == {"of": "files.commit"}


@pytest.mark.parametrize("to", [None, 0, 2, "1"])
def test_an_answer_to_something_else_ends_the_connection(plain, to):
    channel, far = plain
    channel.ask("handover.status")
    header = json.dumps({"kind": "ok", "state": "destroyed", **({} if to is None else {"to": to})}).encode()
    far.sendall(PREFIX.pack(len(header), 0) + header)
    with pytest.raises(TransferError, match=r"something else than handover\.status"):
        channel.answer("handover.status")
    with pytest.raises(TransferError, match="broke"):
        channel.request("handover.status")


def test_an_answer_that_nobody_asked_for_ends_the_connection(plain):
    channel, far = plain
    Channel(far).send("ok", state="destroyed")
    with pytest.raises(TransferError, match="something else"):
        channel.answer("handover.status")


@pytest.mark.parametrize(
    ("fields", "read", "said"),
    [
        ({}, lambda message: message.integer("number"), "number is missing"),
        ({"number": 1.0}, lambda message: message.integer("number"), "number is 1.0"),
        ({"number": 5}, lambda message: message.integer("number", most=4), "from 0 to 4"),
        ({"name": 1}, lambda message: message.text("name"), "must be text"),
        ({"runs": {}}, lambda message: message.integers("runs"), "a list of whole numbers"),
        ({"runs": [1, True]}, lambda message: message.integers("runs"), "a list of whole numbers"),
        ({"delta": 0}, lambda message: message.flag("delta"), "true or false"),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(fields, read, said):
    with pytest.raises(TransferError, match=f"memory.pages is damaged: .*{said}"):
        read(wire.Message("memory.pages", fields, b""))


def test_an_answer_can_be_an_error_with_all_that_belongs_to_it(plain):
    channel, far = plain
    failed = MigrationError(
        "no", phase="handover", container_state="absent", log_tail="Error", rolled_back=True
    )
    Channel(far).send("error", message=failed.message, **failed.result())
    with pytest.raises(MigrationError) as caught:
        channel.answer("handover.end")
    assert caught.value.message == "no"
    assert caught.value.result() == failed.result()


def test_a_peer_that_hangs_up_instead_of_answering(plain):
    channel, far = plain
    far.close()
    with pytest.raises(TransferError, match=r"closed the connection instead of answering handover\.end"):
        channel.answer("handover.end")


@needs_zstd
def test_what_shrinks_travels_compressed_and_arrives_as_it_was(plain):
    channel, far = plain
    channel.allow_compression(True)
    body = b"page " * 40_000
    size = channel.send("memory.pages", body)
    assert size < len(body) / 10
    message = Channel(far).receive()
    assert message.body == body
    assert message.fields == {}


@needs_zstd
def test_nothing_is_packed_for_a_peer_that_cannot_unpack(plain):
    channel, _far = plain
    channel.allow_compression(False)
    assert channel.send("files.block", b"x" * 10_000) > 10_000


@needs_zstd
def test_nothing_is_packed_where_the_user_does_not_want_it():
    near, far = socket.socketpair()
    with near, far:
        channel = Channel(near, compress=False)
        channel.allow_compression(True)
        assert channel.send("files.block", b"x" * 10_000) > 10_000


@needs_zstd
def test_of_incompressible_bodies_one_in_five_is_tried():
    compression = Compression(zstd.load())
    tried = []
    library = compression._zstd

    class Counting:
        def compress(self, data, level):
            tried.append(len(data))
            return library.compress(data, level)

    compression._zstd = Counting()
    noise = os.urandom(4096)
    for _message in range(1000):
        assert compression.encode(noise) is None
    assert 190 < len(tried) < 210
    # And it notices when the data changes.
    for _message in range(5):
        packed = compression.encode(bytes(4096))
        if packed is not None:
            break
    assert packed is not None
    assert compression.encode(bytes(4096)) is not None


@needs_zstd
def test_a_long_header_is_packed(plain):
    channel, far = plain
    channel.allow_compression(True)
    runs = list(range(3000))
    size = channel.send("memory.pages", runs=runs)
    assert size < len(str(runs)) / 3
    other = Channel(far)
    assert other.receive().fields == {"runs": runs}


@needs_zstd
@pytest.mark.parametrize(
    "header", [b"", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05abcdef", b"\x7f\xff\xff\xffabc"]
)
def test_a_packed_header_that_is_none(plain, header):
    channel, far = plain
    far.sendall(PREFIX.pack(len(header) | wire.HEADER_PACKED, 0) + header)
    with pytest.raises(TransferError, match=r"header|damaged"):
        channel.receive()


@needs_zstd
def test_what_was_shared_is_only_pointed_to():
    likely = os.urandom(200_000)
    body = likely[:90_000] + b"something else" + likely[90_000:]
    handlers = {
        "dictionary": lambda message, channel: channel.take_shared(message),
        "handover.images": lambda message, channel: channel.send("ok", message.body),
    }
    with Peer(handlers) as peer:
        assert peer.channel.resembling(body) == body
        peer.channel.share(likely)
        before = peer.channel.sent_bytes
        answer = peer.channel.request("handover.images", peer.channel.resembling(body))
        assert answer.body == body
        assert peer.channel.sent_bytes - before < 1000
        # Other messages are as before.
        assert peer.channel.pack(body).by_dictionary is False


@needs_zstd
def test_a_body_by_a_dictionary_that_never_came(plain):
    channel, far = plain
    packed = zstd.load().dictionary(os.urandom(5000)).compress(bytes(10_000))
    header = b'{"kind":"handover.images","zstd":10000,"dictionary":true}'
    far.sendall(PREFIX.pack(len(header), len(packed)) + header + packed)
    with pytest.raises(TransferError, match="dictionary that never came"):
        channel.receive()


@needs_zstd
def test_a_body_by_another_dictionary_is_damaged():
    library = zstd.load()
    one, other = (library.dictionary(os.urandom(5000)) for _each in range(2))
    body = os.urandom(100)
    assert one.decompress(one.compress(body), 100) == body
    with pytest.raises(ValueError, match="does not decompress to 99 bytes"):
        one.decompress(one.compress(body), 99)
    with pytest.raises(ValueError, match="does not decompress"):
        other.decompress(one.compress(body)[:-4], 100)


@needs_zstd
def test_on_a_slow_link_every_body_is_tried_and_a_small_gain_taken():
    compression = Compression(zstd.load())
    # Thirty parts of noise, one of zeros: less than what pays on a fast link.
    mixed = os.urandom(31 << 13) + bytes(1 << 13)
    assert compression.encode(mixed) is None
    compression.sent(1 << 20, (1 << 20) / 2.5e6)
    for _message in range(20):
        packed = compression.encode(mixed)
        assert packed is not None
        assert len(packed) < len(mixed)
        assert compression.encode(os.urandom(1 << 18)) is None


@needs_zstd
def test_a_large_message_that_shrinks_is_not_passed_over():
    compression = Compression(zstd.load())
    for _message in range(20):
        assert compression.encode(os.urandom(4096)) is None
    noise, text = os.urandom(1 << 20), bytes(1 << 20)
    for _message in range(8):
        assert compression.encode(noise) is None
        packed = compression.encode(text)
        assert packed is not None
        assert compression.decode(packed, len(text)) == text


@needs_zstd
def test_a_fast_link_after_a_slow_one_is_noticed():
    compression = Compression(zstd.load())
    noise = os.urandom(1 << 16)
    compression.encode(noise)
    compression.sent(1 << 20, 0.4)
    for _message in range(60):
        compression.sent(1 << 20, 1e-5)
    tries = []
    library = compression._zstd
    compression._zstd = SimpleNamespace(compress=lambda *given: tries.append(1) or library.compress(*given))
    for _message in range(200):
        compression.encode(noise)
    assert len(tries) < 50


@needs_zstd
@pytest.mark.parametrize(
    ("size_bytes", "reason"), [(100_001, "damaged"), (99_999, "damaged"), (wire.MAX_BODY_BYTES + 1, "limit")]
)
def test_a_compressed_body_that_lies_about_its_size(plain, size_bytes, reason):
    channel, far = plain
    packed = zstd.load().compress(bytes(100_000))
    header = f'{{"kind":"memory.pages","zstd":{size_bytes}}}'.encode()
    far.sendall(PREFIX.pack(len(header), len(packed)) + header + packed)
    with pytest.raises(TransferError, match=reason):
        channel.receive()


@needs_zstd
def test_a_compressed_body_that_is_none(plain):
    channel, far = plain
    header = b'{"kind":"memory.pages","zstd":10}'
    far.sendall(PREFIX.pack(len(header), 4) + header + b"none")
    with pytest.raises(TransferError, match="damaged"):
        channel.receive()


def test_a_host_without_libzstd_says_so():
    with pytest.raises(TransferError, match="install libzstd"):
        Compression(None).decode(b"", 0)
    assert Compression(None).encode(bytes(10_000)) is None


@pytest.mark.parametrize("size", [0, 100, 16 << 10, 50_000])
def test_messages_that_have_come_together_are_told_apart(plain, size):
    channel, far = plain
    bodies = [bytes([number]) * size for number in range(5)]
    sending = threading.Thread(target=lambda: [Channel(far).send("many", body) for body in bodies])
    sending.start()
    received = []
    while len(received) < len(bodies):
        assert channel.has_something(timeout_s=60)
        received.append(channel.receive().body)
    sending.join()
    assert received == bodies
    assert not channel.has_something()
