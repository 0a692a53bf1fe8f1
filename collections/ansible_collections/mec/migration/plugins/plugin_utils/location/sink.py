# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP server that takes CloudEvents; what an event means is its handler's business."""

from __future__ import annotations

import hmac
import http.server
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import LocationError

MAX_EVENT_BYTES = 64 << 10
MOST_DISCARDED_BYTES = 1 << 20
# Who sends an event sends it at once; a connection that says nothing must not be held for ever.
CONNECTION_S = 10.0
# The head of a chunk, which may have extensions.
CHUNK_HEAD, MOST_LINE_BYTES = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;|\r?\n)"), 1 << 10
CORRELATOR = re.compile(r"[a-zA-Z0-9\-_:;./<>{}]{0,256}")
TOO_LONG = f"An event has a Content-Length, or chunks, of at most {MAX_EVENT_BYTES} bytes."
CODES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 410: "GONE"}


@dataclass(frozen=True)
class Refused(Exception):
    """The event is not taken: HTTP status, and why."""

    status: int
    why: str


# Path below the sink's, event; :raises Refused:
Handler = Callable[[str, Mapping[str, Any]], None]


class EventSink:
    """Listens for events, each of which must have *token*, and gives them to *handler*.

    :param knows: whether there is a subscription with that path; events of others are answered with 410.
    :param certificate: file with the chain, and the key unless *key* names another one; without it no TLS.
    """

    def __init__(
        self,
        address: str,
        port: int,
        token: str,
        knows: Callable[[str], bool],
        handler: Handler,
        *,
        certificate: str | None = None,
        key: str | None = None,
    ) -> None:
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server_class = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family})
            self._server = server_class((address, port), _request_class(token, knows, handler))
        except (OSError, OverflowError) as error:
            raise LocationError(f"listen: {address}:{port}: {error}") from error
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if certificate:
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                self._server.server_close()
                raise LocationError(f"listen: certificate {certificate}: {error}") from error
            # The handshake is made by the connection's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="event sink", daemon=True
        )

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _request_class(
    token: str, knows: Callable[[str], bool], handler: Handler
) -> type[http.server.BaseHTTPRequestHandler]:
    class Request(http.server.BaseHTTPRequestHandler):
        timeout = CONNECTION_S

        def do_POST(self) -> None:
            try:
                handler(*self._event())
            except Refused as refused:
                self._answer(refused.status, refused.why)
            else:
                self._answer(204, "")

        def _event(self) -> tuple[str, Mapping[str, Any]]:
            path = self.path.rpartition("/")[2]
            content = self._content()
            if not knows(path):
                raise Refused(410, "There is no such subscription any more.")
            given = self.headers.get("Authorization", "").encode("latin-1", "replace")
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                raise Refused(401, "The access token of the sink's credential is needed.")
            kind = self.headers.get_content_type()
            if kind != "application/cloudevents+json":
                raise Refused(400, f"Content-Type is {kind}, and must be application/cloudevents+json.")
            try:
                event = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise Refused(400, "The event is no JSON.") from error
            if not isinstance(event, dict):
                raise Refused(400, "The event is no object.")
            return path, event

        def _content(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
                return self._chunks()
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                length = -1
            if not 0 <= length <= MAX_EVENT_BYTES:
                # Who is still sending would not hear the answer.
                self.rfile.read(max(0, min(length, MOST_DISCARDED_BYTES)))
                raise Refused(400, TOO_LONG)
            return self.rfile.read(length)

        def _chunks(self) -> bytes:
            """What comes in chunks (RFC 9112, section 7.1): not every client knows the length beforehand."""
            content, came_bytes = b"", 0
            while True:
                head = CHUNK_HEAD.match(self.rfile.readline(MOST_LINE_BYTES))
                if not head:
                    raise Refused(400, "A chunk of the event does not begin with its length.")
                length = int(head[1], 16)
                came_bytes += length
                if came_bytes > MOST_DISCARDED_BYTES:
                    raise Refused(400, TOO_LONG)
                if not length:
                    break
                content = (content + self.rfile.read(length))[: MAX_EVENT_BYTES + 1]
                self.rfile.readline(MOST_LINE_BYTES)
            # Trailers, up to an empty line.
            while self.rfile.readline(MOST_LINE_BYTES).strip():
                pass
            if came_bytes > MAX_EVENT_BYTES:
                raise Refused(400, TOO_LONG)
            return content

        def _answer(self, status: int, why: str) -> None:
            content = b""
            if why:
                content = json.dumps({"status": status, "code": CODES[status], "message": why}).encode()
            self.send_response(status)
            correlator = self.headers.get("x-correlator")
            if correlator and CORRELATOR.fullmatch(correlator):
                self.send_header("x-correlator", correlator)
            if content:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            """Who is where is no business of standard error."""

    return Request
