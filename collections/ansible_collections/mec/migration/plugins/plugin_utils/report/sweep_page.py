# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep, many settings evaluated, as JSON, CSV and one self-contained HTML page."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .report import GAP, page, without_times, write


def write_sweep(
    directory: str | Path,
    title: str,
    sweep: Mapping[str, Sequence[Any]],
    evaluated: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> dict[str, str]:
    """Write ``sweep.json``, ``.csv`` and ``.html``; returns their paths by kind.

    :param evaluated: settings and rows, one a combination; ``settings.varied`` has the values of *sweep*.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*sweep, *evaluated[0][1][0]])
    for settings, rows in evaluated:
        values = [settings["varied"][name] for name in sweep]
        writer.writerows([*values, *row.values()] for row in rows)
    done = [{"settings": settings, "strategies": without_times(rows)} for settings, rows in evaluated]
    return write(
        Path(directory),
        "sweep",
        {
            "json": json.dumps({"sweep": sweep, "settings": done}, indent=2) + "\n",
            "csv": table.getvalue(),
            "html": page(title, [f"<p>{GAP}</p>", _table(sweep, evaluated)]),
        },
    )


def _table(
    sweep: Mapping[str, Sequence[Any]],
    evaluated: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> str:
    """Gap closed, a setting a line and a strategy a column; the best of a line is bold."""
    # 0 % and 100 % say nothing.
    names = [
        row["strategy"]
        for place, row in enumerate(evaluated[0][1])
        if not all(rows[place]["gap_closed"] in (0.0, 1.0) for _settings, rows in evaluated)
    ]
    head = "".join(f"<th>{html.escape(word)}</th>" for word in [*sweep, *names])
    lines = []
    for settings, rows in evaluated:
        cells = [html.escape(json.dumps(settings["varied"][name])) for name in sweep]
        gap = {row["strategy"]: row["gap_closed"] for row in rows}
        best = max((gap[name] for name in names), default=0.0)
        for name in names:
            word = f"{gap[name]:.1%}"
            cells.append(f"<b>{word}</b>" if gap[name] == best else word)
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'
        "<p>On the left what is varied, then the gap that each strategy closes. All figures, with "
        "intervals and costs, are in the CSV file.</p>"
    )
