# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a thread that takes connections is ended."""

from __future__ import annotations

import contextlib
import socket
import threading


def stop_listening(listener: socket.socket, accepting: threading.Thread | None) -> None:
    """Take no more connections; those that are open go on.

    Closing alone would not do: a thread in accept() keeps the socket, and with it the port. Should it be just
    about to call it, it would take the connections of whatever gets the descriptor's number next.
    """
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    if accepting is not None:
        accepting.join(5)
    listener.close()
