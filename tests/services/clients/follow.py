"""Follows a service from host to host and keeps account of what it answered.

A frozen source still accepts connections and says nothing; a target that is not
there yet refuses or swallows them. So after a short silence every other endpoint
is asked a harmless question again and again, while the old connection stays open
in case the old place answers after all. The first right answer wins, and whatever
was not acknowledged is sent again there.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

MAX_ATTEMPTS_PER_ENDPOINT = 4
# A connection that brings no answer for so long may never do, and another one is tried beside it.
MUTE_CONNECTION_SECONDS = 0.1
# It is kept for longer: a service that is slow, for it waits for its memory, answers the first one first.
SLOW_ANSWER_SECONDS = 10.0
LONG_SEARCH_SECONDS = 5.0
LONG_SEARCH_PROBE_SECONDS = 0.1
STOPPED_GIVE_UP_SECONDS = 10.0
MAX_GAPS_KEPT = 5000
MAX_EXAMPLES_KEPT = 20

Endpoint = tuple[str, int]


class Unreachable(Exception):
    """No endpoint gave a right answer in time."""


class Wire(Protocol):
    """What the follower must know about a service's protocol."""

    def take_reply(self, received: bytearray) -> Any | None:
        """Cut one whole reply off the front of `received`; None while it is incomplete."""

    def question(self) -> bytes:
        """A request that changes nothing and has one reply."""

    def is_ours(self, reply: Any) -> bool:
        """Whether that reply comes from the service that is being followed."""


@dataclass
class Gap:
    start: float
    end: float
    before: Endpoint
    after: Endpoint

    def as_dict(self) -> dict[str, Any]:
        return {
            "start": round(self.start, 6),
            "end": round(self.end, 6),
            "ms": round((self.end - self.start) * 1000, 3),
            "before": "{}:{}".format(*self.before),
            "after": "{}:{}".format(*self.after),
        }


@dataclass
class Account:
    """What the client was told, against what it must have been told."""

    acknowledged: int = 0
    lost: int | None = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    gaps: list[Gap] = field(default_factory=list)
    gaps_left_out: int = 0
    switches: list[dict[str, Any]] = field(default_factory=list)

    def complain(self, what: str) -> None:
        self.wrong += 1
        if len(self.examples) < MAX_EXAMPLES_KEPT:
            self.examples.append(what)


class Attempt:
    """One connection to one endpoint, from the first packet to its answer."""

    def __init__(self, endpoint: Endpoint, request: bytes) -> None:
        self.endpoint = endpoint
        self.started = time.monotonic()
        self.connected = False
        self.request = request
        self.received = bytearray()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(endpoint)

    def advance(self) -> None:
        """Go on after an event; raises OSError where the endpoint says no."""
        if not self.connected:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, "connection attempt failed")
            self.sock.send(self.request)
            self.connected = True
            return
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed by the endpoint")
        self.received += data


class Follower:
    def __init__(
        self,
        endpoints: list[Endpoint],
        wire: Wire,
        account: Account,
        *,
        silence: float,
        probe_period: float,
        gap: float,
        patience: float = 0.5,
        give_up: float | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.wire = wire
        self.account = account
        self.silence = silence
        self.probe_period = probe_period
        self.gap = gap
        self.patience = patience
        self.give_up = give_up
        self.current = self._previous = endpoints[0]
        self.sock: socket.socket | None = None
        self.received = bytearray()
        self.last_answer: float | None = None

    def call(self, request: bytes, replies: int = 1, silence: float | None = None) -> list[Any]:
        """The replies to `request`, which may have been carried out more than once."""
        silence = self.silence if silence is None else silence
        answers: list[Any] | None = None
        while answers is None:
            if self.sock is None:
                self._find(None)
            answers = self._exchange(request, replies, silence)
        self._note_answer()
        return answers

    def reconnect(self) -> None:
        """Let the next call go through a new connection."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.received.clear()

    def _exchange(self, request: bytes, replies: int, silence: float) -> list[Any] | None:
        """Ask the current endpoint; None where the request must be sent again."""
        assert self.sock is not None
        answers: list[Any] = []

        def complete() -> bool:
            while len(answers) < replies:
                reply = self.wire.take_reply(self.received)
                if reply is None:
                    return False
                answers.append(reply)
            return True

        try:
            self.sock.settimeout(max(silence, 5.0))  # a send may block on a slow link
            self.sock.sendall(request)
            self.sock.settimeout(silence)
            while not complete():
                data = self.sock.recv(1 << 18)
                if not data:
                    raise ConnectionResetError("closed by the service")
                self.received += data
        except TimeoutError:
            return answers if self._find(complete) else None
        except OSError:
            self.reconnect()
            return None
        return answers

    def _find(self, old_answers: Callable[[], bool] | None) -> bool:
        """Wait for a right answer from anywhere.

        True if the old connection gave it (`old_answers` says so when its replies
        are whole), False if there is a new connection.
        """
        search = Search(self, time.monotonic())
        if self.sock is not None:
            self.sock.setblocking(False)
            search.selector.register(self.sock, selectors.EVENT_READ, None)
        try:
            while True:
                for key, _ in search.wait():
                    if key.data is None:
                        if self._read_old(search.selector) and old_answers and old_answers():
                            return True
                    elif search.is_won_by(key.data):
                        self._switch(key.data)
                        return False
        finally:
            search.end()
            if self.sock is not None:
                self.sock.setblocking(True)

    def _read_old(self, selector: selectors.BaseSelector) -> bool:
        assert self.sock is not None
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            selector.unregister(self.sock)
            self.reconnect()
            return False
        self.received += data
        return True

    def _switch(self, attempt: Attempt) -> None:
        self.reconnect()
        attempt.sock.setblocking(True)
        self.sock = attempt.sock
        if self.current != attempt.endpoint and self.last_answer is not None:
            self.account.switches.append(
                {
                    "time": round(time.monotonic(), 6),
                    "from": "{}:{}".format(*self.current),
                    "to": "{}:{}".format(*attempt.endpoint),
                }
            )
        self.current = attempt.endpoint

    def _note_answer(self) -> None:
        now = time.monotonic()
        if self.last_answer is not None:
            length = now - self.last_answer
            self.account.longest_gap = max(self.account.longest_gap, length)
            if length > self.gap:
                if len(self.account.gaps) < MAX_GAPS_KEPT:
                    gap = Gap(self.last_answer, now, self._previous, self.current)
                    self.account.gaps.append(gap)
                else:
                    self.account.gaps_left_out += 1
        self.last_answer = now
        self._previous = self.current


class Search:
    """The attempts under way while no answer is there."""

    def __init__(self, follower: Follower, started: float) -> None:
        self.follower = follower
        self.started = started
        self.next_probe = started
        self.attempts: list[Attempt] = []
        self.selector = selectors.DefaultSelector()

    def wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What happened until the next round of probes is due."""
        now = time.monotonic()
        searching = now - self.started
        give_up = self.follower.give_up
        if give_up is not None and searching > give_up:
            raise Unreachable(f"no right answer within {give_up:g} s")
        if now >= self.next_probe:
            long_search = searching > LONG_SEARCH_SECONDS
            self.next_probe = now + (LONG_SEARCH_PROBE_SECONDS if long_search else self.follower.probe_period)
            for attempt in self._stale(now):
                self._drop(attempt)
            for endpoint in self._to_probe(searching):
                attempt = Attempt(endpoint, self.follower.wire.question())
                self.attempts.append(attempt)
                self.selector.register(attempt.sock, selectors.EVENT_WRITE, attempt)
        return self.selector.select(max(0.0, self.next_probe - time.monotonic()))

    def is_won_by(self, attempt: Attempt) -> bool:
        """Whether this attempt, for which there is an event, has brought the right answer."""
        try:
            attempt.advance()
        except BlockingIOError:
            return False
        except OSError:
            self._drop(attempt)
            return False
        self.selector.modify(attempt.sock, selectors.EVENT_READ, attempt)
        reply = self.follower.wire.take_reply(attempt.received)
        if reply is None:
            return False
        if self.follower.wire.is_ours(reply):
            self.attempts.remove(attempt)
            return True
        self._drop(attempt)
        return False

    def end(self) -> None:
        self.selector.close()
        for attempt in self.attempts:
            attempt.sock.close()

    def _drop(self, attempt: Attempt) -> None:
        self.attempts.remove(attempt)
        self.selector.unregister(attempt.sock)
        attempt.sock.close()

    def _stale(self, now: float) -> list[Attempt]:
        """Unanswered packets are only sent again after a second: a new attempt is faster."""
        stale = [
            attempt
            for attempt in self.attempts
            if attempt.connected and now - attempt.started > SLOW_ANSWER_SECONDS
        ]
        for endpoint in self.follower.endpoints:
            waiting = [a for a in self.attempts if a.endpoint == endpoint and not a.connected]
            stale += waiting[: max(0, len(waiting) - MAX_ATTEMPTS_PER_ENDPOINT + 1)]
        return stale

    def _to_probe(self, searching: float) -> list[Endpoint]:
        recent = time.monotonic() - MUTE_CONNECTION_SECONDS
        mute = {
            attempt.endpoint for attempt in self.attempts if attempt.connected and attempt.started >= recent
        }
        if self.follower.sock is not None and searching < self.follower.patience:
            mute.add(self.follower.current)  # its open connection will tell
        return [endpoint for endpoint in self.follower.endpoints if endpoint not in mute]


class Client(Protocol):
    """One demo client: what it sends and how it checks."""

    name: str

    def start(self) -> None:
        """Fill the service, learn its identity."""

    def step(self) -> None:
        """One acknowledged write, checked."""

    def verify(self) -> dict[str, Any]:
        """Compare everything acknowledged with what is there; extra keys for the summary."""


def parse_endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def parser(description: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument("endpoints", nargs="+", type=parse_endpoint, metavar="HOST:PORT")
    result.add_argument("--seconds", type=float, help="run this long (default: until SIGTERM)")
    result.add_argument("--summary", type=Path, help="write the JSON summary here, else to stdout")
    result.add_argument("--ready", type=Path, help="write our process id here after the first checked write")
    result.add_argument("--period-ms", type=float, default=2.0, help="between two writes")
    result.add_argument("--probe-ms", type=float, default=5.0, help="between two probes")
    result.add_argument("--silence-ms", type=float, default=20.0, help="until probing begins")
    result.add_argument("--gap-ms", type=float, default=5.0, help="log gaps longer than this")
    result.add_argument("--give-up-s", type=float, default=120.0, help="without any answer")
    return result


def run(
    build: Callable[[argparse.Namespace, Follower, Account], Client],
    wire: Wire,
    options: argparse.Namespace,
) -> int:
    """Drive a client until it is told to stop, then verify and sum up."""
    stopping = False

    account = Account()
    follower = Follower(
        options.endpoints,
        wire,
        account,
        silence=options.silence_ms / 1000,
        probe_period=options.probe_ms / 1000,
        gap=options.gap_ms / 1000,
        give_up=options.give_up_s,
    )

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        follower.give_up = min(options.give_up_s, STOPPED_GIVE_UP_SECONDS)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    client = build(options, follower, account)
    period = options.period_ms / 1000
    extra: dict[str, Any] = {}
    started = ended = time.monotonic()
    try:
        client.start()
        # Filling the service is no measurement.
        account.longest_gap, account.gaps, account.gaps_left_out = 0.0, [], 0
        follower.last_answer = None
        started = due = time.monotonic()
        while not stopping and (options.seconds is None or due - started < options.seconds):
            client.step()
            account.acknowledged += 1
            if account.acknowledged == 1 and options.ready:
                options.ready.write_text(f"{os.getpid()}\n")
            now = time.monotonic()
            due = max(due + period, now)
            time.sleep(due - now)
        ended = time.monotonic()
        downtime, gaps = account.longest_gap, list(account.gaps)
        extra = client.verify()
        account.longest_gap, account.gaps = downtime, gaps
    except Unreachable as error:
        ended = time.monotonic()
        account.lost = None
        extra = {"unreachable": str(error)}
    write_summary(client, follower, account, options, span=(started, ended), extra=extra)
    return 0 if account.lost == 0 and account.wrong == 0 else 1


def write_summary(
    client: Client,
    follower: Follower,
    account: Account,
    options: argparse.Namespace,
    *,
    span: tuple[float, float],
    extra: dict[str, Any],
) -> None:
    started, ended = span
    seconds = max(ended - started, 1e-9)
    summary = {
        "service": client.name,
        "acknowledged_writes": account.acknowledged,
        "lost_writes": account.lost,
        "wrong_answers": account.wrong,
        "wrong_examples": account.examples,
        "downtime_client_ms": round(account.longest_gap * 1000, 3),
        "gaps": [gap.as_dict() for gap in account.gaps],
        "gaps_left_out": account.gaps_left_out,
        "switches": account.switches,
        "endpoint": "{}:{}".format(*follower.current),
        "started_monotonic": round(started, 6),
        "ended_monotonic": round(ended, 6),
        "seconds": round(seconds, 3),
        "rate": round(account.acknowledged / seconds, 1),
        "period_ms": options.period_ms,
        **extra,
    }
    text = json.dumps(summary, indent=2) + "\n"
    if options.summary:
        partial = options.summary.with_name(options.summary.name + ".part")
        partial.write_text(text)
        partial.replace(options.summary)
    else:
        sys.stdout.write(text)
