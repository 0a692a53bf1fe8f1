# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two hosts of a migration say of it when they are asked: the input of the decision who may run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reach(Enum):
    """Whether a host answers. ``GONE`` is the operator's word that it never comes back."""

    ANSWERS = "answers"
    UNREACHABLE = "unreachable"
    GONE = "gone"


class Container(Enum):
    """The container that this migration names on a host, as Docker and the kernel see it now.

    ``RUNNING`` and ``FROZEN`` count processes that Docker does not know of, too. ``CREATED``: it was never
    started, or its start waits for the images. ``UNKNOWN``: Docker gives no answer.
    """

    RUNNING = "running"
    FROZEN = "frozen"
    EXITED = "exited"
    CREATED = "created"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def alive(self) -> bool:
        """Whether processes of it exist."""
        return self in (Container.RUNNING, Container.FROZEN)


class SourceState(Enum):
    """State of the source's journal; ``MISSING`` and ``DAMAGED`` where there is none that can be read."""

    MISSING = "missing"
    DAMAGED = "damaged"
    OPEN = "open"
    FROZEN = "frozen"
    MARK_SENT = "mark_sent"
    HANDED_OVER = "handed_over"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"


class TargetState(Enum):
    """State of the target's journal; ``MISSING`` and ``DAMAGED`` where there is none that can be read."""

    MISSING = "missing"
    DAMAGED = "damaged"
    OPEN = "open"
    ARMED = "armed"
    RESTORING = "restoring"
    RUNNING = "running"
    FILLED = "filled"
    KEPT = "kept"
    DESTROYED = "destroyed"


@dataclass(frozen=True)
class SourceSays:
    """The source's answer. Of a host that gives none only *host* and *reach* mean something.

    *host*: its name in the inventory, or where that is not known what it is known by; *names* are then those
    of the inventory that it may have. *time_s*: of the last journal write, seconds since the epoch by the
    host's clock; 0 if it is not known.
    """

    host: str
    reach: Reach
    state: SourceState = SourceState.MISSING
    container: Container = Container.ABSENT
    agent_alive: bool = False
    time_s: float = 0.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TargetSays:
    """The target's answer; fields as those of :class:`SourceSays`.

    *needs_source*: its copy runs while pages of it still lie on the source (post-copy).
    """

    host: str
    reach: Reach
    state: TargetState = TargetState.MISSING
    container: Container = Container.ABSENT
    agent_alive: bool = False
    time_s: float = 0.0
    names: tuple[str, ...] = ()
    needs_source: bool = False
