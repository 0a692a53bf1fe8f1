# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: whose seconds are whose where services move at the same time, and whose clock it is."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.prediction.cost_store import record_of
from ansible_collections.mec.migration.plugins.plugin_utils.report.migration_report import (
    build,
    build_failed,
    lines,
)

PHASES = ["validate", "image", "arm", "pre-copy", "hand over", "verify", "commit"]
WINDOW = dict.fromkeys(("frozen_ms", "frozen_bytes", "memory_ms", "files_ms", "dump_ms", "images_ms"), 1.0)


def phases_by(ahead, **times):
    """As a source's agent notes them on its clock, which is *ahead* by so many seconds."""
    return [
        {"phase": name, "started": start + ahead, "ended": end + ahead}
        for name, (start, end) in times.items()
    ]


def facts(ahead=0.0, **changes):
    """Phases of ten seconds each, three of which were done after four."""
    copied = {"image": (110, 114), "arm": (120, 130), "pre-copy": (130, 134)}
    handed_over = {"hand over": (140, 144), "verify": (150, 160), "commit": (160, 170)}
    return {
        "service": "redis",
        "source": "edge-a",
        "target": "edge-b",
        "migration_id": "redis-1",
        "started": 100.0,
        "ended": 170.0,
        "image": {},
        "precopy": {
            "begun": 110.0,
            "ended": 134.0,
            "received": 110.0 + ahead,
            "answered": 134.0 + ahead,
            "phases": phases_by(ahead, **copied),
            "rounds": [],
            "memory_bytes": 1,
            "bandwidth_bytes_per_s": 1.0,
        },
        "handover": {
            "begun": 140.0,
            "ended": 170.0,
            "received": 140.0 + ahead,
            "answered": 170.0 + ahead,
            "phases": phases_by(ahead, **handed_over),
            "rounds": [],
            "sent_bytes": 0,
            "stop_reason": "little is left",
            "tracker": "compare",
            "tracker_reason": "",
            "window": {**WINDOW, "started": 142.0, "restore_wait_ms": 1.0},
        },
        **changes,
    }


def test_a_move_alone_waits_for_nobody():
    report = build(facts())
    assert report["total_seconds"] == 70
    assert report["waited_seconds"] == 0
    assert {phase["seconds"] for phase in report["phases"]} == {10.0}
    assert record_of(report, 1.0)["seconds"] == 70


def test_time_waited_for_other_moves_is_told_apart():
    report = build(facts(moves_at_once="3"))
    assert report["total_seconds"] == 70
    assert report["waited_seconds"] == 18
    assert [phase["seconds"] for phase in report["phases"]] == [10, 4, 10, 4, 4, 10, 10]
    assert "one of 3 at the same time, for which it waited 18.0 s" in lines(report)[0]
    record = record_of(report, 1.0)
    assert record["seconds"] == sum(record["phases"].values()) == pytest.approx(52)
    assert (record["moves_at_once"], record["waited_seconds"]) == (3, 18)


def copied(started, seconds):
    return {
        "started": started,
        "seconds": seconds,
        "sent_bytes": 1,
        "files_sent_bytes": 0,
        "dirty_pages_per_s": 0.0,
    }


def timed(ahead):
    """Rounds in the midst of pre-copy, a window in that of the hand-over, on a clock that is ahead."""
    given = facts(ahead)
    given["precopy"]["rounds"] = [copied(132.0 + ahead, 2.0), copied(134.0 + ahead, 1.0)]
    given["handover"]["window"].update(started=144.0 + ahead, frozen_ms=500.0)
    return given


def test_clocks_that_may_agree_are_not_corrected():
    report = build(timed(ahead=0.4))
    assert report["clock"] == {"source_ahead_s": 0, "least": -4.6, "most": 2.4}
    assert report["rounds"][0]["started"] == 132.4
    assert report["window"]["started"] == 144.4


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_what_the_source_timed_is_brought_to_our_clock(ahead):
    report = build(timed(ahead))
    within = {phase["phase"]: phase for phase in report["phases"]}
    for done in report["rounds"]:
        assert within["pre-copy"]["started"] <= done["started"]
        assert done["started"] + done["seconds"] <= within["pre-copy"]["ended"]
    frozen = report["window"]["started"]
    assert within["hand over"]["started"] <= frozen <= within["hand over"]["ended"] - 0.5
    assert frozen - report["rounds"][0]["started"] == pytest.approx(12)
    assert report["clock"]["least"] <= ahead <= report["clock"]["most"]


def test_a_failed_migration_tells_how_far_it_came():
    given = {**timed(0.0), "handover": {}, "ended": 136.5}
    report = build_failed({**given, "failed_task": "Copy memory"})
    assert [phase["phase"] for phase in report["phases"]] == PHASES[:4]
    assert report["phases"][-1]["seconds"] == 6.5
    assert len(report["rounds"]) == 2
    assert report["total_seconds"] == 36.5


def by_agents(ahead, **changes):
    """A move whose steps took the controller longer than the agent, whose clock is *ahead*."""
    copied = {"image": (111, 114), "arm": (114, 116), "pre-copy": (116, 130)}
    handed_over = {"hand over": (140.3, 146), "verify": (146, 147), "commit": (147, 148.8)}
    given = facts(ended=150.0)
    given["precopy"] |= {
        "begun": 110.0,
        "ended": 131.0,
        "received": 110.5 + ahead,
        "answered": 130.5 + ahead,
        "phases": phases_by(ahead, **copied),
    }
    given["handover"] |= {
        "begun": 140.0,
        "ended": 149.0,
        "received": 140.2 + ahead,
        "answered": 148.9 + ahead,
        "phases": phases_by(ahead, **handed_over),
    }
    given["handover"]["window"] |= {"started": 144.0 + ahead}
    return {**given, **changes}


@pytest.mark.parametrize("ahead", [0.0, 0.1, 500.0, -86400.0])
def test_what_the_agent_timed_is_told_by_our_clock(ahead):
    report = build(by_agents(ahead))
    assert [phase["phase"] for phase in report["phases"]] == PHASES
    assert (report["started"], report["ended"]) == (100.0, 150.0)
    for phase, start in zip(report["phases"], (100, 111, 114, 116, 140.3, 146, 147)):
        assert phase["started"] == pytest.approx(start, abs=0.5)
    assert report["total_seconds"] == 50


def test_a_phase_ends_when_the_agent_was_done_where_others_are_waited_for():
    report = build(by_agents(0.0, moves_at_once=2))
    seconds = {phase["phase"]: phase["seconds"] for phase in report["phases"]}
    assert seconds["pre-copy"] == 14
    # From its end to the begin of the hand-over, and what the plays took before and after.
    assert report["waited_seconds"] == pytest.approx(50 - sum(seconds.values()), abs=0.01)


def test_an_agent_that_failed_in_the_handover_leaves_what_it_did_before():
    given = by_agents(0.0, handover={"begun": 140.0, "ended": 149.0, "failed": True, "msg": "no"})
    report = build_failed({**given, "failed_task": "Freeze"})
    assert [phase["phase"] for phase in report["phases"]] == PHASES[:5]


def test_one_that_failed_before_it_copied_anything_has_only_been_validated():
    given = by_agents(0.0, precopy={}, handover={})
    report = build_failed({**given, "failed_task": "Have the target wait for the source"})
    assert [phase["phase"] for phase in report["phases"]] == ["validate"]
    assert report["rounds"] == []


def test_what_the_target_could_not_set_again_is_a_warning():
    given = by_agents(0.0)
    assert build(given)["not_put_back"] == []
    given["handover"]["target"] = {"not_put_back": ["processors of thread 3 (Invalid argument)"]}
    report = build(given)
    warnings = [line for line in lines(report) if line.startswith("warning")]
    assert len(warnings) == 1
    assert "processors of thread 3" in warnings[0]


def test_what_the_preflight_had_said_is_in_the_report():
    given = by_agents(0.0)
    assert build(given)["warnings"] == []
    said = "the clock of edge-b is 3.0 s behind that of edge-a"
    for preflight in ({"warnings": [said], "plan": {}}, {"warnings": []}, {}, None):
        report = build({**given, "preflight": preflight})
        assert report["warnings"] == ((preflight or {}).get("warnings") or [])
        told = [f"warning: {each}" for each in report["warnings"]]
        assert [line for line in lines(report) if said in line] == told
    failed = build_failed({**given, "preflight": {"warnings": [said]}, "failed_task": "Commit"})
    assert failed["warnings"] == [said]


def test_what_was_not_read_is_in_the_report():
    given = by_agents(0.0)
    given["handover"]["window"]["unread"] = ["datagrams at UDP port 7"]
    assert "warning: lost in the move: datagrams at UDP port 7" in lines(build(given))


def test_a_service_that_was_slowed_down_is_told():
    given = by_agents(0.0)
    assert build(given)["cpu_percent"] == 100
    assert not [line for line in lines(build(given)) if "slowed down" in line]
    given["precopy"]["cpu_percent"], given["handover"]["cpu_percent"] = 60.0, 21.6
    report = build(given)
    assert report["cpu_percent"] == 21.6
    assert [line for line in lines(report) if "slowed down until it was frozen, to 22 %" in line]
    given["handover"]["throttle_obstacle"] = "the service cannot be slowed down: no CPU controller"
    assert "warning: the service cannot be slowed down: no CPU controller" in lines(build(given))


@pytest.mark.parametrize(("late_bytes", "told"), [(0, 0), (700, 0), (5_000_000, 1)])
def test_what_came_late_is_told_where_it_is_something(late_bytes, told):
    given = facts()
    given["handover"]["target"] = {"late_sent_bytes": late_bytes}
    assert len([line for line in lines(build(given)) if "came while the service ran" in line]) == told


def test_a_service_that_ended_on_the_target_is_a_warning():
    given = by_agents(0.0)
    assert build(given)["how_it_ended"] == ""
    given["handover"]["target"] = {"how_it_ended": "it has ended (exit code 3), and stays so"}
    assert "warning: on the target it has ended (exit code 3), and stays so" in lines(build(given))
