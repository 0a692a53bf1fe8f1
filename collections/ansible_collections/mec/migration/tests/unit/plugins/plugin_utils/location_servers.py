# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Location services on loopback that hold requests, and what they answer, to what the published APIs require.

ETSI GS MEC 013 V2.2.1 (2022-04-01); CAMARA DeviceLocation r3.2 (2025-09-16), location-retrieval 0.5.0 and
geofencing-subscriptions 0.5.0.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema

TEXT = {"type": "string", "minLength": 1}
MOMENT = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
STAMP = {
    "type": "object",
    "required": ["seconds", "nanoSeconds"],
    "properties": {
        "seconds": {"type": "integer", "minimum": 0},
        "nanoSeconds": {"type": "integer", "minimum": 0},
    },
}
DEGREES = {
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
}
INFO = {
    "type": "object",
    "required": ["latitude", "longitude", "shape"],
    "properties": {
        **{key: {"type": "array", "minItems": 1, "items": value} for key, value in DEGREES.items()},
        "shape": {"enum": [1, 2, 3, 4, 5, 6, 7]},
        "accuracy": {"type": "integer", "minimum": 0},
        "velocity": {
            "type": "object",
            "required": ["bearing", "horizontalSpeed", "velocityType"],
            "properties": {"bearing": {"type": "integer", "minimum": 0, "maximum": 360}},
        },
    },
}
USER_LIST = {
    "type": "object",
    "required": ["userList"],
    "properties": {
        "userList": {
            "type": "object",
            "required": ["resourceURL"],
            "properties": {
                "user": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["address", "accessPointId", "zoneId", "resourceURL", "timestamp"],
                        "properties": {
                            "address": {"type": "string", "pattern": "^(sip|tel|acr):"},
                            "timestamp": STAMP,
                            "locationInfo": INFO,
                        },
                    },
                }
            },
        }
    },
}
ACCESS_POINTS = {
    "type": "object",
    "required": ["accessPointList"],
    "properties": {
        "accessPointList": {
            "type": "object",
            "required": ["zoneId", "resourceURL"],
            "properties": {
                "accessPoint": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": [
                            "accessPointId",
                            "connectionType",
                            "operationStatus",
                            "numberOfUsers",
                            "resourceURL",
                        ],
                        "properties": {"locationInfo": INFO},
                    },
                }
            },
        }
    },
}
PROBLEM = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "status": {"type": "integer"},
    },
}
DEVICE = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "phoneNumber": {"type": "string", "pattern": r"^\+[1-9][0-9]{4,14}$"},
        "networkAccessIdentifier": TEXT,
        "ipv4Address": {
            "type": "object",
            "anyOf": [
                {"required": ["publicAddress", "privateAddress"]},
                {"required": ["publicAddress", "publicPort"]},
            ],
        },
        "ipv6Address": TEXT,
    },
}
POINT = {"type": "object", "required": ["latitude", "longitude"], "properties": DEGREES}
CIRCLE = {
    "type": "object",
    "required": ["areaType", "center", "radius"],
    "additionalProperties": False,
    "properties": {
        "areaType": {"const": "CIRCLE"},
        "center": POINT,
        "radius": {"type": "number", "minimum": 1},
    },
}
POLYGON = {
    "type": "object",
    "required": ["areaType", "boundary"],
    "additionalProperties": False,
    "properties": {
        "areaType": {"const": "POLYGON"},
        "boundary": {"type": "array", "minItems": 3, "maxItems": 15, "items": POINT},
    },
}
RETRIEVE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "device": DEVICE,
        "maxAge": {"type": "integer", "minimum": 0},
        "maxSurface": {"type": "integer", "minimum": 1},
    },
}
LOCATION = {
    "type": "object",
    "required": ["lastLocationTime", "area"],
    "properties": {
        "lastLocationTime": MOMENT,
        "area": {"oneOf": [CIRCLE, POLYGON]},
        "device": {**DEVICE, "maxProperties": 1},
    },
}
ERROR_INFO = {
    "type": "object",
    "required": ["status", "code", "message"],
    "properties": {"status": {"type": "integer"}, "code": TEXT, "message": {"type": "string"}},
}
EVENTS = "org.camaraproject.geofencing-subscriptions.v0."
SUBSCRIPTION = {
    "type": "object",
    "required": ["sink", "protocol", "config", "types"],
    "additionalProperties": False,
    "properties": {
        "protocol": {"const": "HTTP"},
        "protocolSettings": {"type": "object"},
        "sink": {"type": "string", "pattern": "^https://.+$"},
        "sinkCredential": {
            "type": "object",
            "required": ["credentialType", "accessToken", "accessTokenExpiresUtc", "accessTokenType"],
            "additionalProperties": False,
            "properties": {
                "credentialType": {"const": "ACCESSTOKEN"},
                "accessToken": TEXT,
                "accessTokenExpiresUtc": MOMENT,
                "accessTokenType": {"const": "bearer"},
            },
        },
        "types": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {"enum": [EVENTS + "area-entered", EVENTS + "area-left"]},
        },
        "config": {
            "type": "object",
            "required": ["subscriptionDetail"],
            "additionalProperties": False,
            "properties": {
                "subscriptionDetail": {
                    "type": "object",
                    "required": ["area"],
                    "additionalProperties": False,
                    "properties": {"device": DEVICE, "area": CIRCLE},
                },
                "initialEvent": {"type": "boolean"},
                "subscriptionExpireTime": MOMENT,
                "subscriptionMaxEvents": {"type": "integer", "minimum": 1},
            },
        },
    },
}
CREATED = {
    "type": "object",
    "required": ["sink", "protocol", "config", "types", "id", "startsAt"],
    "properties": {"id": TEXT, "startsAt": MOMENT},
}


class Service:
    """What all of them have: who may ask, what was asked, and answers that are checked before they go out."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.asked: list[tuple[str, str, Any]] = []
        # What makes the requests after the next ones fail: (status, document, content type) each.
        self.failing: list[tuple[int, Any]] = []
        self.granted: dict[str, float] = {}
        self.grants = 0
        self.server: http.server.ThreadingHTTPServer | None = None

    @property
    def root(self) -> str:
        """The server's address."""
        assert self.server
        return f"http://127.0.0.1:{self.server.server_port}"

    def error(self, status: int, code: str, words: str) -> tuple[int, Any, str]:
        raise NotImplementedError

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any, str]:
        raise NotImplementedError

    def may(self, authorization: str | None) -> bool:
        if self.token is None and not self.granted:
            return True
        if authorization == f"Bearer {self.token}":
            return True
        return self.granted.get((authorization or "").removeprefix("Bearer "), 0.0) > time.monotonic()

    def grant(
        self, authorization: str | None, form: dict[str, list[str]], lasts_s: float
    ) -> tuple[int, Any, str]:
        """RFC 6749, sections 4.4 and 5: an access token for the client's credentials."""
        secret = "Basic " + base64.b64encode(b"edge:s%2Fcret").decode()
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}, "application/json"
        if authorization != secret:
            return 401, {"error": "invalid_client"}, "application/json"
        self.grants += 1
        token = f"granted-{self.grants}"
        self.granted[token] = time.monotonic() + lasts_s
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": lasts_s}, "application/json"


@contextlib.contextmanager
def running(service: Service, lasts_s: float = 3600) -> Iterator[Service]:
    """*service* answers on loopback meanwhile; ``/token`` grants tokens that last *lasts_s*."""

    class Request(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do()

        do_POST = do_DELETE = do_GET

        def _do(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers.get("Authorization")
            if parts.path == "/token":
                assert self.headers.get_content_type() == "application/x-www-form-urlencoded"
                form = urllib.parse.parse_qs(content.decode())
                self._send(*service.grant(authorization, form, lasts_s))
                return
            body = json.loads(content) if content else None
            service.asked.append((self.command, self.path, body))
            if service.failing:
                status, document = service.failing.pop(0)
                self._send(status, document, "application/json")
            elif not service.may(authorization):
                self._send(*service.error(401, "UNAUTHENTICATED", "no valid credentials"))
            elif body is not None and self.headers.get_content_type() != "application/json":
                self._send(*service.error(415, "UNSUPPORTED_MEDIA_TYPE", "JSON is wanted"))
            else:
                self._send(
                    *service.answer(self.command, parts.path, urllib.parse.parse_qs(parts.query), body)
                )

        def _send(self, status: int, document: Any, kind: str) -> None:
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if status in (301, 302, 307, 308):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            if document is not None:
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if document is not None:
                self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            pass

    service.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
    thread = threading.Thread(target=service.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join()
        service.server.server_close()


class Mec013(Service):
    """``users``: by address (zone, access point, locationInfo or None, seconds when seen).

    ``places``: by zone and access point its locationInfo, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, tuple[str, str, Any, int]] = {}
        self.places: dict[str, dict[str, Any]] = {}
        self.strict_addresses = False

    @property
    def url(self) -> str:
        return f"{self.root}/location/v2"

    def error(self, status: int, code: str, words: str) -> tuple[int, Any, str]:
        document = {"title": code, "status": status, "detail": words}
        jsonschema.validate(document, PROBLEM)
        return status, document, "application/problem+json"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any, str]:
        path = urllib.parse.unquote(path.removeprefix("/location/v2"))
        if method != "GET":
            return self.error(405, "Method Not Allowed", method)
        if path == "/queries/users":
            if set(query) - {"zoneId", "accessPointId", "address"}:
                return self.error(400, "Bad Request", "unknown parameter")
            asked = query.get("address", list(self.users))
            if self.strict_addresses and set(asked) - set(self.users):
                return self.error(404, "Not Found", "an address is not known")
            found = {"userList": {"resourceURL": self.url + path, "user": self._listed(asked)}}
            jsonschema.validate(found, USER_LIST)
            return 200, found, "application/json"
        words = path.split("/")
        if words[1:3] == ["queries", "zones"] and words[4:] == ["accessPoints"] and words[3] in self.places:
            found = {"accessPointList": self._points(words[3], self.url + path)}
            jsonschema.validate(found, ACCESS_POINTS)
            return 200, found, "application/json"
        return self.error(404, "Not Found", path)

    def _listed(self, asked: list[str]) -> list[dict[str, Any]]:
        listed = []
        for address, (zone, access_point, info, seen_s) in self.users.items():
            if address in asked:
                listed.append(
                    {
                        "address": address,
                        "accessPointId": access_point,
                        "zoneId": zone,
                        "resourceURL": f"{self.url}/queries/users?address={address}",
                        "timestamp": {"seconds": seen_s, "nanoSeconds": 0},
                        **({"locationInfo": info} if info else {}),
                    }
                )
        return listed

    def _points(self, zone: str, url: str) -> dict[str, Any]:
        points = [
            {
                "accessPointId": name,
                "connectionType": "5G_NR",
                "operationStatus": "Serviceable",
                "numberOfUsers": 1,
                "resourceURL": f"{url}/{name}",
                **({"locationInfo": info} if info else {}),
            }
            for name, info in self.places[zone].items()
        ]
        return {"zoneId": zone, "resourceURL": url, "accessPoint": points}


class Camara(Service):
    """Errors as CAMARA has them."""

    def error(self, status: int, code: str, words: str) -> tuple[int, Any, str]:
        document = {"status": status, "code": code, "message": words}
        jsonschema.validate(document, ERROR_INFO)
        return status, document, "application/json"


class Retrieval(Camara):
    """``areas``: by telephone number an area, or (status, code) of the error."""

    def __init__(self) -> None:
        super().__init__()
        self.areas: dict[str, Any] = {}
        # Three-legged tokens: the number that each is for.
        self.own_tokens: dict[str, str] = {}
        self._bearer = threading.local()

    @property
    def url(self) -> str:
        return f"{self.root}/location-retrieval/v0.5"

    def may(self, authorization: str | None) -> bool:
        self._bearer.number = self.own_tokens.get((authorization or "").removeprefix("Bearer "))
        return bool(self._bearer.number) or super().may(authorization)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any, str]:
        if (method, path) != ("POST", "/location-retrieval/v0.5/retrieve"):
            return self.error(404, "NOT_FOUND", path)
        try:
            jsonschema.validate(body, RETRIEVE)
        except jsonschema.ValidationError as error:
            return self.error(400, "INVALID_ARGUMENT", error.message)
        number = self._bearer.number
        if bool(number) == ("device" in body):
            code = "UNNECESSARY_IDENTIFIER" if number else "MISSING_IDENTIFIER"
            return self.error(422, code, "the token or the request names the device")
        number = number or body["device"].get("phoneNumber")
        area = self.areas.get(number, (404, "IDENTIFIER_NOT_FOUND"))
        if isinstance(area, tuple):
            status, code = area
            return self.error(status, code, "as the test wants it")
        found = {"lastLocationTime": "2026-11-28T10:00:00Z", "area": area}
        jsonschema.validate(found, LOCATION)
        return 200, found, "application/json"


class Geofencing(Camara):
    """Keeps subscriptions; the test has it tell of events. ``asynchronous``: answers 202, not 201."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.asynchronous = False
        self.refused: dict[str, tuple[int, str]] = {}
        self.before_answer: Callable[[str, dict[str, Any]], None] = lambda _id, _request: None
        self._made = 0

    @property
    def url(self) -> str:
        return f"{self.root}/geofencing-subscriptions/v0.5"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any, str]:
        path = path.removeprefix("/geofencing-subscriptions/v0.5")
        if (method, path) == ("POST", "/subscriptions"):
            return self._subscribe(body)
        name = urllib.parse.unquote(path.removeprefix("/subscriptions/"))
        if method == "DELETE" and name in self.subscriptions:
            del self.subscriptions[name]
            return 204, None, ""
        return self.error(404, "NOT_FOUND", path)

    def _subscribe(self, body: Any) -> tuple[int, Any, str]:
        try:
            jsonschema.validate(body, SUBSCRIPTION)
        except jsonschema.ValidationError as error:
            return self.error(400, "INVALID_ARGUMENT", error.message)
        number = body["config"]["subscriptionDetail"].get("device", {}).get("phoneNumber")
        if number in self.refused:
            return self.error(*self.refused[number], "as the test wants it")
        self._made += 1
        name = f"sub/{self._made}"
        self.subscriptions[name] = body
        self.before_answer(name, body)
        if self.asynchronous:
            return 202, {"id": name}, "application/json"
        kept = {key: value for key, value in body.items() if key != "sinkCredential"}
        made = {**kept, "id": name, "startsAt": "2026-11-28T10:00:00Z", "status": "ACTIVE"}
        jsonschema.validate(made, CREATED)
        return 201, made, "application/json"

    def event(self, name: str, kind: str, moment: str, **data: Any) -> dict[str, Any]:
        """The CloudEvent of *kind* for subscription *name*."""
        detail = self.subscriptions[name]["config"]["subscriptionDetail"]
        return {
            "id": f"{name}-{kind}-{moment}",
            "source": "https://events.example.org",
            "specversion": "1.0",
            "type": EVENTS + kind,
            "datacontenttype": "application/json",
            "time": moment,
            "data": {"subscriptionId": name, **detail, **data},
        }
