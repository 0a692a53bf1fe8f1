# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source as ansible-rulebook loads it: events, and input that is bad for a while."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import os
import re
import runpy
import socket
import socketserver
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(COLLECTION / "tests/unit/plugins/plugin_utils"))

from location_servers import Geofencing, Mec013, running

SOURCE = runpy.run_path(str(COLLECTION / "extensions/eda/plugins/event_source/user_cells.py"))
POLICY = """\
version: 1
strategy: mdp_direction
discount: 0.9
map: {kind: square, rows: 2, columns: 2, cell_size_m: 500, origin: {latitude: 59.9, longitude: 10.7}}
mobility: {kind: random_walk, move_probability: 0.2}
costs:
  migration: {family: constant_plus_exponential, beta_c: 2.0, beta_l: -1.0, mu: 0.8}
  transmission: {family: constant_plus_exponential, delta_c: 1.0, delta_l: -1.0, theta: 0.8}
"""


def positions(**cells: str) -> str:
    return json.dumps({"format": 1, "users": {user: {"cell": cell} for user, cell in cells.items()}})


class World:
    """A source in a time of its own: each look is a second, and before it something may happen."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "positions.json"
        self.policy = directory / "square.yml"
        self.policy.write_text(POLICY)
        self.file.write_text(positions(anna="0"))

    def run(self, happens: dict[int, Callable[[], object]], seconds: int, **args: object) -> list[tuple]:
        """(second, event) of all events within *seconds*."""
        second = 0
        heard = []

        async def sleep(wait_s: float) -> None:
            nonlocal second
            second += round(wait_s)
            happens.get(second, lambda: None)()
            if second > seconds:
                raise StopListening

        async def listen() -> None:
            options = {"policy": str(self.policy), "debounce_seconds": 3, **args}
            if not {"url", "command", "service"} & set(args):
                options["file"] = str(self.file)
            async for event in SOURCE["events"](options, clock=lambda: float(second), sleep=sleep):
                heard.append((second, event))

        with pytest.raises(StopListening):
            asyncio.run(listen())
        return heard

    def put(self, **cells: str) -> Callable[[], object]:
        def write() -> None:
            # Replaced, so that two within one tick of the clock are told apart.
            part = self.file.with_suffix(".part")
            part.write_text(positions(**cells))
            os.replace(part, self.file)

        return write


class StopListening(Exception):
    pass


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_one_event_when_the_change_has_lasted(world):
    ((second, event),) = world.run({2: world.put(anna="1", bo="3")}, 20)
    assert second == 5
    assert event["changes"] == [
        {"user": "anna", "old_cell": "0", "new_cell": "1", "position": {"cell": "1"}},
        {"user": "bo", "old_cell": None, "new_cell": "3", "position": {"cell": "3"}},
    ]
    users = {"anna": {"cell": "1"}, "bo": {"cell": "3"}}
    assert event["positions"] == {"format": 1, "partial": True, "users": users}
    assert event["policy"] == str(world.policy)
    assert event["time"].endswith("+00:00")
    json.dumps(event)


def test_flicker_and_rewriting_make_none(world):
    there, back = world.put(anna="1"), world.put(anna="0")
    assert world.run({second: there if second % 2 else back for second in range(1, 20)}, 20) == []
    assert world.run(dict.fromkeys(range(1, 9), world.put(anna="1")), 12) == []


def test_bad_input_is_said_once_and_outlived(world, caplog):
    happens = {
        1: lambda: world.file.write_text('{"format": 1, "us'),
        4: world.file.unlink,
        6: world.put(anna="9"),
        8: world.put(anna="1"),
    }
    with caplog.at_level(logging.WARNING):
        ((second, event),) = world.run(happens, 20)
    assert (second, event["changes"][0]["new_cell"]) == (11, "1")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4, said
    for line, words in zip(
        said, ("Unterminated string", "No such file", "user anna: the map has no cell 9", "read again")
    ):
        assert words in line


def test_nobody_settles_while_nothing_can_be_read(world):
    happens = {1: world.put(anna="1"), 2: world.file.unlink, 9: world.put(anna="0")}
    assert world.run(happens, 20) == []


def test_a_command(world):
    words = [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(world.file)]
    ((second, event),) = world.run({1: world.put(anna="1")}, 6, command=words)
    assert (second, event["changes"][0]["old_cell"]) == (4, "0")


def test_a_command_that_hangs_or_fails(world, caplog):
    with caplog.at_level(logging.WARNING):
        assert world.run({}, 1, command="sleep 60", timeout_seconds=0.1) == []
        assert world.run({}, 1, command="false") == []
    assert "no answer within 0.1 s" in caplog.text
    assert "exit status 1" in caplog.text


def test_a_url_that_is_down_for_a_while(world, caplog):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if world.file.exists() else 503)
            self.end_headers()
            if world.file.exists():
                self.wfile.write(world.file.read_bytes())

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        happens = {1: world.file.unlink, 3: world.put(anna="2")}
        with caplog.at_level(logging.WARNING):
            ((second, event),) = world.run(happens, 10, url=url)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (second, event["changes"][0]["new_cell"]) == (6, "2")
    assert "503" in caplog.text


def test_a_location_service_is_asked(world, caplog):
    """Every ten seconds; a user whom it does not know is said once."""
    with running(Mec013()) as mec013:
        mec013.token = "right"
        mec013.users = {"acr:1": ("west", "ap", None, 0), "acr:2": ("nowhere", "ap", None, 0)}

        def moves() -> None:
            mec013.users["acr:1"] = ("east", "ap", None, 0)

        service = {
            "type": "mec013",
            "url": mec013.url,
            "token": "right",
            "users": {"anna": "acr:1", "bo": "acr:2"},
            "zones": {"west": 0, "east": 1},
        }
        with caplog.at_level(logging.INFO):
            ((second, event),) = world.run({10: moves}, 49, service=service, poll_seconds="")
    assert (second, event["changes"][0]["new_cell"]) == (20, "1")
    assert event["positions"]["users"] == {"anna": {"cell": "1"}}
    assert len([path for _verb, path, _body in mec013.asked if "users" in path]) == 5
    assert caplog.text.count("user bo: is in zone nowhere") == 1
    assert f"watching mec013 {mec013.url}" in caplog.text
    assert "right" not in caplog.text


def test_geofencing_events_are_heard_and_subscriptions_taken_back(world, unused_port):
    areas = [
        {"latitude": 59.9, "longitude": 10.7, "radius_m": 300},
        {"latitude": 59.9, "longitude": 10.709, "radius_m": 300},
    ]
    with running(Geofencing()) as provider:

        def enters(area: int) -> None:
            (name,) = [
                name
                for name, one in provider.subscriptions.items()
                if one["types"][0].endswith("entered")
                and one["config"]["subscriptionDetail"]["area"]["center"]["longitude"]
                == areas[area]["longitude"]
            ]
            request = provider.subscriptions[name]
            path = request["sink"].removeprefix("https://edge.example.org")
            event = provider.event(name, "area-entered", f"2026-11-28T10:00:0{area}Z")
            headers = {
                "Content-Type": "application/cloudevents+json",
                "Authorization": f"Bearer {request['sinkCredential']['accessToken']}",
            }
            url = f"http://127.0.0.1:{unused_port}{path}"
            asked = urllib.request.Request(url, json.dumps(event).encode(), headers)
            with urllib.request.urlopen(asked, timeout=10) as answer:
                assert answer.status == 204

        service = {
            "type": "camara_geofencing",
            "url": provider.url,
            "users": {"anna": "+4790000001"},
            "areas": areas,
            "sink": "https://edge.example.org/events",
            "listen": {"port": unused_port},
        }
        happens = {2: lambda: enters(0), 9: lambda: enters(1)}
        heard = world.run(happens, 20, service=service)
        assert provider.subscriptions == {}
    assert [
        (second, event["changes"][0]["old_cell"], event["changes"][0]["new_cell"]) for second, event in heard
    ] == [
        (5, None, "0"),
        (12, "0", "1"),
    ]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"what?\r\n\r\n", "BadStatusLine"),
        (HEAD + b"Content-Length: 900\r\n\r\n{", "early|IncompleteRead"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\nabc", "IncompleteRead"),
        (HEAD + b"\r\n" + b"[" * 200_000, "nested too deeply"),
        (
            HEAD + b"\r\n" + b'{"format": 1, "users": {"a": {"cell": "0"}, "a": {"cell": "1"}}}',
            "'a' is there twice",
        ),
        (HEAD + b"\r\n" + b'{"format": NaN}', "NaN"),
        (HEAD + b"\r\n\xff\xfe\x00", "decode"),
        (HEAD + b"\r\n" + b" " * (1 << 20), "more than 524288 bytes"),
        (b"", "RemoteDisconnected|Remote end closed"),
    ],
)
def test_an_odd_answer_is_said_and_the_source_goes_on(world, caplog, monkeypatch, answer, words):
    monkeypatch.setitem(SOURCE["_parsed"].__globals__, "MAX_BYTES", 1 << 19)
    good = HEAD + b"\r\n" + positions(anna="0").encode()
    answers = [good, answer, good.replace(b'"0"', b'"1"')]

    class Raw(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(answers.pop(0) if len(answers) > 1 else answers[0])

    with socketserver.TCPServer(("127.0.0.1", 0), Raw) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            with caplog.at_level(logging.WARNING):
                ((_second, event),) = world.run({}, 10, url=url)
        finally:
            server.shutdown()
            thread.join()
    assert event["changes"][0]["new_cell"] == "1"
    assert re.search(words, caplog.text), caplog.text


def test_a_command_that_never_stops_talking_is_ended(world, caplog, monkeypatch):
    monkeypatch.setitem(SOURCE["_parsed"].__globals__, "MAX_BYTES", 1 << 19)
    with caplog.at_level(logging.WARNING):
        assert world.run({}, 1, command=["yes"]) == []
    assert "more than 524288 bytes" in caplog.text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "give one of file, url, command, service; given: none"),
        ({"file": "a", "url": "http://b"}, "given: file, url"),
        ({"url": "file:///etc/passwd"}, "allowed: http:// or https://"),
        ({"file": "a", "debounce": 3}, "unknown option debounce"),
        ({"file": "a", "poll_seconds": -1}, "poll_seconds is -1; allowed: at least 0"),
        ({"file": "a", "policy": "nowhere"}, "no policy is named 'nowhere'"),
    ],
)
def test_wrong_options_are_named(args, words):
    async def first():
        async for event in SOURCE["events"](args):
            return event

    with pytest.raises(Exception, match=words):
        asyncio.run(first())


def test_main_puts_events_on_the_queue(world):
    async def listen():
        queue: asyncio.Queue = asyncio.Queue()
        args = {"file": str(world.file), "policy": str(world.policy)}
        args |= {"debounce_seconds": 0.05, "poll_seconds": 0.01, "at_start": True, "eda_feedback_queue": None}
        task = asyncio.create_task(SOURCE["main"](queue, args))
        event = await asyncio.wait_for(queue.get(), 30)
        task.cancel()
        return event

    assert asyncio.run(listen())["changes"][0]["user"] == "anna"
