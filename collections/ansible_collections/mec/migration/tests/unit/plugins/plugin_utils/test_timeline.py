# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of runs: the verdict, the map, the costs; and the timeline made of them: who was where and when."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
from ansible_collections.mec.migration.plugins.plugin_utils.report.run_report import (
    RunError,
    complete,
    moment,
    of_migration,
)
from ansible_collections.mec.migration.plugins.plugin_utils.report.timeline import Span, ticks, timeline
from ansible_collections.mec.migration.plugins.plugin_utils.report.timeline_page import page
from hypothesis import given
from hypothesis import strategies as st
from row_of_cells import HOSTS, POLICY

PHASES = ("validate", "image", "arm", "pre-copy", "hand over", "verify", "commit")
WINDOW = {
    "frozen_ms": 500.0,
    "frozen_bytes": 10,
    "freeze_ms": 1.0,
    "memory_ms": 100.0,
    "files_ms": 20.0,
    "dump_ms": 150.0,
    "images_ms": 30.0,
    "restore_wait_ms": 200.0,
    "pages_changed": 3,
}


def report(source, target, at, **changes):
    """A move of seven seconds, a phase a second; frozen from 4.2 to 4.7."""
    phases = [
        {"phase": name, "started": at + n, "ended": at + n + 1, "seconds": 1.0, "bytes": 0}
        for n, name in enumerate(PHASES)
    ]
    copied = {"pages_changed": 5, "sent_bytes": 100, "files_sent_bytes": 10, "residual_bytes": 0}
    return {
        "format": 2,
        "migration_id": "redis-1",
        "service": "redis",
        "source": source,
        "target": target,
        "started": at,
        "ended": at + 7,
        "clock": {"source_ahead_s": 0.0, "least": 0.0, "most": 0.0},
        "phases": phases,
        "rounds": [
            {"number": 1, "started": at + 3.1, "seconds": 0.5, **copied},
            {"number": 1, "started": at + 4.0, "seconds": 0.1, **copied},
        ],
        "window": {"started": at + 4.2, **WINDOW},
        "frozen_ms": 500.0,
        "frozen_bytes": 10,
        "total_bytes": 500,
        "total_seconds": 7.0,
        "memory_bytes": 1000,
        "stop_reason": "enough",
        "downtime_client_ms": None,
        "lost_writes": None,
        **changes,
    }


def failed_report(source, target, at):
    whole = report(source, target, at)
    kept = ("format", "migration_id", "service", "source", "target", "started", "clock")
    return {
        **{key: whole[key] for key in kept},
        "failed_task": "Copy memory",
        "ended": at + 3.8,
        "phases": [*whole["phases"][:3], {**whole["phases"][3], "ended": at + 3.8, "seconds": 0.8}],
        "rounds": whole["rounds"][:1],
        "total_seconds": 3.8,
    }


def one_round(number, at, here, cell, *, target=None, outcome="moved", **changes):
    """A round of ten seconds of one service whose user is in *cell*."""
    entry = {
        "service": "redis",
        "user": "anna",
        "action": "move" if target else "stay",
        "reason": "because",
        "current_host": here,
        "decision": {"user_cell": cell},
        "move_seconds": {"a": {"b": 4.0}, "b": {"a": 4.0}},
    }
    move = {"service": "redis", "source": here, "target": target, "reason": "because", "outcome": outcome}
    if outcome == "moved" and target:
        move["report"] = report(here, target, at + 1)
    if outcome == "failed" and target:
        move |= {"why": "it broke", "report": failed_report(here, target, at + 1)}
    if outcome == "skipped":
        move["why"] = "another-run has its lock"
    return {
        "round": number,
        "started": at,
        "ended": at + 9.5,
        "positions": {"format": 1, "users": {"anna": {"cell": cell}}},
        "services": [{**entry, **changes}],
        "moves": [{**move, "started": at + 0.5, "ended": at + 8.5}] if target else [],
    }


def run(*rounds, **changes):
    ended = rounds[-1]["ended"] if rounds else 100.0
    made = {"run": "test-1", "started": 100.0, "ended": ended, "policy": "test", "leave": [], "check": False}
    return {**made, "rounds": list(rounds), **changes}


def record(*rounds, policy=POLICY, **changes):
    return complete(run(*rounds, **changes), policy, HOSTS)


def test_a_run_that_went_well():
    made = record(one_round(1, 100.0, "a", "2", target="b"), one_round(2, 110.0, "b", "2"))
    assert (made["format"], made["notes"]) == (2, [])
    assert made["verdict"]["state"] == "well"
    assert made["verdict"]["sentence"] == "All went well"
    assert (made["verdict"]["moves"], made["verdict"]["longest_frozen_ms"]) == (1, 500.0)
    assert made["map"]["users"] == {"anna": [[1000.0, 0.0], [1000.0, 0.0]]}
    costs = {row["strategy"]: row["so_far"] for row in made["costs"]}
    assert costs == {
        "this run": [0.4, 0.4],
        "never": [0.75, 1.5],
        "always, nearest": [0.4, 0.4],
        "offline optimum": [0.4, 0.4],
    }
    assert all("move_seconds" not in entry for one in made["rounds"] for entry in one["services"])


@pytest.mark.parametrize(
    ("rounds", "state", "sentence"),
    [
        ([one_round(1, 100.0, "a", "0")], "well", "All went well: nothing had to move"),
        ([one_round(1, 100.0, "a", "2", target="b", outcome="failed")], "failed", "The move failed"),
        (
            [one_round(1, 100.0, "a", "2", target="b", outcome="skipped")],
            "attention",
            "Nothing failed, but 1 move left to others",
        ),
        (
            [one_round(1, 100.0, "a", "2", action="skip")],
            "attention",
            "Nothing failed, but no decision for redis",
        ),
        ([], "well", "All went well: nothing had to move"),
    ],
)
def test_the_verdict(rounds, state, sentence):
    told = record(*rounds)["verdict"]
    assert (told["state"], told["sentence"]) == (state, sentence)


def test_lost_writes_are_a_failure_though_all_moved():
    made = record(one_round(1, 100.0, "a", "2", target="b"))
    moved = copy.deepcopy(made["rounds"][0]["moves"][0]["report"])
    moved |= {"downtime_client_ms": 600.0, "lost_writes": 2, "wrong_answers": 1}
    told = complete(of_migration(moved), None, [])["verdict"]
    assert (told["state"], told["sentence"]) == ("failed", "Clients lost or misread 3 writes")
    assert told["longest_client_gap_ms"] == 600.0


def test_a_plan_touched_nothing():
    planned = {**one_round(1, 100.0, "a", "2", target="b"), "moves": []}
    told = record(planned, check=True)["verdict"]
    assert (told["state"], told["planned"], told["moves"]) == ("planned", 1, 0)


def test_moments_may_be_text():
    assert moment("1970-01-01T00:01:40.5Z") == moment("1970-01-01T00:01:40.500000") == moment(100.5) == 100.5
    with pytest.raises(RunError, match="soon"):
        moment("soon")


def test_a_map_that_cannot_be_drawn_does_not_hide_what_was_done():
    made = complete(run(one_round(1, 100.0, "a", "2", target="b")), POLICY, [Host("a", "0"), Host("b", "9")])
    assert made["map"] is None
    assert made["costs"] is None
    assert any("mec_cell is '9'" in note for note in made["notes"])
    assert made["verdict"]["state"] == "well"
    assert "mec_cell is &#x27;9&#x27;" in page(made)


def test_what_is_no_record_is_refused_by_the_name_of_its_key():
    wrong = one_round(1, 100.0, "a", "2", target="b")
    del wrong["moves"][0]["report"]["window"]["frozen_ms"]
    with pytest.raises(RunError, match=r"rounds\.0\.moves\.0\.report\.window"):
        complete(run(wrong), POLICY, HOSTS)


def test_stays_end_with_the_freeze_and_begin_with_its_end():
    model = timeline(record(one_round(1, 100.0, "a", "2", target="b"), one_round(2, 110.0, "b", "2")))
    (first, second), (move,) = model.stays, model.moves
    assert (first.host, first.started, first.ended) == ("a", 100.0, pytest.approx(105.2))
    assert (second.host, second.started, second.ended) == ("b", pytest.approx(105.7), 119.5)
    assert first.departure is move
    assert second.arrival is move
    assert [one.late for one in move.copies] == [False, True]
    assert [lane.host for lane in model.lanes] == ["a", "b"]
    (piece,) = model.lanes[1].bars
    assert piece.shown.started == pytest.approx(102.0), "the target is made ready from the image on"


def test_a_service_stays_where_a_move_failed():
    model = timeline(record(one_round(1, 100.0, "a", "2", target="b", outcome="failed")))
    (stay,), (move,) = model.stays, model.moves
    assert (stay.host, stay.ended) == ("a", 109.5)
    assert move.window is None
    assert move.freeze == pytest.approx(104.6), "there is no freeze; strips count from the last copy"
    (piece,) = model.lanes[1].bars
    assert piece.attempt is move
    assert piece.shown.ended == 109.0 - 0.5


def test_a_service_that_others_moved_is_seen_elsewhere():
    model = timeline(record(one_round(1, 100.0, "a", "0"), one_round(2, 110.0, "b", "0")))
    assert [(stay.host, stay.started, stay.ended) for stay in model.stays] == [
        ("a", 100.0, 110.0),
        ("b", 110.0, 119.5),
    ]
    assert model.stays[0].departure is None


def test_a_move_that_was_left_out_changes_nothing():
    model = timeline(record(one_round(1, 100.0, "a", "2", target="b", outcome="skipped")))
    assert len(model.stays) == 1
    assert model.lanes[1].bars == []


def test_parts_of_the_window_lie_in_it():
    (move,) = timeline(record(one_round(1, 100.0, "a", "2", target="b"))).moves
    parts = {part.name: (part.from_ms, part.to_ms) for part in move.parts}
    assert parts["dump"] == (1.0, 151.0)
    assert parts["pages"] == (1.0, 101.0)
    assert parts["restore"] == (300.0, 500.0)
    assert parts["images"] == (270.0, 300.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([None, "moved", "failed"])), min_size=1, max_size=8
    )
)
def test_bars_of_a_row_never_overlap(path):
    rounds, here = [], "a"
    for number, (seen, outcome) in enumerate(path, start=1):
        here = here if outcome else seen
        other = "b" if here == "a" else "a"
        at = 100.0 + 10 * (number - 1)
        rounds.append(
            one_round(number, at, here, "1", target=other if outcome else None, outcome=outcome or "moved")
        )
        here = other if outcome == "moved" else here
    model = timeline(record(*rounds))
    for lane in model.lanes:
        for row in range(lane.rows):
            bars = sorted(
                (piece.shown for piece in lane.bars if piece.row == row), key=lambda span: span.started
            )
            assert all(one.ended <= other.started for one, other in zip(bars, bars[1:], strict=False))
    # At each moment the service is on one host, or frozen between two.
    spans = sorted(model.stays, key=lambda stay: stay.started)
    assert all(one.ended <= other.started for one, other in zip(spans, spans[1:], strict=False))
    shown = sum(stay.seconds for stay in spans)
    frozen = sum(move.window.seconds for move in model.moves if move.window)
    assert shown + frozen == pytest.approx(model.span.seconds)


@given(st.floats(0.001, 1e7))
def test_ticks_are_few_and_within(span_s):
    marks = ticks(span_s, 6)
    assert 1 <= len(marks) <= 7
    assert marks[0] == 0
    assert marks[-1] <= span_s * (1 + 1e-6)


def test_a_span_of_nothing_has_one_tick():
    assert ticks(0.0, 6) == [0.0]
    assert Span(1.0, 1.0).seconds == 0


def test_names_are_escaped_everywhere():
    nasty = "<script>alert('x')</script>"
    made = record(
        one_round(1, 100.0, "a", "2", target="b", user=nasty, reason=nasty),
        run=nasty,
        leave=[nasty],
    )
    made["policy"] = nasty
    made["rounds"][0]["positions"]["users"] = {nasty: {"cell": nasty}}
    made["map"]["users"] = {nasty: [[0.0, 0.0]]}
    for one in (made["rounds"][0]["services"][0], made["rounds"][0]["moves"][0]):
        one["service"] = nasty
    made["rounds"][0]["moves"][0]["report"]["service"] = nasty
    made["map"]["hosts"][0]["name"] = made["hosts"][0]["name"] = nasty
    made["notes"] = [nasty]
    text = page(made, nasty)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
