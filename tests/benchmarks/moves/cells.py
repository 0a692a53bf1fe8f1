"""What the benchmark of moves measures, and the arithmetic on what was measured."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

METHODS = {
    "this": "this collection",
    "this-compare": "this collection, tracker compare",
    "this-uffd": "this collection, tracker uffd",
    "this-postcopy": "this collection, post-copy when needed",
    "docker": "stop-and-copy: docker save / load, checkpoint, copy, start",
    "docker-rsync": "by hand: docker checkpoint twice, rsync of the difference",
    "podman": "podman checkpoint --export, copy, restore --import",
}
# What the target has of the image: nothing, all of it, all but one file of the top layer.
IMAGES = ("cold", "top", "warm")
PAGE_BYTES = 4096
ETHERNET_HEADER_BYTES = 14
MEASURES = ("total_s", "downtime_ms", "wire_bytes", "window_bytes", "peak_source_bytes", "peak_target_bytes")


@dataclass(frozen=True, order=True)
class Cell:
    """One combination that is measured several times, with each method."""

    memory_mib: int
    dirty_pages: int
    mbit: int
    image: str
    write_bytes: int = PAGE_BYTES

    def __str__(self) -> str:
        load = f"{self.memory_mib} MiB, {self.dirty_pages:,} dirty pages/s"
        if self.dirty_pages and self.write_bytes < PAGE_BYTES:
            load += f" by {self.write_bytes} bytes"
        return f"{load}, {self.mbit} Mbit/s, {self.image} image"


@dataclass(frozen=True)
class Sample:
    """What a host said of itself at a moment."""

    at: float
    sent: int
    memory: int


def parse_samples(text: str) -> list[Sample]:
    rows = (line.split() for line in text.splitlines())
    return [Sample(float(at), int(sent), int(memory)) for at, sent, memory in rows]


def sent_at(samples: Sequence[Sample], moment: float) -> float:
    """The interface's counter at that moment, between samples by a straight line."""
    for before, after in zip(samples, samples[1:]):
        if before.at <= moment <= after.at:
            share = (moment - before.at) / (after.at - before.at)
            return before.sent + share * (after.sent - before.sent)
    raise ValueError(f"nothing was sampled at {moment}")


def sent_between(samples: Sequence[Sample], start: float, end: float) -> int:
    return round(sent_at(samples, end) - sent_at(samples, start))


def counted(rows: Iterable[str], comment: str) -> int:
    """Bytes that `iptables -nvxL` shows for the rule with this comment, with the link's own headers."""
    (packets, sent) = next(row.split()[:2] for row in rows if f"/* {comment} */" in row)
    return int(sent) + int(packets) * ETHERNET_HEADER_BYTES


def peak_growth(samples: Sequence[Sample], start: float, end: float) -> int:
    """How much more memory was in use at the worst moment between the two than at the first."""
    looked = [sample for sample in samples if sample.memory]
    before = [sample.memory for sample in looked if sample.at <= start]
    return max(sample.memory for sample in looked if start <= sample.at <= end) - before[-1]


def gap_of_the_move(gaps: Iterable[dict[str, Any]]) -> tuple[float, float]:
    """Last answer of the old place and first one of the new; the longest, should it have gone to and fro."""
    moves = (gap for gap in gaps if gap["before"] != gap["after"])
    longest = max(moves, key=lambda gap: float(gap["ms"]))
    return float(longest["start"]), float(longest["end"])


def medians(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each cell and method: the median of each measure, its range, the number of runs."""
    groups: dict[tuple[Cell, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        groups[Cell(**run["cell"]), run["method"]].append(run)
    order = list(METHODS)
    rows = []
    for (cell, method), group in sorted(
        groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))
    ):
        row: dict[str, Any] = {**vars(cell), "method": method, "runs": len(group)}
        for measure in MEASURES:
            values = [run[measure] for run in group]
            row[measure] = statistics.median(values)
            row[f"{measure}_min"], row[f"{measure}_max"] = min(values), max(values)
        rows.append(row)
    return rows


def cell_of(row: dict[str, Any]) -> Cell:
    return Cell(row["memory_mib"], row["dirty_pages"], row["mbit"], row["image"], row["write_bytes"])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table for each cell; below each peer's figure how many times ours it is."""
    parts = []
    for cell in sorted({cell_of(row) for row in rows}):
        mine = [row for row in rows if cell_of(row) == cell]
        ours = next((row for row in mine if row["method"] == "this"), None)
        parts.append(f"**{cell}**\n")
        parts.append("| | total | downtime | on the wire | inside the downtime |")
        parts.append("|---|--:|--:|--:|--:|")
        parts.extend(f"| {METHODS[row['method']]} | {' | '.join(figures(row, ours))} |" for row in mine)
        parts.append("")
    return "\n".join(parts)


def figures(row: dict[str, Any], ours: dict[str, Any] | None) -> list[str]:
    shown = {
        "total_s": f"{row['total_s']:.1f} s",
        "downtime_ms": f"{row['downtime_ms'] / 1000:.2f} s",
        "wire_bytes": f"{row['wire_bytes'] / 1e6:.1f} MB",
        "window_bytes": f"{row['window_bytes'] / 1e6:.1f} MB",
    }
    if ours is None or ours is row:
        return list(shown.values())
    return [f"{text} ({row[key] / ours[key]:.1f}x)" for key, text in shown.items()]


def grid(rows: Sequence[dict[str, Any]]) -> str:
    """One line a cell: downtime and bytes of each method; the least of a line is bold."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    measures = (("downtime_ms", 1e3, 2), ("wire_bytes", 1e6, 1))
    parts = [
        f"| | {' | '.join(f'downtime, s: {name}' for name in methods)} "
        f"| {' | '.join(f'MB: {name}' for name in methods)} |",
        "|---" + "|--:" * len(methods) * len(measures) + "|",
    ]
    for cell in sorted({cell_of(row) for row in rows}):
        mine = {row["method"]: row for row in rows if cell_of(row) == cell}
        fields = [str(cell)]
        for key, divisor, digits in measures:
            least = min(row[key] for row in mine.values())
            for name in methods:
                text = f"{mine[name][key] / divisor:.{digits}f}" if name in mine else ""
                fields.append(f"**{text}**" if name in mine and mine[name][key] == least else text)
        parts.append(f"| {' | '.join(fields)} |")
    return "\n".join(parts) + "\n"


def worse_than_a_peer(rows: Sequence[dict[str, Any]], key: str) -> list[str]:
    """Cells in which ours is more than the least of the peers: a sentence each."""
    said = []
    for cell in sorted({cell_of(row) for row in rows}):
        mine = {row["method"]: row[key] for row in rows if cell_of(row) == cell}
        peers = {name: value for name, value in mine.items() if not name.startswith("this")}
        if "this" in mine and peers:
            best = min(peers, key=lambda name: float(peers[name]))
            if mine["this"] > peers[best]:
                said.append(f"{cell}: {key} {mine['this'] / peers[best]:.2f}x of {best}")
    return said
