# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver in a thread, at the other end of a socket pair."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping

from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    MigrationError,
    TransferError,
)
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Channel, Message

Handlers = Mapping[str, Callable[[Message, Channel], None]]


class Peer:
    """Serves *handlers* until the source closes; ``channel`` is the source's end."""

    def __init__(self, handlers: Handlers, *, limit: int | None = None) -> None:
        self.received: list[str] = []
        self._handlers = handlers
        self._limit = limit
        near, far = socket.socketpair()
        self.channel = Channel(near)
        self.channel.allow_compression(True)
        self._far = Channel(far)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                message = self._far.receive()
            except TransferError:
                break
            if message is None or len(self.received) == self._limit:
                break
            self.received.append(message.kind)
            try:
                self._handlers[message.kind](message, self._far)
            except MigrationError as error:
                # Whoever has gone hears nothing.
                with contextlib.suppress(TransferError):
                    self._far.send("error", message=error.message, **error.result())
        self._far.close()

    def close(self) -> None:
        self.channel.close()
        self._thread.join(60)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
