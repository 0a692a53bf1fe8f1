# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may run, over all combinations of what both hosts of a migration can say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.resolve.decision import (
    HOST_GONE,
    OLDER_STATE,
    Decision,
    OnSource,
    OnTarget,
    Verdict,
    decide,
)
from ansible_collections.mec.migration.plugins.plugin_utils.resolve.says import (
    Container,
    Reach,
    SourceSays,
    SourceState,
    TargetSays,
    TargetState,
)

RUNNING, FROZEN, EXITED, ABSENT = Container.RUNNING, Container.FROZEN, Container.EXITED, Container.ABSENT
CREATED = Container.CREATED
SOURCES = [
    SourceSays("edge-a", *fields, time_s=1764358441.0)
    for fields in itertools.product(Reach, SourceState, Container, (True, False))
]
TARGETS = [
    TargetSays("edge-b", *fields)
    for fields in itertools.product(Reach, TargetState, Container, (True, False))
]
MARKED = (SourceState.MARK_SENT, SourceState.HANDED_OVER, SourceState.MISSING, SourceState.DAMAGED)
# Of a target in these, nobody can say that no client was ever served.
MAY_HAVE_RUN = (
    TargetState.MISSING,
    TargetState.DAMAGED,
    TargetState.RESTORING,
    TargetState.RUNNING,
    TargetState.FILLED,
    TargetState.KEPT,
)


def combinations() -> Iterator[tuple[SourceSays, TargetSays, bool, Decision]]:
    for source, target, word in itertools.product(SOURCES, TARGETS, (False, True)):
        yield source, target, word, decide(source, target, from_older_state=word)


def ask(
    state: SourceState, container: Container, target: TargetState, there: Container, **more: bool
) -> Decision:
    return decide(
        SourceSays("edge-a", Reach.ANSWERS, state, container, more.get("source_agent", False), 1764358441.0),
        TargetSays("edge-b", Reach.ANSWERS, target, there, more.get("target_agent", False), 1764358442.0),
        from_older_state=more.get("word", False),
    )


def after(source: SourceSays, target: TargetSays, decision: Decision) -> tuple[Container, Container]:
    """The two containers when the decision has been carried out."""
    here, there = source.container, target.container
    if decision.target is OnTarget.DESTROY:
        there = ABSENT
    if decision.target is OnTarget.START:
        there = RUNNING
    if decision.source is OnSource.END:
        here = ABSENT
    started = (FROZEN, EXITED, CREATED) if source.state is not SourceState.OPEN else (FROZEN,)
    if decision.source is OnSource.RELEASE and here in started:
        here = RUNNING
    return here, there


def test_no_combination_ends_with_two_copies_that_can_run():
    for source, target, word, decision in combinations():
        here, there = after(source, target, decision)
        gone = Reach.GONE in (source.reach, target.reach)
        if not gone and not (source.container is RUNNING and target.container.alive):
            assert not (here is RUNNING and there.alive), (source, target, word, decision)


def test_the_source_runs_again_only_where_the_target_has_no_copy():
    for source, target, word, decision in combinations():
        if decision.source is not OnSource.RELEASE or source.container is RUNNING:
            continue
        case = (source, target, word, decision)
        assert not (source.agent_alive and source.state in (SourceState.OPEN, SourceState.FROZEN)), case
        if target.reach is Reach.GONE:
            continue
        nothing_there = target.state in (TargetState.DESTROYED, TargetState.MISSING, TargetState.KEPT)
        assert decision.target is OnTarget.DESTROY or (nothing_there and target.container is ABSENT), case


def test_what_clients_may_have_written_is_undone_only_by_the_operators_word():
    for source, target, word, decision in combinations():
        if decision.source is OnSource.RELEASE and source.container is not RUNNING and source.state in MARKED:
            may_have_run = (
                source.state is SourceState.HANDED_OVER
                or target.reach is Reach.GONE
                or target.state in MAY_HAVE_RUN
                or target.container.alive
            )
            assert word or not may_have_run, (source, target, word, decision)


def test_only_a_complete_copy_lets_the_source_be_ended():
    for source, target, word, decision in combinations():
        if decision.source is OnSource.END:
            complete = target.state in (TargetState.FILLED, TargetState.KEPT)
            will_be = target.state is TargetState.RUNNING and target.agent_alive
            assert complete or (will_be and decision.target is OnTarget.FINISH), (
                source,
                target,
                word,
                decision,
            )
            runs = after(source, target, decision)[1].alive
            assert runs or target.state is TargetState.KEPT, (source, target, word, decision)


def test_a_copy_that_may_be_the_newest_is_destroyed_only_by_word_and_never_if_it_is_the_only_one():
    for source, target, word, decision in combinations():
        if decision.target is not OnTarget.DESTROY:
            continue
        case = (source, target, word, decision)
        if target.container.alive:
            assert word, case
            assert after(source, target, decision)[0] is RUNNING, case
        elif target.state in (TargetState.FILLED, TargetState.KEPT) and target.container in (EXITED, CREATED):
            assert word or source.container is RUNNING, case


def test_nothing_is_done_unless_both_hosts_answer_or_are_gone_by_the_operators_word():
    for source, target, _word, decision in combinations():
        silent = Reach.UNREACHABLE in (source.reach, target.reach)
        docker_silent = any(
            side.reach is Reach.ANSWERS and side.container is Container.UNKNOWN for side in (source, target)
        )
        if silent or docker_silent:
            assert (decision.target, decision.source) == (OnTarget.NOTHING, OnSource.NOTHING)
            assert decision.verdict in (Verdict.ASK, Verdict.BY_HAND)
        if decision.word == HOST_GONE:
            assert silent


def test_nothing_is_done_on_a_host_that_does_not_answer():
    for source, target, word, decision in combinations():
        case = (source, target, word, decision)
        assert source.reach is Reach.ANSWERS or decision.source is OnSource.NOTHING, case
        assert target.reach is Reach.ANSWERS or decision.target is OnTarget.NOTHING, case


def test_who_must_decide_is_told_what_and_every_word_leads_on():
    for source, target, word, decision in combinations():
        case = (source, target, word, decision)
        acts = (decision.target, decision.source) != (OnTarget.NOTHING, OnSource.NOTHING)
        assert acts == (decision.verdict in (Verdict.FORWARD, Verdict.BACK)) or (
            decision.verdict is Verdict.BACK and Reach.GONE in (source.reach, target.reach)
        ), case
        assert (decision.verdict is Verdict.ASK) == bool(decision.word), case
        if decision.word:
            assert decision.word in decision.reason, case
        if decision.word == OLDER_STATE:
            assert not word, case
            assert "would be lost" in decision.reason, case
            assert decide(source, target, from_older_state=True).verdict is Verdict.BACK, case


def test_the_word_changes_nothing_where_it_is_not_asked_for():
    for source, target in itertools.product(SOURCES, TARGETS):
        without = decide(source, target)
        if without.word != OLDER_STATE:
            assert decide(source, target, from_older_state=True) == without


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        # The mark was never sent: the target does not matter.
        ((SourceState.FROZEN, FROZEN), (TargetState.ARMED, CREATED), (OnTarget.DESTROY, OnSource.RELEASE)),
        ((SourceState.FROZEN, EXITED), (TargetState.ARMED, CREATED), (OnTarget.DESTROY, OnSource.RELEASE)),
        ((SourceState.OPEN, RUNNING), (TargetState.MISSING, ABSENT), (OnTarget.NOTHING, OnSource.RELEASE)),
        # It was, and the target proves that it has nothing.
        ((SourceState.MARK_SENT, FROZEN), (TargetState.ARMED, CREATED), (OnTarget.DESTROY, OnSource.RELEASE)),
        (
            (SourceState.MARK_SENT, EXITED),
            (TargetState.DESTROYED, ABSENT),
            (OnTarget.NOTHING, OnSource.RELEASE),
        ),
        # The target has all of it, running or ended with its host.
        ((SourceState.MARK_SENT, FROZEN), (TargetState.FILLED, RUNNING), (OnTarget.FINISH, OnSource.END)),
        ((SourceState.HANDED_OVER, EXITED), (TargetState.FILLED, EXITED), (OnTarget.START, OnSource.END)),
        # It lost its power before Docker had noted that the container was started.
        ((SourceState.HANDED_OVER, FROZEN), (TargetState.FILLED, CREATED), (OnTarget.START, OnSource.END)),
        ((SourceState.COMMITTED, ABSENT), (TargetState.FILLED, CREATED), (OnTarget.START, OnSource.NOTHING)),
        ((SourceState.HANDED_OVER, EXITED), (TargetState.KEPT, RUNNING), (OnTarget.NOTHING, OnSource.END)),
        # The source is settled; the target is not.
        ((SourceState.COMMITTED, ABSENT), (TargetState.FILLED, RUNNING), (OnTarget.FINISH, OnSource.NOTHING)),
        (
            (SourceState.ROLLED_BACK, RUNNING),
            (TargetState.ARMED, CREATED),
            (OnTarget.DESTROY, OnSource.NOTHING),
        ),
        # Both are.
        ((SourceState.COMMITTED, ABSENT), (TargetState.KEPT, RUNNING), (OnTarget.NOTHING, OnSource.NOTHING)),
        (
            (SourceState.COMMITTED, ABSENT),
            (TargetState.MISSING, RUNNING),
            (OnTarget.NOTHING, OnSource.NOTHING),
        ),
    ],
)
def test_what_is_done_with_no_agent_left(source, target, expected):
    decision = ask(*source, *target)
    assert (decision.target, decision.source) == expected


@pytest.mark.parametrize("target", [TargetState.RESTORING, TargetState.RUNNING, TargetState.DAMAGED])
@pytest.mark.parametrize("there", [RUNNING, EXITED, ABSENT])
def test_a_copy_that_may_have_served_needs_the_word_which_names_the_time(target, there):
    asked = ask(SourceState.MARK_SENT, FROZEN, target, there)
    assert (asked.verdict, asked.word) == (Verdict.ASK, OLDER_STATE)
    assert "2025-11-28 19:34:01 UTC" in asked.reason
    told = ask(SourceState.MARK_SENT, FROZEN, target, there, word=True)
    assert (told.target, told.source) == (OnTarget.DESTROY, OnSource.RELEASE)


@pytest.mark.parametrize(
    ("here", "said"), [(FROZEN, "the service as it was"), (EXITED, "the container has ended")]
)
def test_the_operator_is_told_what_the_source_still_has(here, said):
    asked = ask(SourceState.HANDED_OVER, here, TargetState.RUNNING, EXITED)
    assert asked.word == OLDER_STATE
    assert said in asked.reason


def test_a_copy_that_is_being_filled_is_kept_by_its_agent():
    decision = ask(SourceState.MARK_SENT, FROZEN, TargetState.RUNNING, RUNNING, target_agent=True)
    assert (decision.target, decision.source) == (OnTarget.FINISH, OnSource.END)


def test_a_migration_in_progress_is_left_alone():
    for state, target in (
        (SourceState.OPEN, TargetState.ARMED),
        (SourceState.FROZEN, TargetState.ARMED),
        (SourceState.MARK_SENT, TargetState.RESTORING),
    ):
        decision = ask(state, FROZEN, target, CREATED, source_agent=True, target_agent=True)
        assert decision.verdict is Verdict.WAIT


def test_a_target_that_is_gone_for_good():
    gone = TargetSays("edge-b", Reach.GONE)
    before = SourceSays("edge-a", Reach.ANSWERS, SourceState.FROZEN, FROZEN, time_s=1764358441.0)
    assert decide(before, gone).source is OnSource.RELEASE
    marked = SourceSays("edge-a", Reach.ANSWERS, SourceState.MARK_SENT, FROZEN, time_s=1764358441.0)
    assert decide(marked, gone).word == OLDER_STATE
    assert decide(marked, gone, from_older_state=True).source is OnSource.RELEASE


def test_copies_on_both_hosts_are_left_to_the_operator():
    for word in (False, True):
        decision = ask(SourceState.MARK_SENT, RUNNING, TargetState.RUNNING, RUNNING, word=word)
        assert decision.verdict is Verdict.BY_HAND


def post_copy(source: SourceSays, *, word: bool = False) -> Decision:
    """The copy on the target runs, and waits for pages that lie on the source."""
    target = TargetSays("edge-b", Reach.ANSWERS, TargetState.RUNNING, RUNNING, True, 1764358442.0)
    return decide(source, replace(target, needs_source=True), from_older_state=word)


def test_pages_that_nobody_can_send_any_more_need_the_word():
    source = SourceSays("edge-a", Reach.ANSWERS, SourceState.HANDED_OVER, FROZEN, False, 1764358441.0)
    asked = post_copy(source)
    assert (asked.verdict, asked.word) == (Verdict.ASK, OLDER_STATE)
    assert "whose agent has ended" in asked.reason
    told = post_copy(source, word=True)
    assert (told.target, told.source) == (OnTarget.DESTROY, OnSource.RELEASE)


def test_pages_that_are_being_sent_are_waited_for():
    source = SourceSays("edge-a", Reach.ANSWERS, SourceState.HANDED_OVER, FROZEN, True, 1764358441.0)
    assert post_copy(source).verdict is Verdict.WAIT
    assert post_copy(source, word=True).verdict is Verdict.WAIT


def test_a_copy_whose_pages_are_gone_with_the_source_is_left_to_the_operator():
    assert post_copy(SourceSays("edge-a", Reach.GONE)).verdict is Verdict.BY_HAND
