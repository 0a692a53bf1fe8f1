# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluations as JSON, CSV and one self-contained HTML page with plots; no script, no file beside it."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path
from typing import Any

from ..base.whole_file import READABLE, whole_file

WIDTH, ROW, LEFT, RIGHT = 860, 24, 150, 120
MIGRATION_COLOUR, TRANSMISSION_COLOUR = "#c8553d", "#3d7ea6"
LINE_COLOURS = ("#1b1b1b", "#3d7ea6", "#4f9d69", "#c8553d", "#8a5fb0")
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:1.2rem auto;max-width:72rem;padding:0 1rem;color:#222}
h1{font-size:1.4rem;margin:.4rem 0}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}
td{white-space:nowrap}
td:first-child,th:first-child{text-align:left}
details td{white-space:normal;overflow-wrap:anywhere}
div.wide{font-size:13px;overflow-x:auto}
div.wide td,div.wide th{padding:.1rem .35rem}
svg{width:860px;max-width:100%;height:auto}
svg text{font:12px system-ui,sans-serif}
"""
# Label of a column, how it is written, and the keys that it needs.
COLUMNS = (
    ("strategy", "{}", ("strategy",)),
    ("cost a slot (95 %)", "{:.4f} ({:.4f} to {:.4f})", ("cost", "cost_low", "cost_high")),
    ("migration", "{:.4f}", ("migration_cost",)),
    ("transmission", "{:.4f}", ("transmission_cost",)),
    ("moves an hour", "{:.2f}", ("migrations_per_hour",)),
    ("times offline", "{:.3f}", ("ratio_to_offline",)),
    ("gap closed (95 %)", "{:.1%} ({:.1%} to {:.1%})", ("gap_closed", "gap_closed_low", "gap_closed_high")),
    ("solve, ms", "{:.1f}", ("solve_ms",)),
    ("decide, us", "{:.2f}", ("decide_us",)),
)
# What the speed of a machine decides. It is not in JSON files, which are the same whoever computes them.
TIMES = ("solve_ms", "decide_us")
GAP = (
    "Gap closed says how much a strategy saves of the cost that foresight would save: 0 % costs as much as "
    "the best of never, always, nearest and myopic, 100 % as little as the offline optimum, which knows the "
    "future."
)


X_AXIS = "x = -beta_l: how much a move over a long distance costs more than over a short one"


def without_times(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """*rows* with what is the same on every machine."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def write_report(
    directory: str | Path,
    title: str,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Write ``evaluation.json``, ``.csv`` and ``.html``; returns their paths by kind."""
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    body = [f"<p>{GAP}</p>", _cost_bars(rows), _table(rows), _settings(settings)]
    return write(
        Path(directory),
        "evaluation",
        {
            "json": json.dumps({"settings": settings, "strategies": without_times(rows)}, indent=2) + "\n",
            "csv": table.getvalue(),
            "html": page(title, body),
        },
    )


def write_figure_6(directory: str | Path, points: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Write ``figure_6.json``, ``.csv`` and ``.html``; returns their paths by kind."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    names = list(points[0]["cost"])
    writer.writerow(["discount", "x", *names, "chain_ms", "exact_ms"])
    body = [
        "<p>Upright: the discounted sum of costs, mean over all offsets between user and service and over "
        "random r (bars: one standard error), and the computing time. Across: x, the cost of a move being 1 "
        "+ x - x * 0.8^distance. After Wang et al., IEEE/ACM ToN 27(3), 2019, Fig. 6.</p>"
    ]
    for discount in dict.fromkeys(point["discount"] for point in points):
        part = [point for point in points if point["discount"] == discount]
        x = [point["x"] for point in part]
        for point in part:
            costs = [point["cost"][name] for name in names]
            writer.writerow([discount, point["x"], *costs, point["chain_ms"], point["exact_ms"]])
        times = {
            "distance chain": [point["chain_ms"] for point in part],
            "exact, policy iteration": [point["exact_ms"] for point in part],
        }
        costs_by_name = {name: [point["cost"][name] for point in part] for name in names}
        errors = {name: [point["standard_error"][name] for point in part] for name in names}
        body += [
            f"<h2>discount {discount}</h2>",
            lines(("computing time, ms", X_AXIS), x, times, None, logarithmic=True),
            lines(("discounted sum of costs", X_AXIS), x, costs_by_name, errors),
        ]
    untimed = ("chain_ms", "exact_ms")
    points_without_times = [
        {key: value for key, value in point.items() if key not in untimed} for point in points
    ]
    return write(
        Path(directory),
        "figure_6",
        {
            "json": json.dumps(points_without_times, indent=2) + "\n",
            "csv": table.getvalue(),
            "html": page("Distance chain and exact optimum", body),
        },
    )


def write(directory: Path, stem: str, contents: Mapping[str, str]) -> dict[str, str]:
    """Write files named *stem* by kind, each whole or not at all; their paths by kind."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {}
    for kind, content in contents.items():
        path = directory / f"{stem}.{kind}"
        with whole_file(path, mode=READABLE) as stream:
            stream.write(content.encode())
        paths[kind] = str(path)
    return paths


def page(title: str, body: Sequence[str]) -> str:
    """A page that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _settings(settings: Mapping[str, Any]) -> str:
    items = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(json.dumps(value))}</td></tr>"
        for name, value in settings.items()
    )
    return f"<details><summary>Settings</summary><table>{items}</table></details>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{label}</th>" for label, _form, _keys in COLUMNS)
    lines = []
    for row in rows:
        values = [(form, [row[key] for key in keys]) for _label, form, keys in COLUMNS]
        cells = ["" if None in given else form.format(*given) for form, given in values]
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return (
        f"<table><tr>{head}</tr>{''.join(lines)}</table>"
        "<p>Costs are of one user in one slot; moves are of one user. In brackets: 95 % intervals, a "
        "bootstrap over users.</p>"
    )


def _cost_bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars split into migration and transmission cost, with the confidence interval of the sum."""
    largest = max(row["cost_high"] for row in rows) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / largest
    parts = []
    for place, row in enumerate(rows):
        y = 34 + place * ROW
        first, total = row["migration_cost"] * scale, row["cost"] * scale
        low, high = LEFT + row["cost_low"] * scale, LEFT + row["cost_high"] * scale
        middle = y + 8
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">'
            f"{html.escape(row['strategy'])}</text>"
            f'<rect x="{LEFT}" y="{y}" width="{first:.1f}" height="16" fill="{MIGRATION_COLOUR}"/>'
            f'<rect x="{LEFT + first:.1f}" y="{y}" width="{total - first:.1f}" height="16" '
            f'fill="{TRANSMISSION_COLOUR}"/>'
            f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {y + 4}v8M{high:.1f} {y + 4}v8" '
            'stroke="#000"/>'
            f'<text x="{high + 6:.1f}" y="{y + 12}">{row["cost"]:.4f}</text>'
        )
    foot = 34 + len(rows) * ROW
    for tick in range(5):
        at = LEFT + (WIDTH - LEFT - RIGHT) * tick / 4
        parts.insert(
            0,
            f'<path d="M{at:.1f} 30V{foot}" stroke="#ddd"/>'
            f'<text x="{at:.1f}" y="{foot + 16}" text-anchor="middle">{largest * tick / 4:.2g}</text>',
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{foot + 34}" text-anchor="middle">'
        "cost of one user in one slot (1: a slot of a user far from the service)</text>"
        f'<text x="{LEFT - 8}" y="18" text-anchor="end">strategy</text>'
    )
    legend = (
        f'<rect x="{LEFT}" y="8" width="12" height="12" fill="{MIGRATION_COLOUR}"/>'
        f'<text x="{LEFT + 18}" y="18">migration</text>'
        f'<rect x="{LEFT + 110}" y="8" width="12" height="12" fill="{TRANSMISSION_COLOUR}"/>'
        f'<text x="{LEFT + 128}" y="18">transmission; the line at the end: 95 % interval</text>'
    )
    height = foot + 42
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{legend}{"".join(parts)}</svg>'


def lines(
    labels: tuple[str, str],
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    errors: Mapping[str, Sequence[float]] | None,
    *,
    logarithmic: bool = False,
    ticks: Mapping[float, str] | None = None,
    width: float = 2,
) -> str:
    """A line a series over ``x``; ``errors``: half the height of the bars.

    :param labels: of the upright axis and of the other one.
    :param ticks: what stands at which place of the other axis; None: every whole number of *x*.
    """
    height, top, bottom = 300, 30, 40
    if ticks is None:
        ticks = {value: f"{value:g}" for value in x if value == int(value)}
    values = [value for line in series.values() for value in line]
    low, high = (log10(min(values)), log10(max(values))) if logarithmic else (0.0, max(values))
    span = (high - low) or 1.0

    def at(value_x: float, value_y: float) -> tuple[float, float]:
        y = log10(value_y) if logarithmic else value_y
        across = (value_x - x[0]) / ((x[-1] - x[0]) or 1.0)
        down = (y - low) / span
        return 70 + across * (WIDTH - 260), height - bottom - down * (height - top - bottom)

    parts = [f'<text x="8" y="16">{html.escape(labels[0])}</text>']
    parts += [
        f'<text x="{at(value, values[0])[0]:.1f}" y="{height - 22}" text-anchor="middle">'
        f"{html.escape(word)}</text>"
        for value, word in ticks.items()
    ]
    parts.append(
        f'<text x="{(70 + WIDTH - 190) / 2}" y="{height - 5}" text-anchor="middle">'
        f"{html.escape(labels[1])}</text>"
    )
    for tick in range(5):
        level = low + span * tick / 4
        shown = 10**level if logarithmic else level
        y = at(x[0], shown)[1]
        parts.append(
            f'<path d="M70 {y:.1f}H{WIDTH - 190}" stroke="#ddd"/>'
            f'<text x="62" y="{y + 4:.1f}" text-anchor="end">{shown:.3g}</text>'
        )
    for place, (name, line) in enumerate(series.items()):
        colour = LINE_COLOURS[place % len(LINE_COLOURS)]
        points = [at(value_x, value_y) for value_x, value_y in zip(x, line, strict=True)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        if errors is not None:
            for value_x, value_y, error in zip(x, line, errors[name], strict=True):
                (px, y_low), (_px, y_high) = (
                    at(value_x, value_y - error),
                    at(value_x, value_y + error),
                )
                parts.append(f'<path d="M{px:.1f} {y_low:.1f}V{y_high:.1f}" stroke="{colour}"/>')
        y = top + 10 + place * 18
        parts.append(
            f'<path d="M{WIDTH - 170} {y}h20" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDTH - 144}" y="{y + 4}">{html.escape(name)}</text>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'
