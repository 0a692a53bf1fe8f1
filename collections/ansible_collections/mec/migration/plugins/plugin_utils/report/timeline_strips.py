# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawings of a timeline that lie along time: lanes of hosts, magnified strips of moves.

SVG whose x is in percent and whose y is in pixels: it fits any width, to scale, and its text keeps its size.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from .timeline import Bar, CopyRound, Move, Part, Span, Timeline, ticks

COLOURS = 12
AXIS, HEADER, ROW, BAR, PAD = 36, 22, 24, 16, 8
# Narrower than this, in percent of the width, a bar has no room for a name.
LABEL_PERCENT = 5.0
STRIP_ROW, STRIP_HEIGHT = 20, 42
DETAIL_ROW, DETAIL_HEIGHT = 16, 58
# Just before and just after a point, so that neither is cut at an edge.
CROSS, CROSS_AFTER = "M-16 -6L-4 6M-16 6L-4 -6", "M3 -6L15 6M3 6L15 -6"


def escape(text: object) -> str:
    """*text* as it may stand between tags and in quoted attributes."""
    return html.escape(str(text), quote=True)


def duration(seconds: float) -> str:
    """A length of time for a person."""
    if abs(seconds) < 10:
        return f"{seconds:.3g} s"
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def megabytes(count: float) -> str:
    """*count* bytes for a person."""
    return f"{count / 1e6:,.1f} MB"


def colour(services: list[str], service: str) -> str:
    """Class that gives the colour of a service."""
    return f"s{services.index(service) % COLOURS}" if service in services else "s0"


class Scale:
    """Moments to percent of the width."""

    def __init__(self, started: float, ended: float) -> None:
        self._started = started
        self._span = max(ended - started, 1e-9)

    def at(self, moment: float) -> float:
        return 100 * (moment - self._started) / self._span

    def box(self, span: Span) -> str:
        """Attributes x and width."""
        return f'x="{self.at(span.started):.4f}%" width="{100 * span.seconds / self._span:.4f}%"'

    def line(self, moment: float, y1: float, y2: float, kind: str) -> str:
        x = f"{self.at(moment):.4f}%"
        return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{y1:g}" y2="{y2:g}"/>'

    def label(self, moment: float, y: float, text: str) -> str:
        """Text centred on a moment, but inside the drawing at its ends."""
        x = self.at(moment)
        anchor = "start" if x < 6 else "end" if x > 94 else "middle"
        return f'<text class="tick" x="{x:.4f}%" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def drawing(name: str, title: str, text: str, height: float, parts: Iterable[str]) -> str:
    """An SVG as wide as its place, with a title and a text for those who do not see it."""
    return (
        f'<svg class="wide" role="img" aria-labelledby="{name}-t {name}-d" height="{height:g}">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(text)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def lanes(model: Timeline) -> str:
    """A lane for each host, a bar for each stay of a service, moves between them."""
    scale = Scale(model.span.started, model.span.ended)
    top, floors, placed = float(AXIS), [], []
    for index, lane in enumerate(model.lanes):
        height = HEADER + lane.rows * ROW + PAD
        floors.append(
            f'<rect class="lane{index % 2}" x="0" y="{top:g}" width="100%" height="{height - 3:g}" rx="6"/>'
        )
        floors.append(f'<text class="host" x="8" y="{top + 15:g}">{escape(lane.host)}</text>')
        placed += [(piece, top + HEADER + piece.row * ROW) for piece in lane.bars]
        top += height
    parts = [*floors, *_axis(model, scale, top)]
    for piece, y in placed:
        parts += _bar(model, scale, piece, y)
    for move in model.moves:
        parts += _passage(scale, move, placed)
    told = "; ".join(
        f"{stay.service} on {stay.host} from {duration(stay.started - model.span.started)} to "
        f"{duration(stay.ended - model.span.started)}"
        for stay in model.stays[:60]
    )
    return drawing("lanes", "Which service ran where and when", told or "No service was seen.", top, parts)


def _axis(model: Timeline, scale: Scale, height: float) -> list[str]:
    parts = []
    for at in ticks(model.span.seconds, 5):
        moment = model.span.started + at
        parts.append(scale.line(moment, AXIS - 6, height, "grid"))
        parts.append(scale.label(moment, AXIS - 9, duration(at) if at else "0"))
    free = 0.0
    for index, one in enumerate(model.record["rounds"]):
        parts.append(scale.line(one["started"], 2, height, "round"))
        x = scale.at(one["started"])
        # Where rounds are short not all of them have room for a name.
        if x >= free and x < 98:
            word = f"round {one['round']}" if index == 0 else str(one["round"])
            parts.append(f'<text class="tick" x="{x:.4f}%" dx="3" y="11">{word}</text>')
            free = x + (16 if index == 0 else 7)
    return parts


def _bar(model: Timeline, scale: Scale, piece: Bar, y: float) -> list[str]:
    stay, move = piece.stay, piece.attempt
    if stay is None:
        return (
            [_block("vain", piece.shown, scale, y, BAR, f"{move.service}: made ready in vain")]
            if move
            else []
        )
    parts, kind = [], colour(model.services, stay.service)
    if piece.shown.started < stay.started:
        ready = Span(piece.shown.started, stay.started)
        note = f"{stay.service}: image, memory and files arrive, the container waits"
        parts.append(_block(f"ready {kind}", ready, scale, y, BAR, note))
    note = f"{stay.service} on {stay.host} for {duration(stay.seconds)}"
    parts.append(_block(f"bar {kind}", stay, scale, y, BAR, note))
    for one in model.moves:
        leaves = one.service == stay.service and one.source == stay.host
        if leaves and stay.started <= one.started <= stay.ended:
            parts += _sent(scale, one, y)
    if 100 * stay.seconds / model.span.seconds >= LABEL_PERCENT:
        parts.append(
            f'<svg {scale.box(stay)} y="{y:g}" height="{BAR}">'
            f'<text class="name" x="5" y="12">{escape(stay.service)}</text></svg>'
        )
    return parts


def _sent(scale: Scale, move: Move, y: float) -> list[str]:
    """What left a bar's host in a move: along its lower edge."""
    edge, low = BAR - 5, 5
    parts = [
        _block("image", span, scale, y + edge, low, "image layers")
        for name, span in move.phases
        if name == "image"
    ]
    return parts + [
        _block(f"copy{one.number % 2}", one, scale, y + edge, low, round_note(one)) for one in move.copies
    ]


def _passage(scale: Scale, move: Move, placed: Sequence[tuple[Bar, float]]) -> list[str]:
    """The frozen window and the way to the other lane, or the end of an attempt."""
    left = next((y for piece, y in placed if piece.stay is not None and piece.stay.departure is move), None)
    came = next((y for piece, y in placed if piece.stay is not None and piece.stay.arrival is move), None)
    if move.window is not None and left is not None and came is not None:
        down = left < came
        start, end = (left + BAR, came) if down else (left, came + BAR)
        x1, x2 = scale.at(move.window.started), scale.at(move.window.ended)
        note = f"{move.service} is frozen for {move.report['frozen_ms']:.0f} ms"
        return [
            _block("frozen mark", move.window, scale, left, BAR, note),
            f'<line class="went" x1="{x1:.4f}%" y1="{start:g}" x2="{x2:.4f}%" y2="{end:g}"/>',
            _shape("tip", "M0 0L-4 -7H4Z" if down else "M0 0L-4 7H4Z", x2, end),
        ]
    attempt = next((y for piece, y in placed if piece.attempt is move), None)
    if attempt is None or move.touches_target is None:
        return []
    return [
        _shape("cross", CROSS, scale.at(move.touches_target.ended), attempt + BAR / 2, f"failed: {move.why}")
    ]


def strip_span(moves: Iterable[Move]) -> tuple[float, float]:
    """(seconds before the freeze, seconds after it) that the strips of all these moves need."""
    shown = [move for move in moves if move.copies or move.window is not None]
    before = max((move.freeze - move.copies[0].started for move in shown if move.copies), default=0.0)
    after = max((move.window.seconds for move in shown if move.window is not None), default=0.0)
    before = max(before, 0.1)
    return before, max(after * 1.05, 0.07 * before)


def strip(name: str, move: Move, before: float, after: float) -> str:
    """The rounds and the frozen window of one move; 0 is the freeze. The same span for all is one scale."""
    scale = Scale(move.freeze - before, move.freeze + after)
    parts = []
    step = [*ticks(before + after, 6), before + after][1]
    for index in range(-int(before / step), int(after / step) + 1):
        moment = move.freeze + index * step
        parts.append(scale.line(moment, 0, STRIP_ROW + 6, "grid"))
        parts.append(scale.label(moment, STRIP_HEIGHT - 4, f"{index * step:+.3g} s" if index else "0"))
    if move.copies:
        parts.append(_block("runs", Span(move.copies[0].started, move.freeze), scale, 11, 2, "it runs"))
    for one in move.copies:
        parts.append(_block(f"copy{one.number % 2}", one, scale, 4, STRIP_ROW - 4, round_note(one)))
        if 100 * one.seconds / (before + after) > 4:
            middle = scale.at((one.started + one.ended) / 2)
            parts.append(f'<text class="number" x="{middle:.4f}%" y="16">{one.number}</text>')
    told = "; ".join(round_note(one) for one in move.copies)
    if move.window is not None:
        parts.append(_block("frozen", move.window, scale, 0, STRIP_ROW + 4, "frozen"))
        told += f", then frozen for {move.window.seconds * 1000:.0f} ms"
    else:
        parts.append(_shape("cross", CROSS_AFTER, scale.at(move.freeze), 12, "failed"))
    return drawing(name, f"Rounds of {move.service}", told, STRIP_HEIGHT, parts)


def detail(name: str, move: Move, longest_ms: float) -> str:
    """The inside of the frozen window of one move; *longest_ms* for all is one scale."""
    scale = Scale(0.0, longest_ms * 1.02)
    parts = []
    for tick in ticks(longest_ms / 1000, 5):
        shown = f"{tick * 1000:.0f} ms" if tick else "0"
        parts.append(scale.line(tick * 1000, 0, DETAIL_HEIGHT - 16, "grid"))
        parts.append(scale.label(tick * 1000, DETAIL_HEIGHT - 4, shown))
    whole = Span(0.0, move.report["frozen_ms"])
    parts.append(_block("window", whole, scale, 1, DETAIL_HEIGHT - 20, "frozen"))
    for part in move.parts:
        y = 4 + (DETAIL_ROW + 2) * part.beside
        span = Span(part.from_ms, part.to_ms)
        parts.append(_block(f"part {part.name}", span, scale, y, DETAIL_ROW - 1, _part_note(part)))
    told = ", ".join(_part_note(part) for part in move.parts)
    return drawing(name, f"Inside the frozen window of {move.service}", told, DETAIL_HEIGHT, parts)


def round_note(one: CopyRound) -> str:
    """A round of copying in words."""
    return f"round {one.number}: {megabytes(one.sent_bytes)} in {one.seconds:.2f} s"


def _part_note(part: Part) -> str:
    return f"{part.name} {part.to_ms - part.from_ms:.0f} ms"


def _block(kind: str, span: Span, scale: Scale, y: float, height: float, note: str) -> str:
    return (
        f'<rect class="{kind}" {scale.box(span)} y="{y:g}" height="{height:g}">'
        f"<title>{escape(note)}</title></rect>"
    )


def _shape(kind: str, path: str, x_percent: float, y: float, note: str = "") -> str:
    """A path around a point, in pixels."""
    told = f"<title>{escape(note)}</title>" if note else ""
    return (
        f'<svg x="{x_percent:.4f}%" y="{y:g}" width="1" height="1" overflow="visible">'
        f'<path class="{kind}" d="{path}">{told}</path></svg>'
    )
