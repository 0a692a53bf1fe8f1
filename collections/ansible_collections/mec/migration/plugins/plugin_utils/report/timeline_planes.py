# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawings of a timeline that are not along time: the map, and what the run cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .timeline import Timeline
from .timeline_strips import colour, escape

WIDTH = 380
MARGIN = 46
MAP_HEIGHTS = (220.0, 360.0)
# How far around a place users are drawn, so that their paths lie apart and hosts can be seen.
APART = 17.0
COST_HEIGHT, COST_LEFT, COST_RIGHT, COST_TOP, COST_BOTTOM = 250, 32, 162, 12, 34
LINE_GAP = 15.0
# Width of a letter of a name, rather more than less.
LETTER = 9.0
# Between the middle of a host and the arrows of moves.
CLEAR = 26.0

Point = tuple[float, float]


def city(model: Timeline) -> str:
    """Cells, hosts, the way of each user, and the moves between hosts."""
    places: Mapping[str, Any] = model.record["map"]
    project, height, unit = _projection(places)
    parts = [_cell(places, project(one["x_m"], one["y_m"]), unit) for one in places["cells"]]
    at = {host["name"]: project(host["x_m"], host["y_m"]) for host in places["hosts"]}
    went = Counter(
        (move.source, move.target)
        for move in model.moves
        if move.outcome == "moved" and move.source in at and move.target in at
    )
    parts += [_arrow(at[source], at[target], count) for (source, target), count in sorted(went.items())]
    around = min(APART, unit / 3)
    ends = []
    known = {user: path for user, path in places["users"].items() if any(path)}
    for index, (user, path) in enumerate(known.items()):
        turn = 2 * math.pi * index / len(known) - math.pi / 2
        shift = (around * math.cos(turn), around * math.sin(turn))
        points = [_moved(project(*point), shift) for point in path if point]
        kind = colour(model.services, _service_of(model, user))
        parts.append(_path(points, kind))
        ends.append((points[-1], user, kind))
    parts += [_host(name, point) for name, point in at.items()]
    parts += _names(ends, height)
    told = f"{len(places['cells'])} cells, hosts {', '.join(at)}, users {', '.join(known) or 'none'}; " + (
        "; ".join(f"{count} moves from {source} to {target}" for (source, target), count in went.items())
        or "no moves"
    )
    return _drawing("map", "Map of users, hosts and moves", told, height, parts)


def _projection(places: Mapping[str, Any]) -> tuple[Any, float, float]:
    """(from metres to the drawing, its height, length of a cell in it)."""
    points = [(one["x_m"], one["y_m"]) for one in (*places["cells"], *places["hosts"])]
    points += [tuple(point) for path in places["users"].values() for point in path if point]
    left, right = min(x for x, _y in points), max(x for x, _y in points)
    low, high = min(y for _x, y in points), max(y for _x, y in points)
    wide, tall = max(right - left, 1.0), max(high - low, 1.0)
    if max(wide, tall) == 1.0:
        wide = tall = places["cell_size_m"]
    scale = min((WIDTH - 2 * MARGIN) / wide, (MAP_HEIGHTS[1] - 2 * MARGIN) / tall)
    height = max(MAP_HEIGHTS[0], tall * scale + 2 * MARGIN)

    def project(x_m: float, y_m: float) -> Point:
        return (
            WIDTH / 2 + (x_m - (left + right) / 2) * scale,
            height / 2 - (y_m - (low + high) / 2) * scale,
        )

    return project, height, places["cell_size_m"] * scale


def _cell(places: Mapping[str, Any], point: Point, unit: float) -> str:
    x, y = point
    if places["kind"] == "square":
        half = unit / 2
        size = f'width="{unit:.1f}" height="{unit:.1f}"'
        return f'<rect class="cell" x="{x - half:.1f}" y="{y - half:.1f}" {size}/>'
    if places["kind"] == "hexagon":
        radius = unit / math.sqrt(3)
        corners = (math.pi / 6 + math.pi / 3 * corner for corner in range(6))
        outline = " ".join(f"{x + radius * math.cos(a):.1f},{y + radius * math.sin(a):.1f}" for a in corners)
        return f'<polygon class="cell" points="{outline}"/>'
    return f'<circle class="cell" cx="{x:.1f}" cy="{y:.1f}" r="{max(2.0, min(unit / 2, 40.0)):.1f}"/>'


def _arrow(source: Point, target: Point, count: int) -> str:
    """A bent arrow, so that there and back are two."""
    dx, dy = target[0] - source[0], target[1] - source[1]
    length = math.hypot(dx, dy) or 1.0
    unit, normal = (dx / length, dy / length), (-dy / length, dx / length)
    bend = min(40.0, 0.24 * length)
    middle = ((source[0] + target[0]) / 2 + bend * normal[0], (source[1] + target[1]) / 2 + bend * normal[1])
    start = (source[0] + CLEAR * unit[0] + 5 * normal[0], source[1] + CLEAR * unit[1] + 5 * normal[1])
    tip = (target[0] - CLEAR * unit[0] + 5 * normal[0], target[1] - CLEAR * unit[1] + 5 * normal[1])
    ahead = (tip[0] - middle[0], tip[1] - middle[1])
    size = math.hypot(*ahead) or 1.0
    along = (8 * ahead[0] / size, 8 * ahead[1] / size)
    back, aside = (tip[0] - along[0], tip[1] - along[1]), (along[1] / 2, -along[0] / 2)
    label = ((start[0] + 2 * middle[0] + tip[0]) / 4, (start[1] + 2 * middle[1] + tip[1]) / 4)
    return (
        f'<path class="moves" d="M{_at(start)}Q{_at(middle)} {_at(tip)}"/>'
        f'<path class="tip" d="M{_at(tip)}L{_at(_moved(back, aside))}L{back[0] - aside[0]:.1f} '
        f'{back[1] - aside[1]:.1f}Z"/>'
        f'<text class="count" x="{label[0] + 9 * normal[0]:.1f}" y="{label[1] + 9 * normal[1] + 4:.1f}">'
        f"{count}</text>"
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _host(name: str, point: Point) -> str:
    """On the other side than names of users, see :func:`_names`."""
    x, y = point
    anchor, dx = ("end", -CLEAR) if _names_right(x) else ("start", CLEAR)
    shown = _fitting(name, (x if dx < 0 else WIDTH - x) - CLEAR)
    return (
        f'<rect class="place" x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14" rx="3"/>'
        f'<text class="hostname" x="{x + dx:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">'
        f"<title>{escape(name)}</title>{escape(shown)}</text>"
    )


def _path(points: Sequence[Point], kind: str) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle class="step {kind}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points[1:-1])
    first, last = points[0], points[-1]
    return (
        f'<polyline class="way {kind}" points="{line}"/>{dots}'
        f'<circle class="from {kind}" cx="{first[0]:.1f}" cy="{first[1]:.1f}" r="4"/>'
        f'<circle class="user {kind}" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="5"/>'
    )


def _names(ends: Sequence[tuple[Point, str, str]], height: float) -> list[str]:
    """Names beside where users are now, one below the other where they would overlap."""
    parts, taken = [], [0.0, 0.0]
    for (x, y), user, kind in sorted(ends, key=lambda end: end[0][1]):
        right = _names_right(x)
        at = min(max(y + 4, taken[right] + 13), height - 4)
        taken[right] = at
        anchor, dx = ("start", 10) if right else ("end", -10)
        shown = _fitting(user, (WIDTH - x if right else x) - abs(dx))
        parts.append(
            f'<text class="username {kind}" x="{x + dx:.1f}" y="{at:.1f}" text-anchor="{anchor}">'
            f"<title>{escape(user)}</title>{escape(shown)}</text>"
        )
    return parts


def _fitting(text: str, room: float) -> str:
    """*text*, cut where it is wider than *room*."""
    letters = max(int(room / LETTER), 3)
    return text if len(text) <= letters else f"{text[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"


def _names_right(x: float) -> bool:
    return x < WIDTH * 0.6


def _service_of(model: Timeline, user: str) -> str:
    for one in model.record["rounds"]:
        for entry in one["services"]:
            if entry["user"] == user:
                return str(entry["service"])
    return ""


def _moved(point: Point, shift: Point) -> Point:
    return point[0] + shift[0], point[1] + shift[1]


def costs(record: Mapping[str, Any]) -> str:
    """Cumulative cost by round: this run, never, always, the offline optimum."""
    rows = record["costs"]
    rounds = len(record["rounds"])
    highest = max(row["cost"] for row in rows) or 1.0
    step = _step(highest)
    top = step * math.ceil(highest / step)
    right, bottom = WIDTH - COST_RIGHT, COST_HEIGHT - COST_BOTTOM

    def at(index: int, cost: float) -> Point:
        across = (right - COST_LEFT) * index / max(rounds, 1)
        return COST_LEFT + across, bottom - (bottom - COST_TOP) * cost / top

    parts = []
    for tick in range(round(top / step) + 1):
        y = at(0, tick * step)[1]
        parts.append(f'<line class="grid" x1="{COST_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{COST_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick * step:g}</text>'
        )
    every = -(-rounds // 8) or 1
    for index in range(every, rounds + 1, every):
        x = at(index, 0)[0]
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{index}</text>')
    parts.append(f'<text class="tick" x="{right}" y="{bottom + 29}" text-anchor="end">after round</text>')
    ends = []
    # This run last, above the others.
    for row in sorted(rows, key=lambda row: bool(row["strategy"] == "this run")):
        kind = "c-" + row["strategy"].replace(",", "").split()[0]
        points = [at(0, 0.0), *(at(index, cost) for index, cost in enumerate(row["so_far"], start=1))]
        shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="cost {kind}" points="{shown}"/>')
        ends.append((points[-1], f"{row['strategy']} {row['cost']:.2f}", kind))
    parts += _line_names(ends, right, bottom)
    told = "; ".join(f"{row['strategy']}: {row['cost']:.3f}" for row in rows)
    return _drawing("costs", "Cost so far, summed over services", told, COST_HEIGHT, parts)


def _line_names(ends: list[tuple[Point, str, str]], right: float, bottom: float) -> list[str]:
    """Names at the ends of lines, pushed apart, and above the axis."""
    ends.sort(key=lambda end: end[0][1])
    places: list[float] = []
    for (_x, y), _text, _kind in ends:
        places.append(max(y + 4, places[-1] + LINE_GAP if places else 0.0))
    limit = bottom + 4
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - LINE_GAP
    return [
        f'<circle class="end {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        f'<text class="costname {kind}" x="{right + 9}" y="{place:.1f}">{escape(text)}</text>'
        for ((x, y), text, kind), place in zip(ends, places, strict=True)
    ]


def _step(highest: float) -> float:
    """A round number of which at most five reach *highest*."""
    power = 10 ** math.floor(math.log10(highest / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if highest / (power * factor) <= 5)


def _drawing(name: str, title: str, text: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plane" role="img" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(text)}</desc>'
        f"{''.join(parts)}</svg>"
    )
