# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a migration has, and what each says of it, from what all hosts were heard to say."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.resolve.plan import heard, resolutions, unread

ADDRESSES = {"edge-a": ["10.0.0.1"], "edge-b": ["10.0.0.2"], "edge-c": ["10.0.0.3"]}
SILENT = {"unreachable": True, "msg": "no route"}


def side(name, state, container, **more):
    return {
        "migration_id": "redis-1",
        "side": name,
        "service": "redis",
        "state": state,
        "container": container,
        "agent_alive": False,
        "lazy": True,
        "time": 1764358441.0,
        "engine_id": "",
        "address": "",
        "peer_engine_id": "engine-b" if name == "source" else "engine-a",
        "peer_address": "10.0.0.2" if name == "source" else "10.0.0.1",
        "container_id": "c-source" if name == "source" else "c-target",
        "peer_container_id": "c-target" if name == "source" else "c-source",
        "reason": "",
        **more,
    }


def host(letter, *sides, **containers):
    return {"engine_id": f"engine-{letter}", "sides": list(sides), "containers": containers}


def decide(looks, **words):
    (one,) = resolutions(heard(looks, ADDRESSES), "redis", **words)
    return one


def test_both_sides_are_found_and_the_forward_way_is_taken():
    one = decide(
        {
            "edge-a": host("a", side("source", "mark_sent", "frozen")),
            "edge-b": host("b", side("target", "filled", "running")),
        }
    )
    assert (one["verdict"], one["by_word"]) == ("forward", False)
    assert one["target"] == {
        "host": "edge-b",
        "answers": True,
        "action": "finish",
        "seen": "filled",
        "container_id": "c-target",
    }
    assert (one["source"]["host"], one["source"]["action"], one["source"]["seen"]) == (
        "edge-a",
        "end",
        "mark_sent",
    )


def test_hosts_that_have_nothing_to_do_with_it_change_nothing():
    looks = {
        "edge-a": host("a", side("source", "frozen", "frozen")),
        "edge-b": host("b", side("target", "armed", "created")),
    }
    alone = decide(looks)
    assert decide({**looks, "edge-c": SILENT}) == alone
    namesake = side("target", "kept", "running", migration_id="other-1", service="web")
    assert decide({**looks, "edge-c": host("c", namesake, x="running")}) == alone
    assert (alone["target"]["action"], alone["source"]["action"]) == ("destroy", "release")


def test_a_host_that_does_not_answer_is_found_by_its_address_and_named():
    one = decide(
        {"edge-a": host("a", side("source", "mark_sent", "frozen")), "edge-b": SILENT, "edge-c": SILENT}
    )
    assert (one["verdict"], one["word"], one["target"]["host"]) == ("ask", "resolve_host_gone", "edge-b")
    assert "resolve_host_gone=edge-b" in one["reason"]
    assert (one["target"]["action"], one["source"]["action"]) == ("nothing", "nothing")


def test_a_host_whose_address_says_nothing_is_told_by_its_engine():
    unknown = side("source", "mark_sent", "frozen", peer_address="")
    one = decide({"edge-a": host("a", unknown), "edge-c": SILENT})
    assert one["verdict"] == "ask"
    assert "engine-b (perhaps edge-c)" in one["reason"]
    assert one["reason"].endswith("resolve_host_gone=edge-c")


def test_of_a_host_that_nobody_knows_it_is_said_what_to_type():
    looks = {"edge-a": host("a", side("source", "mark_sent", "frozen", peer_address="192.0.2.7"))}
    nobody = decide(looks)["reason"]
    assert "the host 192.0.2.7 (none of those that were asked)" in nobody
    assert "resolve_host_gone=NAME, once the inventory has it" in nobody
    two = decide({**looks, "edge-c": SILENT, "edge-d": SILENT})["reason"]
    assert two.endswith("resolve_host_gone=edge-c or resolve_host_gone=edge-d")


def test_the_operator_says_that_a_host_is_gone():
    looks = {"edge-a": host("a", side("source", "mark_sent", "frozen")), "edge-b": SILENT}
    assert decide(looks, host_gone="edge-b")["word"] == "resolve_from_older_state"
    both = decide(looks, host_gone="edge-b", from_older_state=True)
    assert (both["source"]["action"], both["by_word"], both["target"]["answers"]) == ("release", True, False)


@pytest.mark.parametrize(("gone", "why"), [("edge-a", "it answers"), ("edge-z", "none of the hosts")])
def test_the_word_for_a_host_that_answers_or_is_unknown_is_refused(gone, why):
    looks = {"edge-a": host("a", side("source", "mark_sent", "frozen")), "edge-b": SILENT}
    with pytest.raises(DecisionError, match=why):
        resolutions(heard(looks, ADDRESSES), "redis", host_gone=gone)


def test_without_a_journal_the_container_is_looked_up_by_what_the_other_side_says():
    one = decide(
        {
            "edge-a": host("a", **{"c-source": "frozen"}),
            "edge-b": host("b", side("target", "filled", "running")),
        }
    )
    assert (one["source"]["action"], one["source"]["container_id"]) == ("end", "c-source")


def test_a_journal_that_cannot_be_read_proves_nothing():
    damaged = side("target", "damaged", "unknown", service="", container_id="", reason="x.json: not JSON")
    looks = {
        "edge-a": host("a", side("source", "mark_sent", "frozen")),
        "edge-b": host("b", damaged, **{"c-target": "running"}),
    }
    assert decide(looks)["word"] == "resolve_from_older_state"
    assert unread(heard(looks, ADDRESSES)) == []
    alone = heard({"edge-b": looks["edge-b"]}, ADDRESSES)
    assert resolutions(alone, "redis") == []
    assert unread(alone) == ["edge-b: x.json: not JSON"]


def test_a_copy_that_was_restored_whole_needs_no_filling():
    running = side("target", "running", "running", lazy=False)
    looks = {"edge-a": host("a", side("source", "mark_sent", "frozen")), "edge-b": host("b", running)}
    assert decide(looks)["target"]["action"] == "finish"
    running.update(lazy=True)
    assert decide(looks)["verdict"] == "ask"


def test_nothing_open_is_nothing_to_do():
    assert resolutions(heard({"edge-a": host("a"), "edge-b": SILENT}, ADDRESSES), "redis") == []
