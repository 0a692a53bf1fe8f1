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


def page(rows: Sequence[dict[str, Any]]) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Moves, measured</title>",
        f"<style>{STYLE}</style><h1>Moves, measured</h1>",
        "<p>Bars: medians, on a logarithmic scale of four decades. Lines: from the least to the most.</p>",
    ]
    for cell in sorted({cells.cell_of(row) for row in rows}):
        mine = [row for row in rows if cells.cell_of(row) == cell]
        runs = sorted({row["runs"] for row in mine})
        parts.append(f"<h2>{html.escape(str(cell))}</h2><p>Runs: {', '.join(map(str, runs))}</p>")
        parts.extend(chart(mine, *spec) for spec in CHARTS)
    return "".join(parts) + "</html>\n"
