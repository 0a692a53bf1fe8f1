# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the record of a run to what a timeline shows: stays of services on hosts, moves, lanes, ticks.

No numpy and no Ansible here. All moments are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_MINUTES = (60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
TICKS_S = (*_SECONDS, *_MINUTES)


@dataclass(frozen=True)
class Span:
    """A piece of time."""

    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class CopyRound(Span):
    """A round of pre-copy; ``late`` are those right before the freeze, in the hand-over."""

    number: int
    pages: int
    sent_bytes: int
    left_bytes: int
    late: bool


@dataclass(frozen=True)
class Part:
    """A part of the frozen window, ``from_ms`` and ``to_ms`` after the freeze began.

    ``beside``: it runs at the same time as the parts of the other row.
    """

    name: str
    from_ms: float
    to_ms: float
    beside: bool = False


@dataclass(frozen=True)
class Move(Span):
    """One move of a service; ``window`` is None where it was never frozen, or nobody knows for how long."""

    round: int
    service: str
    source: str
    target: str
    outcome: str
    reason: str
    why: str
    prediction: Mapping[str, Any]
    report: Mapping[str, Any]
    phases: tuple[tuple[str, Span], ...] = ()
    copies: tuple[CopyRound, ...] = ()
    window: Span | None = None
    parts: tuple[Part, ...] = ()

    @property
    def freeze(self) -> float:
        """The moment that magnified strips count from: the freeze, or the end where there was none."""
        if self.window is not None:
            return self.window.started
        return max((one.ended for one in self.copies), default=self.ended)

    @property
    def touches_target(self) -> Span | None:
        """From when on the target is made ready until the service is there, or all is given up."""
        begun = [span.started for name, span in self.phases if name != "validate"]
        if not begun:
            return None
        return Span(min(begun), self.window.ended if self.window is not None else self.ended)


@dataclass(frozen=True)
class Stay(Span):
    """A service on a host; ``arrival`` and ``departure`` are the moves at its ends."""

    service: str
    host: str
    arrival: Move | None = None
    departure: Move | None = None


@dataclass
class Bar:
    """What takes a row of a lane for a time: a stay with its arrival, or a target made ready in vain."""

    shown: Span
    row: int
    stay: Stay | None = None
    attempt: Move | None = None


@dataclass
class Lane:
    """A host and its bars, in rows so that none covers another."""

    host: str
    bars: list[Bar] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return max((piece.row for piece in self.bars), default=0) + 1


@dataclass
class Timeline:
    """All that the page draws."""

    record: Mapping[str, Any]
    span: Span
    services: list[str]
    moves: list[Move]
    stays: list[Stay]
    lanes: list[Lane]


def timeline(record: Mapping[str, Any]) -> Timeline:
    """The model of a record that follows ``run_report.schema.json``."""
    moves = sorted(
        (_move(move, one["round"]) for one in record["rounds"] for move in one["moves"]),
        key=lambda move: move.started,
    )
    span = _whole(record, moves)
    services = list(dict.fromkeys(entry["service"] for one in record["rounds"] for entry in one["services"]))
    stays = _stays(record["rounds"], moves, span)
    hosts = list(
        dict.fromkeys(
            [host["name"] for host in record["hosts"]]
            + [stay.host for stay in stays]
            + [move.target for move in moves]
        )
    )
    lanes = [_lane(host, stays, moves) for host in hosts]
    return Timeline(record, span, services, moves, stays, lanes)


def ticks(span_s: float, at_most: int) -> list[float]:
    """Round numbers of seconds from 0 to *span_s*, *at_most* of them besides 0."""
    if span_s <= 0:
        return [0.0]
    step = next((one for one in TICKS_S if span_s / one <= at_most), TICKS_S[-1])
    while span_s / step > at_most:
        step *= 2
    return [index * step for index in range(int(span_s / step + 1e-9) + 1)]


def _move(move: Mapping[str, Any], number: int) -> Move:
    report = move.get("report", {})
    window = report.get("window")
    phases = tuple((one["phase"], Span(one["started"], one["ended"])) for one in report.get("phases", []))
    handed_over = next((span.started for name, span in phases if name == "hand over"), float("inf"))
    return Move(
        started=move["started"],
        ended=move["ended"],
        round=number,
        service=move["service"],
        source=move["source"],
        target=move["target"],
        outcome=move["outcome"],
        reason=move["reason"],
        why=" ".join(move.get("why", "").split()),
        prediction=move.get("prediction", {}),
        report=report,
        phases=phases,
        copies=tuple(
            CopyRound(
                started=one["started"],
                ended=one["started"] + one["seconds"],
                number=number,
                pages=one["pages_changed"],
                sent_bytes=one["sent_bytes"] + one["files_sent_bytes"],
                left_bytes=one["residual_bytes"],
                late=one["started"] >= handed_over,
            )
            for number, one in enumerate(report.get("rounds", []), start=1)
        ),
        window=Span(window["started"], window["started"] + window["frozen_ms"] / 1000) if window else None,
        parts=_parts(window) if window else (),
    )


def _parts(window: Mapping[str, Any]) -> tuple[Part, ...]:
    """Freeze; then last pages and files, and beside them CRIU's dump; then images; then the target's restore.

    The two last are counted back from the end, as ``handover`` measures them; what is not covered is
    pages that CRIU left out and no round had sent.
    """
    end = window["frozen_ms"]
    frozen = window["freeze_ms"]
    images_end = end - window["restore_wait_ms"]
    pages_end = frozen + window["memory_ms"]
    return (
        Part("freeze", 0.0, frozen),
        Part("pages", frozen, pages_end),
        Part("files", pages_end, pages_end + window["files_ms"]),
        Part("dump", frozen, frozen + window["dump_ms"], beside=True),
        Part("images", images_end - window["images_ms"], images_end),
        Part("restore", images_end, end),
    )


def _whole(record: Mapping[str, Any], moves: Iterable[Move]) -> Span:
    """From the first to the last moment that is known."""
    started, ended = record["started"], record["ended"]
    for one in record["rounds"]:
        started, ended = min(started, one["started"]), max(ended, one["ended"])
    for move in moves:
        started, ended = min(started, move.started), max(ended, move.ended)
    return Span(started, max(ended, started + 0.001))


def _stays(rounds: Sequence[Mapping[str, Any]], moves: Sequence[Move], span: Span) -> list[Stay]:
    """Where each service was when: seen at the start of each round, changed by moves that succeeded."""
    made: list[Stay] = []
    now: dict[str, Stay] = {}

    def begin(service: str, host: str, at: float, arrival: Move | None = None) -> None:
        now[service] = Stay(at, span.ended, service, host, arrival=arrival)
        made.append(now[service])

    def end(service: str, at: float, departure: Move | None = None) -> None:
        stay = now.pop(service)
        made[made.index(stay)] = Stay(stay.started, at, service, stay.host, stay.arrival, departure)

    for one in rounds:
        for entry in one["services"]:
            service, host = entry["service"], entry.get("current_host")
            if host is None or (service in now and now[service].host == host):
                continue
            if service in now:
                # Somebody else has moved it.
                end(service, one["started"])
                begin(service, host, one["started"])
            else:
                begin(service, host, span.started if one is rounds[0] else one["started"])
        for move in moves:
            if move.round == one["round"] and move.window is not None and move.service in now:
                end(move.service, move.window.started, move)
                begin(move.service, move.target, move.window.ended, move)
    return made


def _lane(host: str, stays: Iterable[Stay], moves: Iterable[Move]) -> Lane:
    bars = []
    for stay in stays:
        if stay.host == host:
            ready = stay.arrival.touches_target if stay.arrival is not None else None
            bars.append(Bar(Span(ready.started if ready else stay.started, stay.ended), 0, stay=stay))
    for move in moves:
        if move.target == host and move.outcome == "failed" and move.touches_target is not None:
            bars.append(Bar(move.touches_target, 0, attempt=move))
    bars.sort(key=lambda piece: piece.shown.started)
    free: list[float] = []
    for piece in bars:
        piece.row = next((row for row, end in enumerate(free) if end <= piece.shown.started), len(free))
        free[piece.row : piece.row + 1] = [piece.shown.ended]
    return Lane(host, bars)
