# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as one HTML page that needs nothing else: no script, no file beside it, light and dark, any width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any

from . import timeline_planes as planes
from . import timeline_strips as strips
from .timeline import Move, Timeline, timeline
from .timeline_strips import duration, escape, megabytes

STYLE_FILE = Path(__file__).with_name("timeline.css")
# Nothing may be loaded and nothing may run, whatever a name says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
SIGNS = {
    "well": "M4 13l5 5L20 6",
    "failed": "M5 5l14 14M19 5L5 19",
    "attention": "M12 4v11M12 19v1.5",
    "planned": "M5 12h13M13 6l6 6-6 6",
}
# So many moves are magnified without being asked for.
SEEN_AT_ONCE = 12
OUTCOMES = {"moved": "moved", "failed": "failed", "skipped": "left out"}


def page(record: Mapping[str, Any], json_name: str = "") -> str:
    """The page of a record that follows ``run_report.schema.json``.

    :param json_name: name of the file beside the page that holds the record, for a link.
    """
    model = timeline(record)
    moves = [move for move in model.moves if move.copies or move.window is not None]
    body = [
        _verdict(model),
        "<main>",
        _tiles(model),
        _lanes(model),
        _pair(model),
        _magnified(moves) if moves else "",
        _moves(model),
        _decisions(record),
        _foot(moves, json_name),
        "</main>",
    ]
    title = f"{record['verdict']['sentence']}: run {record['run']}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE_FILE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _verdict(model: Timeline) -> str:
    told = model.record["verdict"]
    parts = [
        _count(told["moves"], "move") + f", {told['failed']} failed",
        *([f"{told['skipped']} left out"] if told["skipped"] else []),
        *(
            [f"longest frozen window {told['longest_frozen_ms']:.0f} ms"]
            if told["longest_frozen_ms"] is not None
            else []
        ),
        _count(told["services"], "service"),
        _count(told["rounds"], "round"),
        duration(told["seconds"]),
    ]
    causes = "".join(
        f"<p>{escape(move.service)}, {escape(move.source)} to {escape(move.target)}: {escape(move.why)}</p>"
        for move in model.moves
        if move.outcome == "failed"
    )
    record = model.record
    what = f"Run {record['run']}, {_clock(record['started'])} UTC" + (
        f", policy {PurePath(record['policy']).stem}" if record["policy"] else ""
    )
    leave = f", emptying {', '.join(record['leave'])}" if record["leave"] else ""
    return (
        f'<header class="{told["state"]}"><h1><svg viewBox="0 0 24 24" aria-hidden="true"><path fill="none" '
        f'stroke="#fff" stroke-width="3.4" stroke-linecap="round" d="{SIGNS[told["state"]]}"/></svg>'
        f"{escape(told['sentence'])}</h1><p>{escape(', '.join(parts))}</p>{causes}"
        f'<p class="what">{escape(what + leave)}</p></header>'
    )


def _tiles(model: Timeline) -> str:
    told = model.record["verdict"]
    tiles = [
        (f"{told['moved']} of {told['moves']}", "moves succeeded"),
        (_ms(told["longest_frozen_ms"]), "longest frozen window"),
    ]
    if told["longest_client_gap_ms"] is not None:
        tiles.append((_ms(told["longest_client_gap_ms"]), "longest gap that a client saw"))
        tiles.append((str(told["lost_writes"]), "writes lost"))
    tiles.append((megabytes(told["total_bytes"]), "sent between hosts"))
    tiles += _saved(model.record)
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(what)}</span></li>" for value, what in tiles)
    return f'<ul class="tiles">{items}</ul>'


def _saved(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """This run's cost beside those of never and always."""
    last = {row["strategy"]: row["cost"] for row in record["costs"] or []}
    if not last:
        return []
    ours = last["this run"]
    found = [(f"{ours:.2f}", "cost so far")]
    for name in ("never", "always, nearest"):
        if last[name] > 0:
            share = round(100 * (ours / last[name] - 1))
            sign = "+" if share > 0 else "\N{MINUS SIGN}" if share < 0 else ""
            found.append((f"{sign}{abs(share)} %", f"against {name} ({last[name]:.2f})"))
    return found


def _lanes(model: Timeline) -> str:
    key = [("--image", "image layers"), ("--copy", "pre-copy rounds"), ("--frozen", "frozen")]
    return _section(
        "Where services ran",
        "Each lane is a host, each bar a service. Along the bar's lower edge: what was sent while it ran. "
        "Dashed: the target is made ready. The frozen window is drawn at least one line wide here, and "
        "magnified below.",
        _key(key) + strips.lanes(model),
    )


def _pair(model: Timeline) -> str:
    record = model.record
    parts = []
    if record["map"] is not None:
        parts.append(
            _section(
                "Map",
                "Squares are hosts, the areas around them cells. A line is the way of a user, coloured as "
                "its service: ring at the start, dot at the end. Dashed arrows count moves.",
                planes.city(model) + _ways(model),
            )
        )
    if record["costs"]:
        parts.append(
            _section(
                "Cost so far",
                "In the policy's units, summed over services, each round one slot. Never: all stay where "
                "they were. Always: each goes to the host nearest to its user. Both from the same start.",
                planes.costs(record) + _cost_table(record),
            )
        )
    notes = "".join(f'<p class="quiet">{escape(note)}</p>' for note in record["notes"])
    return f'<div class="pair">{"".join(parts)}</div>{notes}' if parts or notes else ""


def _ways(model: Timeline) -> str:
    rows = []
    for one in model.record["rounds"]:
        for user, position in sorted(one["positions"]["users"].items()):
            where = (
                f"cell {position['cell']}"
                if "cell" in position
                else f"{float(position['latitude']):.4f}, {float(position['longitude']):.4f}"
            )
            rows.append([str(one["round"]), user, where])
    return _details("Positions by round", _table(["round", "user", "position"], rows))


def _cost_table(record: Mapping[str, Any]) -> str:
    rows = [
        [
            row["strategy"],
            f"{row['cost']:.3f}",
            f"{row['migration']:.3f}",
            f"{row['transmission']:.3f}",
            str(row["moves"]),
        ]
        for row in record["costs"]
    ]
    table = _table(["strategy", "cost", "migration", "transmission", "moves"], rows, numbers=(1, 2, 3, 4))
    return _details("Figures", table)


def _magnified(moves: Sequence[Move]) -> str:
    before, after = strips.strip_span(moves)
    longest_ms = max((move.report["frozen_ms"] for move in moves if move.window is not None), default=0.0)
    key = [
        ("--copy", "pre-copy rounds, the last ones right before the freeze"),
        ("--frozen", "frozen"),
        ("--muted", "freeze"),
        ("--copy", "last pages"),
        ("--copy-alt", "last files"),
        ("--planned", "CRIU's dump, beside them"),
        ("--image", "images"),
        ("--restore", "restore on the target"),
    ]
    drawn = [_one(index, move, before, after, longest_ms) for index, move in enumerate(moves)]
    open_ones = _most_telling(moves)
    rows = "".join(drawn[index] for index in open_ones)
    others = [one for index, one in enumerate(drawn) if index not in open_ones]
    if others:
        told = f"{_count(len(others), 'more move')}, frozen for a shorter time"
        rows += f"<details><summary>{told}</summary>{''.join(others)}</details>"
    return _section(
        "Each move, magnified",
        "To scale, the same scale for all. Left: seconds before and after the freeze. Right: inside the "
        "frozen window.",
        _key(key) + rows,
    )


def _most_telling(moves: Sequence[Move]) -> list[int]:
    """Which moves are seen at once, in their order: those that failed, and those frozen longest."""

    def rank(index: int) -> float:
        window = moves[index].window
        return -window.seconds if window is not None else float("-inf")

    return sorted(sorted(range(len(moves)), key=rank)[:SEEN_AT_ONCE])


def _one(index: int, move: Move, before: float, after: float, longest_ms: float) -> str:
    report = move.report
    lines = [
        f"<h3>{escape(move.service)}</h3>",
        f"<p>{escape(move.source)} to {escape(move.target)}, {_clock(move.started)[11:]}</p>",
    ]
    sent = megabytes(sum(one.sent_bytes for one in move.copies))
    pages = sum(one.pages for one in move.copies)
    copied = f"{_count(len(move.copies), 'copy round')}, {pages:,} pages, {sent}"
    drawn = [f"<div><p>rounds and window</p>{strips.strip(f'strip-{index}', move, before, after)}</div>"]
    if move.window is not None:
        lines.append(
            f'<p class="figure"><b>{report["frozen_ms"]:.0f} ms</b> frozen, '
            f"{report['frozen_bytes'] / 1e6:.2f} MB inside</p>"
        )
        lines.append(f"<p>{copied}; {duration(report['total_seconds'])} in all</p>")
        if report["downtime_client_ms"] is not None:
            lines.append(
                f"<p>a client saw a gap of {report['downtime_client_ms']:.0f} ms and lost "
                f"{_count(report['lost_writes'] or 0, 'write')}</p>"
            )
        drawn.append(
            f"<div><p>inside the window</p>{strips.detail(f'window-{index}', move, longest_ms)}</div>"
        )
    else:
        lines.append(f'<p class="bad">failed: {escape(report["failed_task"])}</p><p>{copied}</p>')
    rounds = [
        [
            str(one.number) + (" (hand-over)" if one.late else ""),
            f"{one.seconds:.2f}",
            f"{one.pages:,}",
            f"{one.sent_bytes / 1e6:.2f}",
            f"{one.left_bytes / 1e6:.2f}",
        ]
        for one in move.copies
    ]
    phases = [
        [one["phase"], f"{one['seconds']:.2f}", f"{one['bytes'] / 1e6:.2f}"] for one in report["phases"]
    ]
    tables = _table(["round", "seconds", "pages", "MB sent", "MB left"], rounds, numbers=(1, 2, 3, 4))
    tables += _table(["phase", "seconds", "MB"], phases, numbers=(1, 2))
    return (
        f'<div class="move"><div>{"".join(lines)}</div><div><div class="strips">{"".join(drawn)}</div>'
        f"{_details('Figures', tables)}</div></div>"
    )


def _moves(model: Timeline) -> str:
    rows = []
    for move in model.moves:
        report = move.report
        frozen = _ms(report["frozen_ms"]) if move.outcome == "moved" else ""
        foreseen = move.prediction
        if foreseen and frozen:
            frozen += f" ({foreseen['frozen_ms']:.0f})"
        took = duration(move.report.get("total_seconds", move.seconds)) if move.outcome != "skipped" else ""
        if foreseen and took:
            took += f" ({foreseen['seconds']:.0f})"
        said = escape(move.reason)
        if move.why:
            said = f'<span class="{_tone(move.outcome)}">{escape(move.why)}</span><br>{said}'
        cells = [
            ("round", "n", str(move.round)),
            ("at", "t", _clock(move.started)[11:]),
            ("service", "", escape(move.service)),
            ("from, to", "t", f"{escape(move.source)} to {escape(move.target)}"),
            ("outcome", "", f'<b class="{_tone(move.outcome)}">{OUTCOMES[move.outcome]}</b>'),
            ("took (foreseen s)", "n", took),
            ("frozen (foreseen)", "n", frozen),
            ("sent", "n", megabytes(report["total_bytes"]) if move.outcome == "moved" else ""),
            ("why", "said", said),
        ]
        rows.append(cells)
    if not rows:
        return _section("Moves", "", "<p>There were none.</p>")
    head = "".join(f'<th class="{kind}">{label}</th>' for label, kind, _text in rows[0])
    lines = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}" data-label="{label}">{text}</td>' for label, kind, text in cells)
        + "</tr>"
        for cells in rows
    )
    return _section(
        "Moves",
        "",
        '<div class="scroll"><table class="moves">'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>",
    )


def _tone(outcome: str) -> str:
    return "bad" if outcome == "failed" else outcome


def _decisions(record: Mapping[str, Any]) -> str:
    rows = [
        [str(one["round"]), entry["service"], entry["user"], entry["action"], entry["reason"]]
        for one in record["rounds"]
        for entry in one["services"]
    ]
    table = _table(["round", "service", "user", "decided", "reason"], rows)
    return (
        f"<section><h2>Decisions</h2>{_details(_count(len(rows), 'decision') + ' and why', table)}</section>"
    )


def _foot(moves: Sequence[Move], json_name: str) -> str:
    ahead = [abs(move.report["clock"]["source_ahead_s"]) for move in moves]
    unsure = [move.report["clock"]["most"] - move.report["clock"]["least"] for move in moves]
    told = "Times are the controller's. "
    if ahead:
        told += (
            "Rounds and windows were timed on their hosts and set in between; hosts' clocks differed from it "
            f"by at least {max(ahead):.1f} s, known to {max(unsure):.1f} s. "
            if max(ahead) > 0
            else "Rounds and windows were timed on their hosts, whose clocks agree with it as far as can be "
            f"seen (known to {max(unsure):.1f} s). "
        )
    link = f'The record: <a href="{escape(json_name)}">{escape(json_name)}</a>' if json_name else ""
    return f"<footer>{told}{link}</footer>"


def _section(title: str, text: str, content: str) -> str:
    told = f'<p class="quiet">{text}</p>' if text else ""
    return f"<section><h2>{title}</h2>{told}{content}</section>"


def _key(entries: Iterable[tuple[str, str]]) -> str:
    items = "".join(f'<li><i style="background:var({name})"></i>{text}</li>' for name, text in entries)
    return f'<ul class="key">{items}</ul>'


def _details(summary: str, content: str) -> str:
    return f'<details><summary>{summary}</summary><div class="scroll">{content}</div></details>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def kind(index: int) -> str:
        return ' class="n"' if index in numbers else ""

    titles = "".join(f"<th{kind(index)}>{escape(label)}</th>" for index, label in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td{kind(index)}>{escape(cell)}</td>" for index, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f} ms"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
