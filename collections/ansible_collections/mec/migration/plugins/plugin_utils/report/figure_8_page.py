# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fig. 8 of Wang et al. as JSON, CSV and one self-contained HTML page."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .report import lines, page, write

# The city's summer time; the authors' figure has it on its axis, too.
CITY = timezone(timedelta(hours=-7))
# Averages over so many slots are drawn; every slot is in the files.
DRAWN_SLOTS = 10
WORDS = {
    "never": "never",
    "always": "always",
    "myopic": "myopic",
    "mdp_distance": "distance MDP, theirs",
    "offline_optimum": "offline optimum",
}


def write_figure_8(
    directory: str | Path, settings: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, str]:
    """Write ``figure_8.json``, ``.csv`` and ``.html``; returns their paths by kind."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["slot", "users", *found["cost"]])
    for slot, (users, *costs) in enumerate(zip(found["users"], *found["cost"].values(), strict=True)):
        writer.writerow([slot, users, *costs])
    return write(
        Path(directory),
        "figure_8",
        {
            "json": json.dumps({"settings": settings, **found}, indent=2) + "\n",
            "csv": table.getvalue(),
            "html": page("A day of taxis, costs depending on the load", _body(found)),
        },
    )


def _body(found: Mapping[str, Any]) -> list[str]:
    slots = len(found["users"])
    starts = range(0, slots - slots % DRAWN_SLOTS or slots, DRAWN_SLOTS)
    hour_slots = 3600 / found["slot_s"]
    x = [(start + DRAWN_SLOTS / 2) / hour_slots for start in starts]
    hours = [hour for hour in range(0, int(slots / hour_slots) + 1, 3) if x[0] <= hour <= x[-1]]
    if found["start_s"] is None:
        ticks, axis = {float(hour): str(hour) for hour in hours}, "hours since the first slot"
    else:
        begun = datetime.fromtimestamp(found["start_s"], CITY)
        ticks = {float(hour): f"{begun + timedelta(hours=hour):%H:%M}" for hour in hours}
        axis = f"time of day in San Francisco, from {begun:%Y-%m-%d}"

    def drawn(line: list[float]) -> list[float]:
        return [sum(part) / len(part) for part in (line[start : start + DRAWN_SLOTS] for start in starts)]

    series = {WORDS[name]: drawn(line) for name, line in found["cost"].items()}
    upright = f"cost of one user in one slot, mean of all users and of {DRAWN_SLOTS} slots"
    mean = found["mean"]
    rows = "".join(
        f"<tr><td>{html.escape(WORDS[name])}</td><td>{cost:.4f}</td><td>{found['moves_an_hour'][name]:.2f}</td>"
        f"<td>{1 - mean['mdp_distance'] / cost:.1%}</td></tr>"
        for name, cost in mean.items()
    )
    closed, best = found["gap_closed"]["mdp_distance"], found["best_simple"]
    return [
        "<p>After Wang et al., IEEE/ACM ToN 27(3), 2019, Fig. 8, with the settings of their published code. "
        f"The distance MDP closes {closed:.1%} of the gap between the best of the simple rules ({best}) "
        "and the offline optimum, which knows the whole day and never meets a full host.</p>",
        lines((upright, axis), x, series, None, ticks=ticks, width=1.5),
        lines(("users on duty", axis), x, {"users": drawn(found["users"])}, None, ticks=ticks, width=1.5),
        "<table><tr><th>rule</th><th>cost of a user in a slot, mean of the day</th><th>moves of a user in "
        f"an hour</th><th>saved by the distance MDP</th></tr>{rows}</table>",
    ]
