# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of JSON to an API on the network: bearer tokens, a time-out for the whole answer, its errors."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import LocationError

MAX_BYTES = 16 << 20
# An access token is renewed this long before it ends, so that none ends on the way.
RENEWED_BEFORE_S = 30.0
# What RFC 6749 recommends to answer leaves expires_in out; then the token is asked for again after this.
TOKEN_LASTS_S = 300.0


@dataclass(frozen=True)
class Answer:
    """What the server said. ``document`` is None where it had no JSON to say."""

    status: int
    document: Any

    def problem(self) -> str:
        """The error in words, of RFC 7807's ProblemDetails (ETSI MEC) or CAMARA's ErrorInfo."""
        said = self.document if isinstance(self.document, Mapping) else {}
        words = [said.get(key) for key in ("code", "title", "message", "detail")]
        told = ": ".join(str(word)[:300] for word in words if isinstance(word, str) and word)
        return f"HTTP {self.status}{': ' + told if told else ''}"

    @property
    def code(self) -> str:
        """The ``code`` of CAMARA's ErrorInfo, or an empty string."""
        code = self.document.get("code") if isinstance(self.document, Mapping) else None
        return code if isinstance(code, str) else ""


@dataclass(frozen=True)
class TokenGrant:
    """Where access tokens come from: OAuth 2.0, grant ``client_credentials`` (RFC 6749, section 4.4)."""

    url: str
    client_id: str
    client_secret: Callable[[], str]
    scope: str = ""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to whom the server names."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


class Api:
    """An API below *url*.

    :param token: reads the bearer token, or None where there is none.
    :param grant: where access tokens are asked for, in place of *token*.
    :param ca_file: certificates to trust in place of the system's.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        grant: TokenGrant | None = None,
        ca_file: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.url = checked_url(url.rstrip("/"), "url", secret=bool(token or grant))
        self._token = token
        self._grant = grant
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._granted = ("", 0.0)
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LocationError(f"ca_file {ca_file}: {error}") from error
        self._opener = urllib.request.build_opener(
            NoRedirects(), urllib.request.HTTPSHandler(context=context)
        )

    def get(self, path: str, query: list[tuple[str, str]] | None = None) -> Answer:
        """The answer to GET *path*."""
        return self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path: str, body: Any, token: str | None = None) -> Answer:
        """The answer to POST *path* with *body* as JSON."""
        return self.request("POST", path, body, token)

    def request(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """:param token: in place of the API's own.
        :raises LocationError: there was no answer.
        """
        bearer = token if token is not None else self._bearer()
        answer = self._once(method, path, body, bearer)
        if answer.status == 401 and token is None and self._grant:
            # It was taken back before its time.
            with self._lock:
                if self._granted[0] == bearer:
                    self._granted = ("", 0.0)
            answer = self._once(method, path, body, self._bearer())
        return answer

    def _once(self, method: str, path: str, body: Any, bearer: str) -> Answer:
        headers = {"Accept": "application/json, application/problem+json"}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return self._send(method, self.url + path, content, headers)

    def _send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        # Without the query: an address of a user is nobody's business in a log.
        place = f"{method} {url.partition('?')[0]}"
        # The scheme was checked.
        request = urllib.request.Request(url, content, dict(headers), method=method)  # noqa: S310
        deadline = time.monotonic() + self._timeout_s
        try:
            try:
                answer = self._opener.open(request, timeout=self._timeout_s)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                said = self._read(answer, deadline)
                status = int(answer.status)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise LocationError(f"{place}: {reason or type(error).__name__}") from error
        try:
            document = json.loads(said) if said.strip() else None
        except (ValueError, RecursionError) as error:
            if 200 <= status < 300:
                raise LocationError(f"{place}: the answer is no JSON: {error}") from error
            document = None
        return Answer(status, document)

    def _read(self, answer: Any, deadline: float) -> bytes:
        # The time-out of urlopen is for each packet; an answer that trickles in must end, too.
        content = bytearray()
        while part := answer.read1(1 << 16):
            content += part
            if len(content) > MAX_BYTES:
                raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"no whole answer within {self._timeout_s:g} s")
        if getattr(answer, "length", 0):
            raise ValueError(f"the answer ended {answer.length} bytes early")
        return bytes(content)

    def _bearer(self) -> str:
        if self._token:
            return self._token()
        if not self._grant:
            return ""
        with self._lock:
            token, until = self._granted
            if time.monotonic() >= until:
                token, until = self._ask_for_token(self._grant)
                self._granted = (token, until)
            return token

    def _ask_for_token(self, grant: TokenGrant) -> tuple[str, float]:
        form = {"grant_type": "client_credentials", **({"scope": grant.scope} if grant.scope else {})}
        # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        pair = ":".join(urllib.parse.quote_plus(word) for word in (grant.client_id, grant.client_secret()))
        headers = {
            "Accept": "application/json",
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        asked = time.monotonic()
        answer = self._send("POST", grant.url, urllib.parse.urlencode(form).encode(), headers)
        said = answer.document if isinstance(answer.document, Mapping) else {}
        token = said.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not token:
            error = f": {said['error']}" if isinstance(said.get("error"), str) else ""
            raise LocationError(
                f"token_url {grant.url}: no access token for client {grant.client_id}; "
                f"HTTP {answer.status}{error}"
            )
        if str(said.get("token_type", "")).lower() != "bearer":
            raise LocationError(
                f"token_url {grant.url}: token_type is {said.get('token_type')!r}; allowed: Bearer"
            )
        lasts = said.get("expires_in")
        if not isinstance(lasts, (int, float)) or isinstance(lasts, bool):
            lasts = TOKEN_LASTS_S
        return token, asked + max(0.0, lasts - RENEWED_BEFORE_S)


def checked_url(url: str, what: str, *, secret: bool) -> str:
    """:raises LocationError: it is no HTTP address, or a secret would travel in the open."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocationError(f"{what} is {url!r}; allowed: http:// or https://, and a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise LocationError(f"{what} has a user, a query or a fragment; allowed: scheme, host, port and path")
    if secret and parts.scheme == "http" and not _loopback(parts.hostname):
        raise LocationError(
            f"{what} is {url}, and a token would travel unencrypted; "
            "allowed with a token: https://, or http:// to this machine"
        )
    return url


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def secret_of(settings: Mapping[str, Any], name: str) -> Callable[[], str] | None:
    """What *settings* have below *name*, or in the file that ``<name>_file`` names, read anew each time."""
    given, file = settings.get(name), settings.get(f"{name}_file")
    if given and file:
        raise LocationError(f"{name} and {name}_file are both given; allowed: one of them")
    if file:
        path = Path(str(file)).expanduser()

        def read() -> str:
            try:
                return header_safe(path.read_text(encoding="utf-8").strip(), f"{name}_file {path}")
            except (OSError, ValueError) as error:
                raise LocationError(f"{name}_file {path}: {error}") from error

        return read
    if given:
        word = header_safe(str(given).strip(), name)
        return lambda: word
    return None


def header_safe(word: str, what: str) -> str:
    """:raises LocationError: *word* is empty or cannot stand in a header; it is never shown."""
    if not word or not word.isascii() or not word.isprintable():
        raise LocationError(f"{what} is empty, or has characters that cannot stand in a header")
    return word
