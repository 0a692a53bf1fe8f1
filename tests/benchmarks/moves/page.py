"""The results as one HTML page that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.moves import cells

# Key, heading, divisor, unit.
CHARTS = (
    ("downtime_ms", "Downtime as the client saw it", 1e3, "s"),
    ("total_s", "Total time", 1, "s"),
    ("wire_bytes", "Bytes on the wire", 1e6, "MB"),
    ("window_bytes", "Bytes on the wire inside the downtime", 1e6, "MB"),
    ("peak_source_bytes", "Memory that the source needed besides", 1e6, "MB"),
    ("peak_target_bytes", "Memory that the target needed", 1e6, "MB"),
)
STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
svg { width: 100%; height: auto } text { font: 12px sans-serif; fill: #222 }
.bar { fill: #b9bec6 } .ours { fill: #1f6f54 } .range { stroke: #222 }
figure { margin: 1rem 0 } figcaption { font-weight: bold }
"""
BAR, LEFT, WIDTH, RIGHT = 22, 330, 430, 140
DECADES = 4.0


def length(value: float, largest: float) -> float:
    """Of a bar on a logarithmic scale of four decades."""
    if value <= 0:
        return 0.0
    return WIDTH * max(0.0, 1 + math.log10(value / largest) / DECADES)


def chart(rows: Sequence[dict[str, Any]], key: str, heading: str, divisor: float, unit: str) -> str:
    largest = max(row[f"{key}_max"] for row in rows) or 1.0
    parts = [f'<svg viewBox="0 0 {LEFT + WIDTH + RIGHT} {BAR * len(rows) + 4}" role="img">']
    for index, row in enumerate(rows):
        y = index * BAR + 2
        end = LEFT + length(row[key], largest)
        low, high = (LEFT + length(row[f"{key}_{edge}"], largest) for edge in ("min", "max"))
        kind = "bar ours" if row["method"].startswith("this") else "bar"
        name = html.escape(cells.METHODS[row["method"]].split(":")[0])
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{name} ({row["method"]})</text>')
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 4}"/>')
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 9}" y2="{y + 9}"/>')
        parts.append(
            f'<text x="{max(end, high) + 6:.1f}" y="{y + 14}">{row[key] / divisor:,.2f} {unit}</text>'
        )
    parts.append("</svg>")
    return f"<figure><figcaption>{heading}</figcaption>{''.join(parts)}</figure>"


# Colours that differ in lightness, too.
DOTS = {
    "this": "#1f6f54",
    "this-compare": "#6dbb9d",
    "this-uffd": "#6dbb9d",
    "this-postcopy": "#3b8ea5",
    "docker": "#b23a2f",
    "docker-rsync": "#e0a030",
    "podman": "#5a3d8c",
}
ROW, NAMES, RADIUS = 20, 460, 5


def overview(rows: Sequence[dict[str, Any]], key: str, heading: str, divisor: float, unit: str) -> str:
    """All cells below each other, a dot for each method's median, on a logarithmic scale."""
    methods = [name for name in cells.METHODS if any(row["method"] == name for row in rows)]
    every = sorted({cells.cell_of(row) for row in rows})
    values = [row[key] / divisor for row in rows if row[key] > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    height = ROW * (len(every) + 3)

    def across(value: float) -> float:
        return NAMES + WIDTH * (math.log10(max(value, 10.0**low)) - low) / max(high - low, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {NAMES + WIDTH + 60} {height}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{heading}</title>',
        f'<rect width="100%" height="{height}" fill="#fff"/>',
    ]
    at = 10
    for name in methods:
        parts.append(f'<circle cx="{at}" cy="{ROW / 2}" r="{RADIUS}" fill="{DOTS[name]}"/>')
        parts.append(f'<text x="{at + 10}" y="{ROW / 2 + 4}" fill="#222">{name}</text>')
        at += 40 + 8 * len(name)
    for decade in range(low, high + 1):
        x = across(10.0**decade)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{ROW}" y2="{height - ROW}" stroke="#ddd"/>')
        label = f"{10.0**decade:g} {unit}"
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle" fill="#222">{label}</text>')
    for index, cell in enumerate(every):
        y = ROW * (index + 2)
        parts.append(f'<text x="{NAMES - 12}" y="{y + 4}" text-anchor="end" fill="#222">{cell}</text>')
        parts.append(f'<line x1="{NAMES}" x2="{NAMES + WIDTH}" y1="{y}" y2="{y}" stroke="#eee"/>')
        for row in rows:
            if cells.cell_of(row) == cell:
                x = across(row[key] / divisor)
                said = f"{row['method']}: {row[key] / divisor:,.2f} {unit}"
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y}" r="{RADIUS}" fill="{DOTS[row["method"]]}" '
                    f'fill-opacity="0.85"><title>{said}</title></circle>'
                )
    parts.append("</svg>")
    return "".join(parts)


def page(rows: Sequence[dict[str, Any]]) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Moves, measured</title>",
        f"<style>{STYLE}</style><h1>Moves, measured</h1>",
    ]
    for spec in (CHARTS[0], CHARTS[2]):
        parts.append(f"<figure><figcaption>{spec[1]}</figcaption>{overview(rows, *spec)}</figure>")
    parts.append("<p>Below, bars: medians, on a logarithmic scale of four decades. Lines: least to most.</p>")
    for cell in sorted({cells.cell_of(row) for row in rows}):
        mine = [row for row in rows if cells.cell_of(row) == cell]
        runs = sorted({row["runs"] for row in mine})
        parts.append(f"<h2>{html.escape(str(cell))}</h2><p>Runs: {', '.join(map(str, runs))}</p>")
        parts.extend(chart(mine, *spec) for spec in CHARTS)
    return "".join(parts) + "</html>\n"
