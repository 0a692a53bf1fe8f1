# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from location services, each against a server that holds it to what its API requires."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError, LocationError
from ansible_collections.mec.migration.plugins.plugin_utils.location.area import (
    spot_of_area,
    spot_of_location_info,
)
from ansible_collections.mec.migration.plugins.plugin_utils.location.geofencing import Geofences
from ansible_collections.mec.migration.plugins.plugin_utils.location.service import LocationService
from ansible_collections.mec.migration.plugins.plugin_utils.location.sink import EventSink
from ansible_collections.mec.migration.plugins.plugin_utils.loop.user_cells import CellFinder
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import square_grid
from location_servers import Geofencing, Mec013, Retrieval, running

ORIGIN = (59.9, 10.7)
CELLS = CellFinder(square_grid(2, 2, 500.0, ORIGIN))
NORTH_EAST = {"latitude": 59.9046, "longitude": 10.7088}


def circle(latitude: float, longitude: float, radius: float = 100.0) -> dict[str, object]:
    return {"areaType": "CIRCLE", "center": {"latitude": latitude, "longitude": longitude}, "radius": radius}


def polygon(*corners: tuple[float, float]) -> dict[str, object]:
    return {"areaType": "POLYGON", "boundary": [{"latitude": y, "longitude": x} for y, x in corners]}


def info(latitude: float, longitude: float, **more: object) -> dict[str, object]:
    return {"latitude": [latitude], "longitude": [longitude], "shape": 2, **more}


def cells(document: object) -> dict[str, str]:
    found, problems = CELLS.cells_of(document)
    assert problems == []
    return found


@pytest.fixture
def mec013() -> Iterator[Mec013]:
    with running(Mec013()) as service:
        yield service


@pytest.fixture
def retrieval() -> Iterator[Retrieval]:
    with running(Retrieval()) as service:
        yield service


def ask(service, kind: str, **given):
    return LocationService({"type": kind, "url": service.url, **given}).read()


NOW = int(time.time())


def test_mec013_users_by_coordinates_zone_and_access_point(mec013):
    mec013.users = {
        "acr:1": ("harbour", "ap1", info(59.9045, 10.709), NOW),
        "acr:2": ("harbour", "ap1", None, NOW),
        "tel:+3": ("hill", "ap/2", None, NOW),
        "acr:9": ("hill", "ap9", info(1.0, 1.0), NOW),
    }
    mec013.places = {"hill": {"ap/2": info(59.9001, 10.7091), "ap3": None}}
    users = {"anna": "acr:1", "bo": "acr:2", "cy": "tel:+3", "dee": "acr:none"}
    document, problems = ask(mec013, "mec013", users=users, zones={"harbour": 2})
    assert problems == []
    assert document["users"] == {
        "anna": {"latitude": 59.9045, "longitude": 10.709},
        "bo": {"cell": "2"},
        "cy": {"latitude": 59.9001, "longitude": 10.7091},
    }
    assert cells(document) == {"anna": "3", "bo": "2", "cy": "1"}
    assert [path for _method, path, _body in mec013.asked] == [
        "/location/v2/queries/users?address=acr%3A1&address=acr%3A2&address=tel%3A%2B3&address=acr%3Anone",
        "/location/v2/queries/zones/hill/accessPoints",
    ]


def test_mec013_all_users_by_their_addresses(mec013):
    mec013.users = {f"acr:{i}": ("zone", "ap", info(59.9, 10.7), NOW) for i in range(120)}
    document, problems = ask(mec013, "mec013")
    assert len(document["users"]) == 120
    assert problems == []
    users = {f"user{i}": f"acr:{i}" for i in range(119, -1, -1)}
    asked = len(mec013.asked)
    assert set(ask(mec013, "mec013", users=users)[0]["users"]) == set(users)
    assert len(mec013.asked) - asked == 3


def test_mec013_a_server_that_answers_404_for_an_address_it_does_not_know(mec013):
    mec013.strict_addresses = True
    mec013.users = {"acr:1": ("zone", "ap", info(59.9, 10.7), NOW)}
    document, problems = ask(mec013, "mec013", users={"anna": "acr:1", "bo": "acr:2"})
    assert set(document["users"]) == {"anna"}
    assert problems == []


def test_mec013_who_was_seen_too_long_ago_or_too_vaguely_is_left_out(mec013):
    now = int(time.time())
    mec013.users = {
        "acr:1": ("zone", "ap", info(59.9, 10.7), now - 5000),
        "acr:2": ("zone", "ap", info(59.9, 10.7, shape=5, accuracy=900), now),
        "acr:3": ("zone", "ap", info(59.9, 10.7, shape=5, accuracy=90), now),
        "acr:4": ("nowhere", "ap", None, now),
    }
    document, problems = ask(mec013, "mec013", max_age_seconds=3600, max_uncertainty_m=100)
    assert set(document["users"]) == {"acr:3"}
    for words, problem in zip(
        ("user acr:1: was seen 5", "user acr:2: is known within 900 m", "user acr:4: is in zone nowhere"),
        problems,
    ):
        assert problem.startswith(words)
    assert len(problems) == 3
    assert set(ask(mec013, "mec013")[0]["users"]) == {"acr:1", "acr:2", "acr:3"}


@pytest.mark.parametrize(("speed", "bearing", "heading"), [(30, 90, 90.0), (30, 360, 0.0), (0, 90, None)])
def test_mec013_a_user_on_the_way_has_a_heading(mec013, speed, bearing, heading):
    velocity = {"bearing": bearing, "horizontalSpeed": speed, "velocityType": 1}
    mec013.users = {"acr:1": ("zone", "ap", info(59.9, 10.7, velocity=velocity), NOW)}
    assert ask(mec013, "mec013")[0]["users"]["acr:1"].get("heading") == heading


def test_mec013_errors_are_said_in_the_servers_words(mec013):
    mec013.token = "right"
    with pytest.raises(
        LocationError, match="GET /queries/users: HTTP 401: UNAUTHENTICATED: no valid cred"
    ) as error:
        ask(mec013, "mec013", token="wrong-one")
    assert "wrong-one" not in str(error.value)
    assert ask(mec013, "mec013", token="right")[0]["users"] == {}


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (200, {"userList": []}, "no object userList"),
        (200, {"userList": {"resourceURL": "x", "user": [7]}}, "no list of objects"),
        (200, b"<html>", "no JSON"),
        (429, {"title": "slow down"}, "HTTP 429: slow down"),
        (503, b"<html>", "HTTP 503"),
        (302, None, "HTTP 302"),
    ],
)
def test_mec013_an_answer_of_another_kind_is_an_error(mec013, status, document, words):
    mec013.failing = [(status, document)]
    with pytest.raises(LocationError, match=words):
        ask(mec013, "mec013", token="secret")
    assert len(mec013.asked) == 1, "a redirect is not followed: the token would go there"


def test_mec013_one_user_that_is_wrong_does_not_hide_the_others(mec013):
    user = {"address": "acr:1", "zoneId": "z", "accessPointId": "a", "locationInfo": info(59.9, 10.7)}
    odd = {**user, "address": "acr:2", "locationInfo": {**info(95.0, 10.7)}}
    mec013.failing = [(200, {"userList": {"resourceURL": "x", "user": [odd, {"zoneId": "z"}, user]}})]
    document, problems = ask(mec013, "mec013")
    assert set(document["users"]) == {"acr:1"}
    assert "95" in problems[0]
    assert problems[1].startswith("user ?: address is None")


def test_retrieval_circles_polygons_and_users_that_cannot_be_located(retrieval):
    retrieval.areas = {
        "+4790000001": circle(**NORTH_EAST),
        "+4790000002": polygon(
            (59.9001, 10.7080), (59.9001, 10.7100), (59.8999, 10.7100), (59.8999, 10.7080)
        ),
        "+4790000003": (422, "LOCATION_RETRIEVAL.UNABLE_TO_FULFILL_MAX_AGE"),
        "+4790000004": (403, "PERMISSION_DENIED"),
    }
    users = {
        "anna": "+4790000001",
        "bo": {"phoneNumber": "+4790000002", "ipv4Address": {"publicAddress": "192.0.2.1", "publicPort": 5}},
        "cy": 4790000003,
        "dee": "+4790000004",
        "eli": "+4790000005",
    }
    document, problems = ask(
        retrieval, "camara_location_retrieval", users=users, max_age_seconds=60, max_surface_m2=250_000
    )
    assert cells(document) == {"anna": "3", "bo": "1"}
    assert [problem.partition(": as")[0] for problem in problems] == [
        "user cy: HTTP 422: LOCATION_RETRIEVAL.UNABLE_TO_FULFILL_MAX_AGE",
        "user dee: HTTP 403: PERMISSION_DENIED",
        "user eli: HTTP 404: IDENTIFIER_NOT_FOUND",
    ]
    assert {"device": {"phoneNumber": "+4790000003"}, "maxAge": 60, "maxSurface": 250_000} in [
        body for _method, _path, body in retrieval.asked
    ]


def test_retrieval_an_area_that_is_too_large_says_nothing(retrieval):
    retrieval.areas = {"+4790000001": circle(59.9, 10.7, 5000.0)}
    document, problems = ask(
        retrieval, "camara_location_retrieval", users={"anna": "+4790000001"}, max_uncertainty_m=500
    )
    assert document["users"] == {}
    assert problems == ["user anna: is known within 5000 m only; allowed: 500 m"]


def test_retrieval_a_users_own_token_names_the_device(retrieval, tmp_path):
    retrieval.token = "ours"
    retrieval.own_tokens = {"annas": "+4790000001"}
    retrieval.areas = {"+4790000001": circle(59.9, 10.7), "+4790000002": circle(59.9, 10.709)}
    (tmp_path / "anna").write_text("annas\n")
    (tmp_path / "old").write_text("ended")
    users = {
        "anna": {"token_file": str(tmp_path / "anna")},
        "bo": "+4790000002",
        "cy": {"token_file": str(tmp_path / "old")},
    }
    document, problems = ask(retrieval, "camara_location_retrieval", users=users, token="ours")
    assert cells(document) == {"anna": "0", "bo": "1"}
    assert problems == ["user cy: HTTP 401: UNAUTHENTICATED: no valid credentials"]


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_retrieval_what_is_not_about_one_user_is_an_error(retrieval, status):
    retrieval.failing = [(status, {"status": status, "code": "A_CODE", "message": "some words"})]
    with pytest.raises(LocationError, match=f"POST /retrieve: HTTP {status}: A_CODE: some words"):
        ask(retrieval, "camara_location_retrieval", users={"anna": "+4790000001"})


def grant(service, **more):
    return {"token_url": f"{service.root}/token", "client_id": "edge", "client_secret": "s/cret", **more}


def test_access_tokens_are_asked_for_kept_and_renewed(monkeypatch):
    monotonic, ahead_s = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + ahead_s)
    with running(Mec013(), lasts_s=3600.0) as mec013:
        mec013.token = "none has it"
        service = LocationService({"type": "mec013", "url": mec013.url, **grant(mec013)})
        service.read()
        service.read()
        assert mec013.grants == 1
        ahead_s = 3575.0
        service.read()
        assert mec013.grants == 2, "half a minute before its end it is renewed"
        mec013.granted.clear()
        service.read()
        assert mec013.grants == 3, "one that was taken back is renewed at once"
        with pytest.raises(LocationError, match="client edge; HTTP 401: invalid_client") as error:
            ask(mec013, "mec013", **grant(mec013, client_secret="guessed"))
        assert "guessed" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "mec014"}, "type of the location service is 'mec014'"),
        ({"type": "mec013", "urll": 1}, "unknown key urll"),
        ({"type": "mec013"}, "url is missing"),
        ({"type": "mec013", "url": "ftp://a/b"}, "http:// or https://"),
        ({"type": "mec013", "url": "https://me:pw@a/b"}, "has a user"),
        ({"type": "mec013", "url": "http://mep.example.org/", "token": "t"}, "would travel unencrypted"),
        ({"type": "mec013", "url": "https://a/", "token": "t", "token_file": "f"}, "both given"),
        ({"type": "mec013", "url": "https://a/", "token": "two\nlines"}, "cannot stand in a header"),
        ({"type": "mec013", "url": "https://a/", "token_url": "https://a/t"}, "client_id and client_secret"),
        ({"type": "mec013", "url": "https://a/", "users": {"a": "acr:1", "b": "acr:1"}}, "the same address"),
        ({"type": "mec013", "url": "https://a/", "users": ["a"]}, "users is list"),
        ({"type": "mec013", "url": "https://a/", "zones": ["a"]}, "zones is list"),
        ({"type": "mec013", "url": "https://a/", "max_age_seconds": -1}, "at least 0"),
        ({"type": "mec013", "url": "https://a/", "timeout_seconds": "soon"}, "allowed: a number"),
        ({"type": "mec013", "url": "https://a/", "ca_file": "/none"}, "ca_file /none"),
        ({"type": "camara_location_retrieval", "url": "https://a/"}, "users is missing"),
        (
            {"type": "camara_location_retrieval", "url": "https://a/", "users": {"a": {"phone": 1}}},
            "users.a: phone names no device",
        ),
        (
            {
                "type": "camara_location_retrieval",
                "url": "https://a/",
                "users": {"a": "+12345", "b": "+12345"},
            },
            "the same device",
        ),
        ("https://a/", "is str"),
    ],
)
def test_settings_that_are_wrong(given, words):
    with pytest.raises(DecisionError, match=words):
        LocationService(given)


def test_nobody_answers_or_too_slowly():
    with running(Mec013()) as mec013:
        url = mec013.url
    with pytest.raises(LocationError, match=r"GET http://127.0.0.1:\d+/location/v2/queries/users: .*refused"):
        LocationService({"type": "mec013", "url": url, "users": {"anna": "acr:1"}}).read()


@pytest.mark.parametrize(
    ("area", "where", "within_m"),
    [
        (circle(59.9, 10.7, 150.0), (59.9, 10.7), 150.0),
        (polygon((0.0, 0.0), (0.0, 0.01), (0.01, 0.01), (0.01, 0.0)), (0.005, 0.005), 786.3),
        # Its corners' mean would be elsewhere: an L whose foot is long.
        (
            polygon((0.0, 0.0), (0.0, 0.03), (0.01, 0.03), (0.01, 0.01), (0.02, 0.01), (0.02, 0.0)),
            (0.0075, 0.0125),
            2117.0,
        ),
        (polygon((0.0, 179.99), (0.0, -179.99), (0.01, -179.99), (0.01, 179.99)), (0.005, -180.0), 1243.2),
        (polygon((1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), (1.0, 1.0), 0.0),
    ],
)
def test_the_middle_of_an_area(area, where, within_m):
    spot = spot_of_area(area)
    assert (spot.latitude, spot.longitude) == pytest.approx(where, abs=1e-6)
    assert spot.within_m == pytest.approx(within_m, abs=0.5)


@pytest.mark.parametrize(
    "area",
    [
        None,
        {"areaType": "SQUARE"},
        circle(91.0, 0.0),
        circle(0.0, 0.0, 0.5),
        polygon((0.0, 0.0), (0.0, 1.0)),
        polygon(*[(float(i), 0.0) for i in range(16)]),
        {"areaType": "POLYGON", "boundary": [1, 2, 3]},
        {"areaType": "CIRCLE", "center": {"latitude": "north", "longitude": 0}, "radius": 1},
        {"areaType": "CIRCLE", "center": {"latitude": 1, "longitude": 0}, "radius": 1e308},
    ],
)
def test_what_is_no_area(area):
    with pytest.raises(LocationError, match="allowed: "):
        spot_of_area(area)


def test_a_part_of_a_ring_is_not_where_its_centre_is():
    arc = info(0.0, 0.0, shape=1, innerRadius=1000, uncertaintyRadius=200, offsetAngle=80, includedAngle=20)
    spot = spot_of_location_info(arc)
    assert (spot.latitude, spot.longitude) == pytest.approx((0.0, 1100 / 111_195), abs=1e-6)
    assert 200 < spot.within_m < 230


@pytest.mark.parametrize(
    "where",
    [
        [],
        info(0.0, 0.0, shape=8),
        {**info(0.0, 0.0), "latitude": [1.0, 2.0]},
        {**info(0.0, 0.0), "shape": 7},
        {"shape": 2},
    ],
)
def test_what_is_no_location_info(where):
    with pytest.raises(LocationError, match="allowed"):
        spot_of_location_info(where)


AREAS = [
    {"latitude": 59.9, "longitude": 10.7, "radius_m": 400},
    {"latitude": 59.9, "longitude": 10.709, "radius_m": 400, "cell": 1},
]


class Watched:
    """Geofences that listen with TLS, the service beside them, and a clock of their own."""

    def __init__(self, certificate: str, **given: object) -> None:
        self.service = Geofencing()
        self.certificate = certificate
        self.given = given
        self.now_s = float(NOW)

    def begin(self) -> None:
        self.fences = Geofences(
            {
                "type": "camara_geofencing",
                "url": self.service.url,
                "users": {"anna": "+4790000001"},
                "areas": AREAS,
                "sink": "https://edge.example.org/events",
                "listen": {"port": 0, "certificate": self.certificate},
                **self.given,
            },
            clock=lambda: self.now_s,
        )
        self.fences.start()

    def name(self, kind: str, area: int) -> str:
        """The newest subscription for *kind* in area number *area*."""
        (*_older, name) = [
            name
            for name, one in self.service.subscriptions.items()
            if one["types"][0].endswith(kind)
            and one["config"]["subscriptionDetail"]["area"]["center"]["longitude"] == AREAS[area]["longitude"]
        ]
        return name

    def tell(self, kind: str, area: int, second: int, **data: object) -> None:
        name = self.name(kind, area)
        event = self.service.event(name, kind, f"2026-11-28T10:00:{second:02}Z", **data)
        assert self.post(name, event)[0] == 204

    def post(self, name: str, event: object, **changed: str | None) -> tuple[int, dict]:
        """What the sink says to *event*: as the service would send it, but for headers that are *changed*."""
        request = self.service.subscriptions[name]
        headers = {
            "Content-Type": "application/cloudevents+json",
            "Authorization": f"Bearer {request['sinkCredential']['accessToken']}",
            "x-correlator": "b4333c46",
            **{key.replace("_", "-"): value for key, value in changed.items()},
        }
        path = request["sink"].removeprefix("https://edge.example.org")
        context = ssl.create_default_context(cafile=self.certificate)
        asked = urllib.request.Request(
            f"https://localhost:{self.fences.port}{path}",
            event if isinstance(event, (bytes, Iterator)) else json.dumps(event).encode(),
            {key: value for key, value in headers.items() if value is not None},
        )
        try:
            with urllib.request.urlopen(asked, timeout=10, context=context) as answer:
                assert answer.headers["x-correlator"] == "b4333c46"
                return answer.status, {}
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def users(self) -> dict[str, object]:
        return self.fences.read()[0]["users"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    """A certificate of localhost's own, with its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("sink") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(path)


@pytest.fixture
def watched(certificate) -> Iterator[Watched]:
    made = Watched(certificate)
    with running(made.service):
        made.begin()
        try:
            yield made
        finally:
            made.fences.stop()


def test_geofencing_users_are_where_they_entered_last_and_did_not_leave(watched):
    assert watched.users() == {}
    assert len(watched.service.subscriptions) == 4, "one for each area and kind of event"
    watched.tell("area-entered", 0, 1)
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}
    watched.tell("area-entered", 1, 2)
    assert watched.users() == {"anna": {"cell": "1"}}
    watched.tell("area-left", 1, 3)
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}
    watched.tell("area-entered", 1, 2)
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}, "an older event came late"
    watched.tell("area-left", 0, 4)
    assert watched.users() == {}


def test_geofencing_what_is_asked_for(watched):
    watched.users()
    requests = [body for method, _path, body in watched.service.asked if method == "POST"]
    assert [one["config"]["initialEvent"] for one in requests] == [True, False, True, False]
    assert len({one["sink"] for one in requests}) == 4
    assert watched.fences.read()[1] == []
    watched.users()
    assert len(watched.service.asked) == 4, "what is there is not asked for again"


def test_geofencing_the_first_event_is_here_before_the_answer(watched):
    def tell(name, request):
        if request["config"]["initialEvent"] and name == "sub/3":
            event = watched.service.event(name, "area-entered", "2026-11-28T10:00:00Z")
            assert watched.post(name, event)[0] == 204

    watched.service.before_answer = tell
    assert watched.users() == {"anna": {"cell": "1"}}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_geofencing_subscriptions_are_renewed_and_taken_back(watched, asynchronous):
    watched.service.asynchronous = asynchronous
    watched.users()
    watched.tell("area-entered", 0, 1)
    first = dict(watched.service.subscriptions)
    watched.now_s += 2600
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}
    assert dict(watched.service.subscriptions) == first
    watched.now_s += 200
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}
    assert len(watched.service.subscriptions) == 4
    assert not set(first) & set(watched.service.subscriptions)
    watched.service.subscriptions.update(first)
    name = next(iter(first))
    event = watched.service.event(name, "area-entered", "2026-11-28T10:00:05Z")
    assert watched.post(name, event) == (
        410,
        {"status": 410, "code": "GONE", "message": "There is no such subscription any more."},
    )
    for old in first:
        del watched.service.subscriptions[old]
    watched.fences.stop()
    assert watched.service.subscriptions == {}


def test_geofencing_an_event_may_come_in_chunks(watched):
    watched.users()
    name = watched.name("area-entered", 0)
    event = json.dumps(watched.service.event(name, "area-entered", "2026-11-28T10:00:01Z")).encode()
    # Without a length urllib sends what it is given piece by piece.
    assert watched.post(name, iter([b" " * (64 << 10), event]))[0] == 400
    assert watched.users() == {}
    assert watched.post(name, iter([event[:20], event[20:]]))[0] == 204
    assert watched.users() == {"anna": {"latitude": 59.9, "longitude": 10.7}}


def test_a_sink_listens_at_an_address_of_ipv6():
    came = []
    sink = EventSink("::1", 0, "secret", lambda path: True, lambda path, event: came.append((path, event)))
    sink.start()
    try:
        headers = {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer secret"}
        asked = urllib.request.Request(f"http://[::1]:{sink.port}/events/1", b'{"id": "1"}', headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.status == 204
    finally:
        sink.stop()
    assert came == [("1", {"id": "1"})]


def test_geofencing_a_subscription_that_ended_is_made_again(watched):
    watched.users()
    name = watched.name("area-entered", 0)
    event = watched.service.event(
        name, "subscription-ended", "2026-11-28T10:00:05Z", terminationReason="NETWORK_TERMINATED"
    )
    assert watched.post(name, event)[0] == 204
    del watched.service.subscriptions[name]
    watched.users()
    assert len(watched.service.subscriptions) == 4
    name = watched.name("area-entered", 1)
    event = watched.service.event(
        name,
        "subscription-ended",
        "2026-11-28T10:00:05Z",
        terminationReason="SUBSCRIPTION_UNPROCESSABLE",
        terminationDescription="no coverage there",
    )
    assert watched.post(name, event)[0] == 204
    del watched.service.subscriptions[name]
    said = "user anna: the subscription ended: SUBSCRIPTION_UNPROCESSABLE, no coverage there"
    assert watched.fences.read()[1] == [said]
    assert len(watched.service.subscriptions) == 3, "what cannot be watched is not asked for again and again"


def test_geofencing_a_user_who_is_refused_is_said_and_tried_again_later(watched):
    watched.service.refused = {"+4790000001": (422, "GEOFENCING_SUBSCRIPTIONS.AREA_NOT_COVERED")}
    said = "user anna: HTTP 422: GEOFENCING_SUBSCRIPTIONS.AREA_NOT_COVERED: as the test wants it"
    assert watched.fences.read()[1] == [said]
    assert watched.fences.read()[1] == [said]
    assert len(watched.service.asked) == 4
    watched.now_s += 6
    watched.service.refused = {}
    assert watched.fences.read()[1] == []
    assert len(watched.service.subscriptions) == 4


def test_geofencing_a_service_that_fails_is_not_asked_at_each_look(watched):
    watched.users()
    watched.tell("area-entered", 0, 1)
    watched.now_s += 2800
    watched.service.failing = [(503, None)] * 2
    for seconds, asked in ((0, 5), (1, 5), (4, 6), (9, 6)):
        watched.now_s += seconds
        document, problems = watched.fences.read()
        assert document["users"] == {"anna": {"latitude": 59.9, "longitude": 10.7}}
        assert problems == ["POST /subscriptions: HTTP 503"]
        assert len(watched.service.asked) == asked
    watched.now_s += 1
    assert watched.fences.read()[1] == []
    assert len(watched.service.subscriptions) == 4


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        ({}, {"Authorization": "Bearer guessed"}, 401),
        ({}, {"Authorization": None}, 401),
        ({}, {"Content_Type": "application/json"}, 400),
        ({"specversion": "0.3"}, {}, 400),
        ({"type": "org.camaraproject.device-status.v0.roaming"}, {}, 400),
        ({"type": "org.camaraproject.geofencing-subscriptions.v0.area-left"}, {}, 400),
        ({"time": "2026-11-28T10:00:00"}, {}, 400),
        ({"time": "yesterday"}, {}, 400),
        ({"id": ""}, {}, 400),
        ({"data": [1]}, {}, 400),
        ({"data": {"subscriptionId": "sub/1"}}, {}, 400),
        ({"datacontenttype": "text/plain"}, {}, 400),
    ],
)
def test_geofencing_an_event_that_is_none_is_refused(watched, change, headers, status):
    watched.users()
    name = watched.name("area-entered", 0)
    event = {**watched.service.event(name, "area-entered", "2026-11-28T10:00:01Z"), **change}
    code = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED"}[status]
    answer, said = watched.post(name, event, **headers)
    assert (answer, said["status"], said["code"]) == (status, status, code)
    assert watched.users() == {}


@pytest.mark.parametrize("content", [b"{", b"[" * 60_000, b"[]", b" " * 70_000])
def test_geofencing_odd_bytes_are_refused(watched, content):
    watched.users()
    assert watched.post(watched.name("area-entered", 0), content)[0] == 400


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sink": "http://edge.example.org/"}, "the https:// address"),
        ({"listen": {"prot": 1}}, "listen is missing or wrong"),
        ({"listen": {"port": 70000}}, "0 to 65535"),
        ({"areas": []}, "areas is missing"),
        ({"areas": [{"latitude": 1, "longitude": 2}]}, r"areas\[0\]: area.radius"),
        ({"areas": [{"lat": 1}]}, "unknown key lat"),
        ({"users": {}}, "users is missing"),
        ({"expiry_seconds": 1}, "at least 60"),
    ],
)
def test_geofencing_settings_that_are_wrong(certificate, given, words):
    made = Watched(certificate, **given)
    with running(made.service), pytest.raises(DecisionError, match=words):
        made.begin()
