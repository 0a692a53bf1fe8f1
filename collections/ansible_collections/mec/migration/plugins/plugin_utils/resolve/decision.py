# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may run after a migration that was left open: a pure function of what its two hosts say.

The rules, which the model in ``tests/model`` checks together with the protocol itself:

* The source runs again only if the target has no copy: the mark was never sent, or the target's copy is
  destroyed first, or the operator says that the target is gone for good.
* If the target's copy may have run, it may have acknowledged writes that the source lacks. Then the source
  runs again only on the operator's word.
* The source is ended only if the target's copy is complete: its journal says ``filled`` or ``kept``.
* The target's action comes first. The source's is done only if the target's has succeeded.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import NamedTuple

from .says import Container, Reach, SourceSays, SourceState, TargetSays, TargetState

HOST_GONE = "resolve_host_gone"
OLDER_STATE = "resolve_from_older_state"


class OnTarget(Enum):
    """``DESTROY``: end the copy, see that none is left. ``FINISH``: wait until it is complete, keep it.

    ``START``: keep the complete copy, whose processes have ended, and do what its restart policy says.
    """

    NOTHING = "nothing"
    DESTROY = "destroy"
    FINISH = "finish"
    START = "start"


class OnSource(Enum):
    """``RELEASE``: let it run again, thawed or started, with its restart policy. ``END``: remove it.

    A container that has ended is started only if the migration had come to the freeze: before that its
    restart policy was its own, and who ended it meant to.
    """

    NOTHING = "nothing"
    RELEASE = "release"
    END = "end"


class Verdict(Enum):
    """``ASK``: the operator must give the word that :attr:`Decision.word` names. ``BY_HAND``: none helps."""

    NOTHING = "nothing to do"
    FORWARD = "the target keeps the service"
    BACK = "the source keeps the service"
    WAIT = "the migration is in progress"
    ASK = "the operator must decide"
    BY_HAND = "the hosts contradict each other"


class Decision(NamedTuple):
    """What to do on each host, in this order: the target, then the source.

    *word*: the option that lets it go on, with :attr:`Verdict.ASK`. *reason*: for people.
    """

    verdict: Verdict
    target: OnTarget
    source: OnSource
    reason: str
    word: str = ""


# The mark was not sent: the target's copy cannot have been started.
UNMARKED = (SourceState.OPEN, SourceState.FROZEN)
NEVER_RAN = (TargetState.OPEN, TargetState.ARMED)
COMPLETE = (TargetState.FILLED, TargetState.KEPT)


def decide(source: SourceSays, target: TargetSays, *, from_older_state: bool = False) -> Decision:
    """What ends the migration that *source* and *target* tell of.

    :param from_older_state: the operator's word that the source may go on from its older state, although
        the target may have acknowledged writes since.
    """
    obstacle = _no_answer(source) or _no_answer(target)
    if obstacle is not None:
        return obstacle
    if source.reach is Reach.GONE or target.reach is Reach.GONE:
        return _one_is_gone(source, target, from_older_state)
    if source.container is Container.RUNNING and target.container.alive:
        return _by_hand(
            f"the service runs on {source.host} and its copy is {target.container.value} on {target.host}. "
            "Find out which of them clients have used, remove the other container, and run resolve again"
        )
    if source.state in (SourceState.COMMITTED, SourceState.ROLLED_BACK):
        return (_after_commit if source.state is SourceState.COMMITTED else _after_rollback)(source, target)
    if source.state in UNMARKED:
        return _before_the_mark(source, target)
    return _after_the_mark(source, target, from_older_state)


def _no_answer(side: SourceSays | TargetSays) -> Decision | None:
    if side.reach is Reach.UNREACHABLE:
        words = " or ".join(f"{HOST_GONE}={name}" for name in side.names or (side.host,))
        return _ask(
            f"{side.host} does not answer, so no one can know what runs there. Run resolve again when it "
            f"does. Only if it never comes back: {words}",
            HOST_GONE,
        )
    if side.reach is Reach.ANSWERS and side.container is Container.UNKNOWN:
        return _by_hand(f"Docker on {side.host} does not answer; start it, then run resolve again")
    return None


def _after_commit(source: SourceSays, target: TargetSays) -> Decision:
    """The source was ended, so the target's copy was complete."""
    if target.state in COMPLETE and source.container is not Container.RUNNING:
        return _keep(target, OnSource.NOTHING)
    if target.state is TargetState.MISSING and source.container is not Container.RUNNING:
        # It forgets once it was told that the source is settled, as the last thing of all.
        return Decision(
            Verdict.NOTHING,
            OnTarget.NOTHING,
            OnSource.NOTHING,
            f"{target.host} has taken the service over, and has forgotten the migration already",
        )
    return _by_hand(
        f"{source.host} has given the service away (its container: {source.container.value}), and "
        f"{target.host} does not say that it has all of it (journal: {target.state.value}, container: "
        f"{target.container.value}). Nothing is touched"
    )


def _after_rollback(source: SourceSays, target: TargetSays) -> Decision:
    if target.container.alive or (target.state in COMPLETE and _there(target)):
        return _by_hand(
            f"{source.host} has taken the service back, and {target.host} has a copy that is "
            f"{target.container.value} (journal: {target.state.value}). Remove the one that clients do not "
            "use, and run resolve again"
        )
    return Decision(
        Verdict.BACK if _leftover(target) else Verdict.NOTHING,
        _clear(target),
        OnSource.NOTHING,
        f"{source.host} has the service; what waits on {target.host} is put away",
    )


def _before_the_mark(source: SourceSays, target: TargetSays) -> Decision:
    if source.agent_alive:
        return _wait(source.host)
    ran = target.container.alive or target.state in (*COMPLETE, TargetState.RESTORING, TargetState.RUNNING)
    if ran and source.container is Container.ABSENT:
        return _after_the_mark(source, target, False)
    if ran and target.container is not Container.ABSENT:
        return _by_hand(
            f"{source.host} says that it never let {target.host} start the service (journal: "
            f"{source.state.value}), and {target.host} says that it did (journal: {target.state.value}, "
            f"container: {target.container.value}). Was a disk of one of them set back? Remove the container "
            "on the host whose state is to be given up, and run resolve again"
        )
    return _back(source, target, f"{target.host} was never allowed to start the service")


def _after_the_mark(source: SourceSays, target: TargetSays, older: bool) -> Decision:
    """``mark_sent`` or ``handed_over``, or a journal that is missing or cannot be read: only proof counts."""
    if source.container is Container.RUNNING:
        return _source_runs(source, target)
    if target.agent_alive and target.state is TargetState.RESTORING:
        return _wait(target.host)
    if target.state is TargetState.RUNNING and target.agent_alive and target.container.alive:
        late = target.needs_source
        return _post_copy(source, target, older) if late else _being_filled(target, OnSource.END)
    if target.state is TargetState.KEPT or (target.state is TargetState.FILLED and _there(target)):
        return _keep(target, OnSource.END)
    never_ran = target.state in (*NEVER_RAN, TargetState.DESTROYED) and not target.container.alive
    if never_ran and source.state is not SourceState.HANDED_OVER:
        return _back(source, target, f"{target.host} has no copy that runs or ran")
    return _older_state(source, target, older, f"the copy on {target.host} may have served clients")


def _source_runs(source: SourceSays, target: TargetSays) -> Decision:
    """It was let run, and that was not noted; the target's copy does not run."""
    harmless = (*NEVER_RAN, TargetState.DESTROYED, TargetState.MISSING)
    if target.state in harmless or target.container is Container.ABSENT:
        return _back(source, target, f"the service runs on {source.host} and not on {target.host}")
    return _by_hand(
        f"the service runs on {source.host}, although {target.host} may have run it later (journal: "
        f"{target.state.value}, container: {target.container.value}). Remove the container on the host whose "
        "state is to be given up, and run resolve again"
    )


def _one_is_gone(source: SourceSays, target: TargetSays, older: bool) -> Decision:
    if source.reach is target.reach:
        return Decision(Verdict.NOTHING, OnTarget.NOTHING, OnSource.NOTHING, "both hosts are gone for good")
    if source.reach is Reach.GONE:
        return _without_source(source, target)
    return _without_target(source, target, older)


def _without_source(source: SourceSays, target: TargetSays) -> Decision:
    if target.state in COMPLETE:
        return _keep(target, OnSource.NOTHING)
    if target.agent_alive and target.state is TargetState.RESTORING:
        return _wait(target.host)
    filling = target.agent_alive and target.state is TargetState.RUNNING and not target.needs_source
    if filling and target.container.alive:
        return _being_filled(target, OnSource.NOTHING)
    if not target.container.alive and target.state in (*NEVER_RAN, TargetState.DESTROYED):
        return Decision(
            Verdict.BACK,
            _clear(target),
            OnSource.NOTHING,
            f"{source.host} is gone, and {target.host} had not taken the service over: it is lost",
        )
    return _by_hand(
        f"{source.host} is gone, and the copy on {target.host} (container: {target.container.value}, "
        f"journal: {target.state.value}) is the only one, but its memory may be incomplete. If its files are "
        f"enough, restart it there with Docker; remove the migration's journal there afterwards"
    )


def _without_target(source: SourceSays, target: TargetSays, older: bool) -> Decision:
    if source.agent_alive and source.state in UNMARKED:
        return _wait(source.host)
    if source.state in (SourceState.COMMITTED, SourceState.ROLLED_BACK, SourceState.MISSING):
        return Decision(Verdict.NOTHING, OnTarget.NOTHING, OnSource.NOTHING, f"{target.host} is gone")
    if source.state in UNMARKED or source.container is Container.RUNNING:
        return _back(source, target, f"{target.host} is gone")
    return _older_state(source, target, older, f"{target.host} is gone and may have served clients before")


def _being_filled(target: TargetSays, source: OnSource) -> Decision:
    return Decision(
        Verdict.FORWARD,
        OnTarget.FINISH,
        source,
        f"the service runs on {target.host}, which waits for the rest of its memory",
    )


def _post_copy(source: SourceSays, target: TargetSays, older: bool) -> Decision:
    """Pages of the target's copy still lie on the source, and only its agent can send them."""
    if source.agent_alive:
        return _wait(source.host)
    return _older_state(
        source,
        target,
        older,
        f"the copy on {target.host} waits for pages that lie on {source.host}, whose agent has ended",
    )


# Docker notes that a container has started only after the restore: one whose host went down in between was
# never started, by what Docker remembers.
ENDED = (Container.EXITED, Container.CREATED)


def _there(target: TargetSays) -> bool:
    return target.container.alive or target.container in ENDED


def _keep(target: TargetSays, source: OnSource) -> Decision:
    """The copy on the target is complete: it stays."""
    if target.state is TargetState.KEPT:
        return Decision(
            Verdict.NOTHING if source is OnSource.NOTHING else Verdict.FORWARD,
            OnTarget.NOTHING,
            source,
            f"{target.host} has taken the service over",
        )
    if target.container.alive:
        return Decision(
            Verdict.FORWARD, OnTarget.FINISH, source, f"the service runs on {target.host} and is complete"
        )
    if target.container in ENDED:
        return Decision(
            Verdict.FORWARD,
            OnTarget.START,
            source,
            f"the complete copy on {target.host} has ended; it is kept, and started again if its restart "
            "policy says so",
        )
    return _by_hand(
        f"{target.host} had a complete copy of the service, and its container is "
        f"{target.container.value} now. The source has none either"
    )


def _back(source: SourceSays, target: TargetSays, why: str, *, chosen: bool = False) -> Decision:
    """The source keeps the service; *chosen*: by the operator's word, so it is started whatever it says."""
    on_target = OnTarget.NOTHING if target.reach is Reach.GONE else _clear(target)
    if source.state is SourceState.MISSING and source.container is not Container.FROZEN and not chosen:
        return Decision(
            Verdict.NOTHING if on_target is OnTarget.NOTHING else Verdict.BACK,
            on_target,
            OnSource.NOTHING,
            f"{why}; {source.host} knows of no migration",
        )
    goes_on = {
        Container.RUNNING: "it runs on there",
        Container.FROZEN: "it is thawed there",
        Container.ABSENT: "its container there has been removed, so there is nothing to start",
    }.get(source.container, "it is started there")
    return Decision(
        Verdict.BACK, on_target, OnSource.RELEASE, f"{why}: {source.host} has the service, {goes_on}"
    )


def _older_state(source: SourceSays, target: TargetSays, word: bool, why: str) -> Decision:
    """The way back undoes what the target may have acknowledged, so only the operator can choose it."""
    if source.container is Container.ABSENT:
        return _by_hand(
            f"{why} (journal: {target.state.value}, container: {target.container.value}), and {source.host} "
            "has no container to go back to. Nothing is touched. If the files on the target are enough, "
            "restart the container there with Docker, and remove the migration's journal there"
        )
    if not word:
        what = f"the service as it was {_since(source, target)}; what clients have written since"
        if source.container is Container.EXITED:
            what = (
                f"its files as they were {_since(source, target)}, and the container has ended, with its "
                "host, its daemon or by hand; what it had in memory, and what clients have written since,"
            )
        return _ask(
            f"{why} (journal there: {target.state.value}, container: {target.container.value}), and it "
            f"cannot be kept. {source.host} still has {what} would be lost. To start it from there: "
            f"{OLDER_STATE}=true",
            OLDER_STATE,
        )
    return _back(source, target, f"the operator chose the state of {_since(source, target)}", chosen=True)


def _since(source: SourceSays, target: TargetSays) -> str:
    known = [side.time_s for side in (source, target) if side.time_s > 0]
    if not known:
        return "before the hand-over"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(known)))


def _leftover(target: TargetSays) -> bool:
    settled = target.state in (TargetState.MISSING, TargetState.DESTROYED, TargetState.KEPT)
    return not settled or target.container is not Container.ABSENT or target.agent_alive


def _clear(target: TargetSays) -> OnTarget:
    return OnTarget.DESTROY if _leftover(target) else OnTarget.NOTHING


def _wait(host: str) -> Decision:
    return Decision(
        Verdict.WAIT,
        OnTarget.NOTHING,
        OnSource.NOTHING,
        f"the migration is in progress: its agent on {host} works on it. Wait for its end, or stop whoever "
        "runs it and try again in a minute",
    )


def _ask(reason: str, word: str) -> Decision:
    return Decision(Verdict.ASK, OnTarget.NOTHING, OnSource.NOTHING, reason, word)


def _by_hand(reason: str) -> Decision:
    return Decision(Verdict.BY_HAND, OnTarget.NOTHING, OnSource.NOTHING, reason)
