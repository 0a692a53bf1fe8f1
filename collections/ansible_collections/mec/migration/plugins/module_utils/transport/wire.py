# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream between source and target: messages over one mutually authenticated TLS 1.3 connection.

A message is a fixed prefix (two big-endian unsigned integers: header length in 4 bytes, body length
in 8), a JSON header and a body. A long header is a zstd frame after its own length in 4 bytes; the top
bit of the header's length says so. The header's ``kind`` says who handles it (``layers.have``,
``memory.pages``); the body is opaque bytes, zstd-compressed where that was measured to pay.

A message that wants an answer carries a number (``n``), and the answer repeats it (``to``). An answer with
another number ends the connection: whoever believed it would believe what was said of something else.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import ssl
import struct
import tempfile
import time
from collections import deque
from typing import Any, NamedTuple

from ..base.clocks import ClockDifference, Question
from ..base.crash_points import AFTER, around, reach
from ..base.errors import MigrationError, TransferError
from ..base.units import BYTES_PER_S_OF_MBIT
from . import zstd
from .compression import MAX_BODY_BYTES, MIN_COMPRESS_BYTES, Body, Compression, Packed

PREFIX = struct.Struct("!IQ")
MAX_HEADER_BYTES = 16 << 20
# A longer body is mostly something else, and packing it takes its time.
MAX_RESEMBLING_BYTES = 16 << 20
HEADER_PACKED = 1 << 31
# What JSON's readers agree on; every address and size of a process is smaller.
MAX_INTEGER = (1 << 63) - 1
MAX_KIND_LENGTH = 64
# The peer's kernel, whatever its program does, says something sooner. More than a pause in which a slow disk
# keeps a target from reading.
SILENT_KERNEL_S = 60
HEADER_LENGTH = struct.Struct("!I")
# As much as TLS has in one record.
AHEAD_BYTES = 16 << 10
_encode = json.JSONEncoder(separators=(",", ":")).encode
# <asm-generic/socket.h>; Python has no name for it. The kernel's word for no limit is ~0U.
SO_MAX_PACING_RATE, NOT_PACED = 47, (1 << 32) - 1

# What comes of reading something from a peer or a disk that is not of the shape that it should have.
DAMAGED = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class Keys(NamedTuple):
    """One side's credentials of one migration, all PEM text.

    Each side trusts exactly one certificate: the other's, which is self-signed.
    """

    key: str
    certificate: str
    peer_certificate: str


class Message(NamedTuple):
    """What arrived. Its fields come from the peer: ask for them by type.

    :raises TransferError: from each of the methods, where the field is missing or is not of that type.
    """

    kind: str
    fields: dict[str, Any]
    body: bytes

    def integer(self, name: str, least: int = 0, most: int = MAX_INTEGER) -> int:
        """The whole number *name*, which lies in [*least*, *most*]."""
        value = self.fields.get(name)
        # True and False are integers in Python, and none in the protocol.
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return value

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.fields.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "names with values")
        return value

    def integers(self, name: str) -> list[int]:
        """A list of whole numbers, of any size and sign."""
        value = self.fields.get(name)
        # True and False are integers in Python, and none in the protocol; there can be many numbers.
        if not isinstance(value, list) or not {type(each) for each in value} <= {int}:
            raise self._wrong(name, "a list of whole numbers")
        return value

    def flag(self, name: str) -> bool:
        """Whether *name* is said; a flag that is left out is False."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def _wrong(self, name: str, needed: str) -> TransferError:
        seen = repr(self.fields[name])[:60] if name in self.fields else "missing"
        return TransferError(f"the message {self.kind} is damaged: {name} is {seen}, and must be {needed}")


def tls_context(keys: Keys, *, server: bool, scratch_dir: str) -> ssl.SSLContext:
    """A context that speaks TLS 1.3 only and knows one peer.

    :param scratch_dir: directory on tmpfs; ``ssl`` reads keys from files only, so the key passes
        through one there and is gone when this returns.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The certificate itself is pinned, which is stricter than any name in it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=keys.peer_certificate)
    with tempfile.NamedTemporaryFile("w", dir=scratch_dir, prefix="key-") as pem:
        os.fchmod(pem.fileno(), 0o600)
        pem.write(keys.key.strip() + "\n" + keys.certificate.strip() + "\n")
        pem.flush()
        context.load_cert_chain(pem.name)
    return context


class Channel:
    """Messages over a connected socket (TLS in production). Not thread-safe.

    ``sent_bytes`` and ``received_bytes`` count what crossed the wire, prefixes and headers included,
    TLS records not.
    """

    def __init__(self, connection: socket.socket, *, compress: bool = True) -> None:
        self._socket = connection
        library = zstd.load()
        # Until the peer has said that it can unpack zstd, nothing is packed.
        self.can_unpack = library is not None
        self.compress = False
        self._may_compress = compress
        self._compression = Compression(library)
        self._number = 0
        # What this side asked and the peer has not answered, and the other way round, oldest first.
        self._asked: deque[tuple[int, str]] = deque()
        self._to_answer: deque[tuple[int, str]] = deque()
        self.sent_bytes = 0
        self.received_bytes = 0
        self.heard_at = time.monotonic()
        # Of the side that has connected, once the peer has said what its clock says.
        self.peer_clock: ClockDifference | None = None
        # What has come behind what was asked for: a short message is read by one call.
        self._ahead = b""

    def allow_compression(self, peer_can_unpack: bool) -> None:
        self.compress = self._may_compress and self.can_unpack and peer_can_unpack

    def pack(self, body: Body) -> Packed | None:
        """*body* as a zstd frame, or None where the peer cannot unpack it."""
        if not self.compress:
            return None
        return Packed(self._compression.pack(body), len(body))

    def share(self, data: bytes) -> None:
        """Send what later messages will resemble: see :meth:`resembling`."""
        if self.compress and data:
            self.request("dictionary", data)
            self._compression.use_dictionary(data)

    def take_shared(self, message: Message) -> None:
        """Handles the peer's :meth:`share`."""
        self._compression.use_dictionary(message.body)
        self.send("ok")

    def resembling(self, body: Body) -> Body | Packed:
        """*body* without what was shared, if something was."""
        dictionary = self._compression.dictionary
        if dictionary is None or len(body) > MAX_RESEMBLING_BYTES:
            return body
        return Packed(dictionary.compress(bytes(body)), len(body), by_dictionary=True)

    def send(self, kind: str, body: Body | Packed = b"", **fields: Any) -> int:
        """Send one message; returns the bytes that it took on the wire.

        Where the peer waits for an answer, this is the answer to what it asked first.

        :raises TransferError: the connection is gone or stalled.
        """
        call = f"send.{kind}"
        if self._to_answer:
            fields["to"], asked = self._to_answer.popleft()
            call = f"answer.{asked}"
        return self._send(kind, body, fields, call)

    def ask(self, kind: str, body: Body | Packed = b"", **fields: Any) -> int:
        """Send one message whose answer is waited for later, by :meth:`answer`, in the order of asking.

        :returns: the bytes that it took on the wire.
        :raises TransferError: the connection is gone or stalled.
        """
        self._number += 1
        self._asked.append((self._number, kind))
        return self._send(kind, body, dict(fields, n=self._number), f"send.{kind}")

    def _send(self, kind: str, body: Body | Packed, fields: dict[str, Any], call: str) -> int:
        if isinstance(body, Packed):
            fields["zstd"] = body.size_bytes
            if body.by_dictionary:
                fields["dictionary"] = True
            body = body.frame
        elif self.compress:
            packed = self._compression.encode(body)
            if packed is not None:
                fields["zstd"] = len(body)
                body = packed
        head = self._head(dict(fields, kind=kind), len(body))
        try:
            with around(call):
                if len(body) <= 1 << 16:
                    self._socket.sendall(head + bytes(body))
                else:
                    start = time.monotonic()
                    self._socket.sendall(head)
                    self._socket.sendall(body)
                    self._compression.sent(len(body), time.monotonic() - start)
        except (OSError, ssl.SSLError) as error:
            raise TransferError(f"the connection broke while sending {kind}: {error}") from error
        size = len(head) + len(body)
        self.sent_bytes += size
        return size

    def _head(self, fields: dict[str, Any], body_bytes: int) -> bytes:
        header = _encode(fields).encode()
        if not self.compress or len(header) < MIN_COMPRESS_BYTES:
            return PREFIX.pack(len(header), body_bytes) + header
        packed = HEADER_LENGTH.pack(len(header)) + self._compression.pack(header)
        return PREFIX.pack(len(packed) | HEADER_PACKED, body_bytes) + packed

    def _unpack_header(self, packed: bytes) -> bytes:
        (size_bytes,) = HEADER_LENGTH.unpack_from(packed)
        if size_bytes > MAX_HEADER_BYTES:
            raise TransferError(f"a message's header of {size_bytes} bytes is over the limit")
        return self._compression.decode(packed[HEADER_LENGTH.size :], size_bytes)

    def receive(self) -> Message | None:
        """The next message, or None when the peer closed the connection in good order.

        :raises TransferError: the connection broke in the middle of a message, or what came is not one.
        """
        prefix = self._read(PREFIX.size, may_end=True)
        if prefix is None:
            return None
        header_bytes, body_bytes = PREFIX.unpack(prefix)
        header_packed = bool(header_bytes & HEADER_PACKED)
        header_bytes &= ~HEADER_PACKED
        if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
            raise TransferError(f"a message announces {header_bytes} + {body_bytes} bytes, over the limit")
        header: bytes | bytearray | None = self._read(header_bytes)
        body = self._read(body_bytes) if body_bytes else b""
        if header is None or body is None:
            raise TransferError("the connection was cut in the middle of a message")
        try:
            if header_packed:
                header = self._unpack_header(bytes(header))
            fields = json.loads(header)
        except (ValueError, RecursionError, struct.error) as error:
            raise TransferError(f"a message without a readable header: {error}") from error
        if not isinstance(fields, dict):
            raise TransferError("a message without a readable header: it is no object")
        head = Message("", fields, b"")
        kind = head.text("kind")
        if len(kind) > MAX_KIND_LENGTH:
            raise TransferError(f"a message's kind has {len(kind)} characters, over the limit")
        self.received_bytes += PREFIX.size + header_bytes + body_bytes
        if "zstd" in fields:
            unpacked_bytes, by_dictionary = head.integer("zstd"), head.flag("dictionary")
            body = self._compression.decode(bytes(body), unpacked_bytes, by_dictionary=by_dictionary)
        if "n" in fields:
            self._to_answer.append((head.integer("n", least=1), kind))
        for name in ("kind", "zstd", "dictionary", "n"):
            fields.pop(name, None)
        if "to" not in fields:
            reach(f"receive.{kind}", AFTER, TransferError)
        return Message(kind, fields, bytes(body))

    def request(self, kind: str, body: Body | Packed = b"", **fields: Any) -> Message:
        """Send one message and wait for its answer.

        :raises MigrationError: the peer answered with an error.
        :raises TransferError: no answer came.
        """
        self.ask(kind, body, **fields)
        return self.answer(kind)

    def answer(self, kind: str) -> Message:
        """Wait for the answer to the *kind* that was asked first of all that have none yet.

        :raises MigrationError: the peer answered with an error, or said one of a message that was sent
            without asking.
        :raises TransferError: no answer came, or one to something else; then the connection is closed.
        """
        message = self.receive()
        if message is None:
            raise TransferError(f"the peer closed the connection instead of answering {kind}")
        number = message.fields.pop("to", None)
        reach(f"receive.answer.{kind}", AFTER, TransferError)
        # An error that answers nothing is about a message that was sent without asking.
        if message.kind != "error" or number is not None:
            asked = self._asked.popleft() if self._asked else None
            if asked != (number, kind):
                self.close()
                raise TransferError(
                    f"the peer answered something else than {kind}: the connection is out of step; start the "
                    "migration again"
                )
        if message.kind == "error":
            raise MigrationError(
                str(message.fields.get("message", "the peer failed")),
                phase=str(message.fields.get("phase", "unknown")),
                container_state=str(message.fields.get("container_state", "unknown")),
                log_tail=str(message.fields.get("log_tail", "")),
                rolled_back=message.fields.get("rolled_back") is True,
            )
        return message

    def limit(self, mbit: float) -> None:
        """Send no faster than *mbit*, headers included; 0 lifts the limit.

        The kernel then spreads packets out in time, so that they do not fill the link's queue, in which the
        service's own answers would wait.
        """
        rate = min(max(int(mbit * BYTES_PER_S_OF_MBIT), 1), NOT_PACED) if mbit else NOT_PACED
        self._socket.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=I", rate))

    def has_something(self, *, unless: socket.socket | None = None, timeout_s: float = 0) -> bool:
        """Whether something has come that was not received yet, be it the connection's end.

        :param unless: wait no longer than until this can be read from.
        """
        if self._ahead or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return True
        # Not select(2): of a service of a thousand processes descriptors have larger numbers than it takes.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if unless is not None:
            poll.register(unless, select.POLLIN)
        readable = [descriptor for descriptor, _event in poll.poll(timeout_s * 1000)]
        return self._socket.fileno() in readable

    def set_timeout(self, timeout_s: float | None) -> None:
        self._socket.settimeout(timeout_s)

    def interrupt(self) -> None:
        """From another thread: end what is being sent or waited for, with a :class:`TransferError` there."""
        with contextlib.suppress(OSError):
            # Not the method of the TLS socket, which would first take the encryption away.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read(self, size: int, *, may_end: bool = False) -> bytes | bytearray | None:
        if size <= len(self._ahead):
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        buffer = bytearray(size)
        view = memoryview(buffer)
        got = len(self._ahead)
        view[:got], self._ahead = self._ahead, b""
        try:
            while got < size:
                if size - got < AHEAD_BYTES:
                    some = self._socket.recv(AHEAD_BYTES)
                    count = min(len(some), size - got)
                    view[got : got + count], self._ahead = some[:count], some[count:]
                else:
                    count = self._socket.recv_into(view[got:], min(size - got, 1 << 20))
                self.heard_at = time.monotonic()
                if count == 0:
                    if may_end and got == 0:
                        return None
                    raise TransferError("the connection was cut in the middle of a message")
                got += count
        except (OSError, ssl.SSLError) as error:
            raise TransferError(f"the connection broke while receiving: {error}") from error
        return buffer


def notice_silence(connection: socket.socket) -> None:
    """Have the kernel end a connection whose peer has vanished without a word, while it is waited for, too.

    Some answers take a slow host minutes; it is the peer's kernel that answers here. It is only asked where
    nothing is on its way. Where something is, TCP_USER_TIMEOUT limits how long its receipt is waited for,
    which else is a quarter of an hour; it also replaces the number of times that the kernel asks (tcp(7)).
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENT_KERNEL_S * 1000))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)


def connect(
    address: str,
    port: int,
    keys: Keys,
    *,
    migration_id: str,
    scratch_dir: str,
    timeout_s: float = 10.0,
    compress: bool = True,
    limit_mbit: float = 0,
) -> Channel:
    """Connect to the target's receiver and greet it.

    :param limit_mbit: see :meth:`Channel.limit`.
    :raises TransferError: no connection, the wrong certificate, or another migration's receiver.
    :raises MigrationError: the keys are none.
    """
    try:
        context = tls_context(keys, server=False, scratch_dir=scratch_dir)
    except (OSError, ValueError) as error:
        raise MigrationError(
            f"key and certificates of migration {migration_id} cannot be used: {error}. They come from the "
            "lookup mec.migration.migration_keys",
            phase="arm",
        ) from error
    try:
        raw = socket.create_connection((address, port), timeout=timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_silence(raw)
        connection = context.wrap_socket(raw)
    except (OSError, ssl.SSLError) as error:
        raise TransferError(
            f"no TLS connection to the receiver at {address} port {port}: {error}. Is the receiver of "
            f"migration {migration_id} still running there, and may this host reach that port?"
        ) from error
    channel = Channel(connection, compress=compress)
    channel.limit(limit_mbit)
    question = Question()
    hello = channel.request("hello", migration_id=migration_id, zstd_ok=channel.can_unpack)
    channel.peer_clock = question.answered(hello.fields.get("clock_s"))
    channel.allow_compression(bool(hello.fields.get("zstd_ok")))
    return channel
