# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connected UDP sockets, which CRIU could not restore: it binds each to the address that it had here.

On the target the container has another address, or none yet (from Docker 28 on the network is there only
after the restore). So in the images they are not connected and have their port only, and the target connects
them again once they run. Formats: images/fdinfo.proto (file_entry), sk-inet.proto.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from typing import Any

from ..base.errors import MigrationError
from ..kernel.datagram_peers import Peer
from ..kernel.interfaces import interface_names
from ..kernel.socket_options import socket_of
from ..kernel.sockets import is_own_address
from .files_image import FILE, FilesImage
from .images import FieldValue, decode_fields, encode_field
from .open_files import descriptors_image, integer, open_descriptors, submessage

# enum fd_types, and the field of file_entry that such a file has.
INTERNET, INTERNET_FIELD = 4, 4
# Of inet_sk_entry.
TYPE, PROTOCOL, STATE, PEER_PORT, ADDRESS, PEER_ADDRESS, SHUTDOWN = 4, 5, 6, 8, 11, 12, 19
PROTOCOLS = (socket.IPPROTO_UDP, socket.IPPROTO_UDPLITE)
ENCODED = [encode_field(PROTOCOL, protocol) for protocol in PROTOCOLS]
# include/net/tcp_states.h
CLOSED = 7


def disconnect(files: FilesImage, pids: dict[int, int]) -> list[Peer]:
    """Edit the image of open files; returns what the target is to connect.

    :param pids: of the frozen processes, number on the host -> number in the container.
    :raises MigrationError: an image is damaged.
    """
    try:
        connected = {}
        for index, message in files.of_type(INTERNET):
            if not any(protocol in message for protocol in ENCODED):
                # A service may have thousands of TCP connections, and is frozen.
                continue
            fields = dict(decode_fields(message))
            if _is_disconnected_by_a_move(fields[INTERNET_FIELD]):
                connected[integer(fields[FILE])] = (index, message)
        peers = []
        for pid, number in pids.items() if connected else ():
            for file, descriptor in open_descriptors(descriptors_image(files.directory, number)):
                if file in connected:
                    index, message = connected.pop(file)
                    files.replace(index, _disconnected(message))
                    how = integer(submessage(dict(decode_fields(message))[INTERNET_FIELD]).get(SHUTDOWN, 0))
                    with contextlib.suppress(OSError), socket_of(pid, descriptor) as found:
                        port, peer = found.getsockname()[1], found.getpeername()
                        peers.append(Peer(number, descriptor, port, list(peer), how, _interface(pid, peer)))
        return peers
    except (ValueError, KeyError) as error:
        raise MigrationError(
            f"the images of sockets in {files.directory} are damaged: {error!r}", phase="handover"
        ) from error


def _interface(pid: int, peer: tuple[Any, ...]) -> str:
    """The name of the interface that a link-local address belongs to; empty for every other address.

    :raises OSError: the process is gone.
    """
    scope = peer[3] if len(peer) > 3 else 0
    return interface_names(pid).get(scope, "") if scope else ""


def _is_disconnected_by_a_move(entry: FieldValue) -> bool:
    """Whether it is a UDP socket with a peer, by an address that is this container's own."""
    fields = submessage(entry)
    if fields.get(PROTOCOL) not in PROTOCOLS or not fields.get(PEER_PORT):
        return False
    words = [value for number, value in decode_fields(bytes(entry)) if number == ADDRESS]
    packed = b"".join(struct.pack("=I", integer(word)) for word in words)
    return is_own_address(ipaddress.ip_address(packed))


def _disconnected(message: bytes) -> bytes:
    return b"".join(
        encode_field(number, _without_peer(value) if number == INTERNET_FIELD else value)
        for number, value in decode_fields(message)
    )


def _without_peer(entry: FieldValue) -> bytes:
    kept = {ADDRESS: 0, PEER_ADDRESS: 0, PEER_PORT: 0, STATE: CLOSED}
    return b"".join(
        encode_field(number, kept.get(number, value))
        for number, value in decode_fields(bytes(entry))
        # A socket without a peer cannot be shut down.
        if number != SHUTDOWN
    )
