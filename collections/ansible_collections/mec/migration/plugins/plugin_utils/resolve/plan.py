# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the hosts were heard to say to one decision a migration, with the names of its two hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import DecisionError
from .decision import OnSource, decide
from .says import Container, Reach, SourceSays, SourceState, TargetSays, TargetState

SOURCE, TARGET = "source", "target"
OTHER = {SOURCE: TARGET, TARGET: SOURCE}
DAMAGED, UNKNOWN = "damaged", "unknown"


@dataclass(frozen=True)
class Side:
    """One side of a migration as a host's journal tells it; see module ``migration_state_info``."""

    host: str
    side: str
    migration_id: str
    service: str
    state: str
    container: str
    agent_alive: bool
    needs_source: bool
    lazy: bool
    time_s: float
    peer_engine_id: str
    peer_address: str
    container_id: str
    peer_container_id: str
    reason: str

    @classmethod
    def of(cls, host: str, told: Mapping[str, Any]) -> Side:
        return cls(
            host=host,
            side=str(told["side"]),
            migration_id=str(told["migration_id"]),
            service=str(told["service"]),
            state=str(told["state"]),
            container=str(told["container"]),
            agent_alive=bool(told["agent_alive"]),
            needs_source=bool(told.get("needs_source")),
            lazy=bool(told["lazy"]),
            time_s=float(told["time"]),
            peer_engine_id=str(told["peer_engine_id"]),
            peer_address=str(told["peer_address"]),
            container_id=str(told["container_id"]),
            peer_container_id=str(told["peer_container_id"]),
            reason=str(told["reason"]),
        )


@dataclass(frozen=True)
class Heard:
    """What the hosts of the inventory answered: names by engine, containers by name and id, journals.

    *silent*: those that did not answer, each with all names and addresses by which it may be known.
    """

    engines: dict[str, str] = field(default_factory=dict)
    containers: dict[str, dict[str, str]] = field(default_factory=dict)
    sides: list[Side] = field(default_factory=list)
    silent: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where one side of a migration is, and what is there of it. *side*: None where no journal is."""

    host: str
    reach: Reach
    container: Container
    container_id: str
    side: Side | None
    names: tuple[str, ...] = ()

    @property
    def agent_alive(self) -> bool:
        return self.side is not None and self.side.agent_alive

    @property
    def time_s(self) -> float:
        return self.side.time_s if self.side is not None else 0.0

    def as_fields(self, action: str) -> dict[str, Any]:
        return {
            "host": self.host,
            "answers": self.reach is Reach.ANSWERS,
            "action": action,
            "seen": self.side.state if self.side is not None else "missing",
            "container_id": self.container_id,
        }


def heard(looks: Mapping[str, Mapping[str, Any]], addresses: Mapping[str, Sequence[str]]) -> Heard:
    """*looks*: by host what ``migration_state_info`` returned; *addresses*: all that a host is known by."""
    found = Heard()
    for host, look in looks.items():
        if "sides" not in look:
            found.silent[host] = [host, *(str(address) for address in addresses.get(host, ()))]
            continue
        found.engines[str(look["engine_id"])] = host
        found.containers[host] = dict(look["containers"])
        found.sides.extend(Side.of(host, told) for told in look["sides"])
    return found


def resolutions(
    what: Heard, service: str, *, host_gone: str = "", from_older_state: bool = False
) -> list[dict[str, Any]]:
    """One decision for each migration of *service* that is not forgotten.

    :param host_gone: name of the host that never comes back, by the operator's word.
    :raises DecisionError: that host answers, or is none of the inventory.
    """
    if host_gone and host_gone not in what.silent:
        known = "it answers" if host_gone in what.containers else "it is none of the hosts that were asked"
        raise DecisionError(f"resolve_host_gone is {host_gone}, but {known}. Leave the option out")
    by_id: dict[str, dict[str, Side]] = {}
    for side in what.sides:
        by_id.setdefault(side.migration_id, {})[side.side] = side
    # A journal that cannot be read does not tell its service: it counts if the other side's does.
    return [
        _resolution(what, migration_id, sides, service, host_gone, from_older_state)
        for migration_id, sides in by_id.items()
        if service in {side.service for side in sides.values()}
    ]


def unread(what: Heard) -> list[str]:
    """Journals that cannot be read and whose other side nobody tells of: they may be of any service."""
    told = {side.migration_id for side in what.sides if side.state != DAMAGED}
    return [
        f"{side.host}: {side.reason}"
        for side in what.sides
        if side.state == DAMAGED and side.migration_id not in told
    ]


def _resolution(
    what: Heard,
    migration_id: str,
    sides: dict[str, Side],
    service: str,
    host_gone: str,
    from_older_state: bool,
) -> dict[str, Any]:
    source = _place(what, sides, SOURCE, host_gone)
    target = _place(what, sides, TARGET, host_gone)
    decision = decide(
        SourceSays(
            source.host,
            source.reach,
            SourceState.MISSING if source.side is None else SourceState(source.side.state),
            source.container,
            source.agent_alive,
            source.time_s,
            source.names,
        ),
        TargetSays(
            target.host,
            target.reach,
            _target_state(target.side),
            target.container,
            target.agent_alive,
            target.time_s,
            target.names,
            target.side is not None and target.side.needs_source,
        ),
        from_older_state=from_older_state,
    )
    return {
        "migration_id": migration_id,
        "service": service,
        "verdict": decision.verdict.name.lower(),
        "reason": decision.reason,
        "word": decision.word,
        "by_word": from_older_state and decision.source is OnSource.RELEASE,
        SOURCE: source.as_fields(decision.source.value),
        TARGET: target.as_fields(decision.target.value),
    }


def _place(what: Heard, sides: dict[str, Side], name: str, host_gone: str) -> Place:
    own, other = sides.get(name), sides.get(OTHER[name])
    container_id = (own.container_id if own else "") or (other.peer_container_id if other else "")
    if own is not None:
        host, reach = own.host, Reach.ANSWERS
    else:
        host, reach = _peer(what, sides[OTHER[name]], host_gone)
    word = what.containers.get(host, {}).get(container_id, "absent")
    if own is not None and own.container != UNKNOWN:
        word = own.container
    names: tuple[str, ...] = ()
    if reach is Reach.UNREACHABLE and host not in what.silent:
        names = tuple(what.silent) or ("NAME, once the inventory has it under that name",)
    return Place(host, reach, _container(word), container_id, own, names)


def _peer(what: Heard, side: Side, host_gone: str) -> tuple[str, Reach]:
    """The host of the other side, of which no journal was found: by its engine's id, else by its address."""
    if side.peer_engine_id in what.engines:
        return what.engines[side.peer_engine_id], Reach.ANSWERS
    for name, addresses in what.silent.items():
        if side.peer_address and side.peer_address in addresses:
            return name, Reach.GONE if name == host_gone else Reach.UNREACHABLE
    if not side.peer_engine_id and not side.peer_address:
        # It had not come so far as to know the other host: nobody has anything of it there.
        return "a host that is not known", Reach.ANSWERS
    if host_gone:
        return host_gone, Reach.GONE
    silent = f"perhaps {' or '.join(what.silent)}" if what.silent else "none of those that were asked"
    where = side.peer_address or f"with the Docker engine {side.peer_engine_id}"
    return f"the host {where} ({silent})", Reach.UNREACHABLE


def _target_state(side: Side | None) -> TargetState:
    if side is None:
        return TargetState.MISSING
    state = TargetState(side.state)
    if state is TargetState.RUNNING and not side.lazy and side.container == Container.RUNNING.value:
        # Nothing was left to be filled.
        return TargetState.FILLED
    return state


def _container(word: str) -> Container:
    """Docker has more words than matter here."""
    words = {"paused": Container.FROZEN, "dead": Container.EXITED, "removing": Container.EXITED}
    try:
        return words.get(word) or Container(word)
    except ValueError:
        # `restarting`, say: it may run at any moment.
        return Container.RUNNING
