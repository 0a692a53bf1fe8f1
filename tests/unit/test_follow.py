"""The clients' follower, against a service that is frozen, moved and thawed on loopback."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLIENTS = Path(__file__).resolve().parents[1] / "services" / "clients"
sys.path.insert(0, str(CLIENTS))

import follow
import load_client
import redis_client
import web_client


class State:
    """What a migration must carry over."""

    def __init__(self) -> None:
        self.instance = "one"
        self.mark = 0
        self.answers = 0
        self.lock = threading.Lock()

    def answer(self, request: dict[str, object]) -> dict[str, object]:
        with self.lock:
            self.answers += 1
            if request["op"] == "mark":
                self.mark = int(str(request["value"]))
            return {
                "instance": self.instance,
                "mark": self.mark,
                "answers": self.answers,
                "dirtied": 0,
                "pages": 1,
                "wrong_pages": 0,
                "digest": "",
            }


class Place:
    """One host's port: nothing there, frozen (connects, says nothing), or running."""

    def __init__(self) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.endpoint: tuple[str, int] = sock.getsockname()
        self.state: State | None = None
        self.running = threading.Event()
        self.slow_s = 0.0
        self.listener: socket.socket | None = None
        self.connections: list[socket.socket] = []

    def open(self, state: State) -> None:
        self.state = state
        self.listener = socket.create_server(self.endpoint, backlog=128)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self) -> None:
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for connection in self.connections:
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        assert self.state is not None
        try:
            for line in connection.makefile("rb"):
                self.running.wait()
                time.sleep(self.slow_s)
                connection.sendall(json.dumps(self.state.answer(json.loads(line))).encode() + b"\n")
        except (OSError, ValueError):
            return


@pytest.fixture
def places() -> Iterator[tuple[Place, Place]]:
    source, target = Place(), Place()
    yield source, target
    for place in (source, target):
        place.running.set()
        place.close()


def soon(what: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


class Driver:
    """Runs a load client in a thread, one mark after the other."""

    def __init__(self, source: Place, target: Place, give_up: float = 120) -> None:
        self.account = follow.Account()
        self.follower = follow.Follower(
            [source.endpoint, target.endpoint],
            load_client.LoadWire(),
            self.account,
            silence=0.02,
            probe_period=0.005,
            gap=0.01,
            give_up=give_up,
        )
        options = argparse.Namespace(dirty_pages=None)
        self.client = load_client.LoadClient(options, self.follower, self.account)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.client.start()
        while not self.stop.is_set():
            self.client.step()
            self.account.acknowledged += 1
            time.sleep(0.001)

    def __enter__(self) -> Driver:
        self.thread.start()
        soon(lambda: self.account.acknowledged > 5)
        return self

    def wait_without_answer(self, seconds: float) -> None:
        """Until the last answer is so long ago; one that was under way may still have come."""
        soon(lambda: time.monotonic() - self.follower.last_answer >= seconds)

    def wait_for_answers(self) -> None:
        """Until some more have come."""
        before = self.account.acknowledged
        soon(lambda: self.account.acknowledged > before + 5)

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(timeout=120)
        assert not self.thread.is_alive()


def test_follows_a_move_and_loses_nothing(places: tuple[Place, Place]) -> None:
    source, target = places
    state = State()
    source.open(state)
    source.running.set()
    with Driver(source, target) as driver:
        source.running.clear()
        driver.wait_without_answer(0.15)
        target.running.set()
        target.open(state)
        soon(lambda: driver.follower.current == target.endpoint)
        driver.wait_for_answers()
    driver.client.verify()
    assert driver.account.lost == 0
    assert driver.account.wrong == 0
    assert [switch["to"] for switch in driver.account.switches] == ["{}:{}".format(*target.endpoint)]
    assert driver.account.longest_gap >= 0.15
    assert driver.follower.current == target.endpoint


def test_hears_a_service_that_is_slow_after_its_move(places: tuple[Place, Place]) -> None:
    """It waits for its memory, and takes longer than the client waits before it tries once more."""
    source, target = places
    state = State()
    source.open(state)
    source.running.set()
    target.running.set()
    target.slow_s = 3 * follow.MUTE_CONNECTION_SECONDS
    with Driver(source, target, give_up=10) as driver:
        source.running.clear()
        target.open(state)
        soon(lambda: driver.follower.current == target.endpoint)
    assert driver.account.longest_gap < 10 * follow.MUTE_CONNECTION_SECONDS


def test_stays_where_the_service_thaws(places: tuple[Place, Place]) -> None:
    source, target = places
    source.open(State())
    source.running.set()
    with Driver(source, target) as driver:
        source.running.clear()
        driver.wait_without_answer(0.1)
        source.running.set()
        driver.wait_for_answers()
    assert driver.account.switches == []
    assert driver.account.wrong == 0
    assert driver.account.longest_gap >= 0.1


def test_ignores_another_service_on_the_target(places: tuple[Place, Place]) -> None:
    source, target = places
    source.open(State())
    stranger = State()
    stranger.instance = "another"
    source.running.set()
    with Driver(source, target) as driver:
        target.running.set()
        target.open(stranger)
        source.running.clear()
        soon(lambda: stranger.answers > 0)
        driver.wait_without_answer(0.1)
        source.running.set()
        driver.wait_for_answers()
    assert driver.follower.current == source.endpoint
    assert driver.account.wrong == 0


def test_notices_a_state_that_went_back(places: tuple[Place, Place]) -> None:
    source, target = places
    state = State()
    source.open(state)
    source.running.set()
    with Driver(source, target) as driver:
        source.running.clear()
        older = State()  # the same instance as it was in the beginning
        target.running.set()
        target.open(older)
        soon(lambda: driver.account.wrong > 0)
    assert driver.account.wrong > 0


def test_gives_up_where_nothing_answers() -> None:
    follower = follow.Follower(
        [Place().endpoint, Place().endpoint],
        load_client.LoadWire(),
        follow.Account(),
        silence=0.02,
        probe_period=0.005,
        gap=0.01,
        give_up=0.1,
    )
    with pytest.raises(follow.Unreachable):
        follower.call(b"{}\n")


def test_redis_replies_are_cut_one_by_one() -> None:
    wire = redis_client.RedisWire()
    received = bytearray(b"+OK\r\n:7\r\n$3\r\nabc\r\n*2\r\n$1\r\nx\r\n$-1\r\n-ERR no\r\n$5\r\nhal")
    assert wire.take_reply(received) == "OK"
    assert wire.take_reply(received) == 7
    assert wire.take_reply(received) == b"abc"
    assert wire.take_reply(received) == [b"x", redis_client.NIL]
    assert isinstance(wire.take_reply(received), redis_client.RedisError)
    assert wire.take_reply(received) is None
    assert received == b"$5\r\nhal"


def test_http_replies_are_cut_one_by_one() -> None:
    wire = web_client.WebWire()
    received = bytearray(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a": 10}HTTP/1.1 200')
    assert wire.take_reply(received) == {"a": 10}
    assert wire.take_reply(received) is None
