# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: whose seconds are whose where services move at the same time."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.migration_costs import record_of
from ansible_collections.mec.migration.plugins.plugin_utils.migration_report import build, lines

PHASES = ("validate", "image", "arm", "pre-copy", "hand over", "verify", "commit", "end")
WINDOW = dict.fromkeys(("frozen_ms", "frozen_bytes", "memory_ms", "files_ms", "dump_ms", "images_ms"), 1.0)


def facts(**changes):
    """Phases of ten seconds each; the last task of three of them was done after four."""
    return {
        "service": "redis",
        "source": "edge-a",
        "target": "edge-b",
        "migration_id": "redis-1",
        "times": [{"phase": phase, "at": f"{100 + 10 * n}"} for n, phase in enumerate(PHASES)],
        "image": {"ended": "114.0"},
        "precopy": {
            "ended": 134.0,
            "rounds": [],
            "tracker_reason": "",
            "stop_reason": "",
            "memory_bytes": 1,
            "bandwidth_bytes_per_s": 1.0,
        },
        "handover": {
            "ended": 144.0,
            "rounds": [],
            "sent_bytes": 0,
            "tracker": "compare",
            "window": {**WINDOW, "restore_wait_ms": 1.0},
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
