# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the target's agent takes the source's connections."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable

from ..base.errors import MigrationError
from ..transport.listening import stop_listening
from ..transport.wire import Channel, Keys, notice_silence, tls_context

# Whoever has the right key shakes hands at once. The source has one connection, and another one to ask again.
HANDSHAKE_TIMEOUT_S = 10.0
MOST_CONNECTIONS = 8


class Listener:
    """Takes connections, each in a thread of its own, and shakes hands.

    :param scratch_dir: on tmpfs.
    :param silence_s: a connection on which nothing comes for so long is given up.
    :raises MigrationError: address or port cannot be had.
    """

    def __init__(self, address: str, port: int, keys: Keys, scratch_dir: str, silence_s: float) -> None:
        self._context = tls_context(keys, server=True, scratch_dir=scratch_dir)
        self._silence_s = silence_s
        self._socket = listen(address, port)
        # Asked for when it is closed, too: whoever ended the agent wants to know how it ended.
        self.port = int(self._socket.getsockname()[1])
        self._accepting: threading.Thread | None = None
        self._lock = threading.Lock()
        self._open = 0
        # Connections of the source, and when the last one ended.
        self.connected = 0
        self.last_word = time.monotonic()
        self._channel: Channel | None = None

    @property
    def received_bytes(self) -> int:
        """What came over the last connection: whoever looks twice sees whether the source is still there."""
        return self._channel.received_bytes if self._channel is not None else 0

    @property
    def silent_s(self) -> float:
        """How long nothing has come over that connection."""
        return time.monotonic() - (self._channel.heard_at if self._channel is not None else self.last_word)

    def start(self, serve: Callable[[Channel], None]) -> None:
        """:param serve: answers one connection until that ends."""
        self._serve = serve
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take no more connections, and give the port back; those that are open go on."""
        stop_listening(self._socket, self._accepting)

    def wait_until_left(self, timeout_s: float) -> None:
        """Until all that were connected have gone, at most so long."""
        end = time.monotonic() + timeout_s
        while self.connected and time.monotonic() < end:
            time.sleep(0.01)

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            with self._lock:
                too_many = self._open >= MOST_CONNECTIONS
                self._open += not too_many
            if too_many:
                connection.close()
            else:
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        except (OSError, MigrationError):
            # The peer went away or was not the one expected; whoever waits for it learns by itself.
            pass
        finally:
            connection.close()
            with self._lock:
                self._open -= 1

    def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        notice_silence(connection)
        connection.settimeout(HANDSHAKE_TIMEOUT_S)
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except ssl.SSLError as error:
            raise OSError(f"TLS handshake refused: {error}") from error
        secured.settimeout(self._silence_s)
        channel = self._channel = Channel(secured)
        with self._lock:
            self.connected += 1
        try:
            self._serve(channel)
        finally:
            channel.close()
            with self._lock:
                self.connected -= 1
                self.last_word = time.monotonic()


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens at *address*, or at every address of this host, of IPv4 and IPv6.

    :raises MigrationError: address or port cannot be had.
    """
    try:
        if not address and socket.has_dualstack_ipv6():
            every = ("::", port)
            return socket.create_server(every, family=socket.AF_INET6, backlog=4, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=4)
    except OSError as error:
        where = f"{address or 'any address'} port {port}"
        raise MigrationError(
            f"cannot listen on {where}: {error}; choose another one (migrate_port), or 0 for "
            "one that is free",
            phase="arm",
        ) from error
