# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of how far routes can be trusted: a JSON file beside the store of costs.

It holds what users announced for the slots to come, until these slots have been seen, and the counts that
follow from that. It is read, changed and replaced as a whole under a lock of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import DecisionError
from ..base.whole_file import whole_file
from ..inputs.route_trust import LEAVES, MAX_AGE, Counts, RouteTrust

FORMAT = 1
MAX_BYTES = 64 << 20
# What was announced for a slot that nobody looked at in time is forgotten; so are users beyond this many.
MAX_USERS = 20_000
MAX_ANNOUNCED = 4 * MAX_AGE
# The places of a user who has said that they will not be there.
NOWHERE = ("",)


@dataclass
class Announced:
    """What a user announced for a moment: ``places``, of ``probability`` in all, ``age`` slots ahead.

    ``step``: class of the step that leads there.
    """

    at_s: float
    source: str
    step: int
    chance: float
    age: int
    places: tuple[str, ...]
    probability: float


@dataclass
class TrustStore:
    """What was announced and not yet seen, by user, and how often announcements came true."""

    trust: RouteTrust = field(default_factory=RouteTrust)
    pending: dict[str, list[Announced]] = field(default_factory=dict)

    def see(self, user: str, cell: str | None, now_s: float, slot_s: float) -> None:
        """*user* is in *cell* now: what was announced for this slot is counted, what is older forgotten.

        :param cell: None where the user is not there; that tells only of those who said that they would
            leave.
        """
        left: list[Announced] = []
        failed: list[tuple[str, float]] = []
        for one in self.pending.get(user, ()):
            if one.at_s > now_s + (MAX_AGE + 0.5) * slot_s:
                # Nobody announces as far ahead as that: the clock, or a replay, has gone back.
                continue
            if one.at_s > now_s + 0.5 * slot_s:
                left.append(one)
            elif one.at_s > now_s - 0.5 * slot_s:
                gone = one.places == NOWHERE
                if cell is not None or gone:
                    step = LEAVES if gone else one.step
                    hit = gone if cell is None else cell in one.places
                    self.trust.observe(user, one.source, step, one.age, one.probability, hit, one.chance)
                    if not hit:
                        failed.append((one.source, one.at_s - one.age * slot_s))
        # A route that does not hold is not looked at again; only what held tells how long routes hold.
        self.pending[user] = [
            one
            for one in left
            if not any(
                one.source == source and abs(one.at_s - one.age * slot_s - announced_s) < 0.5 * slot_s
                for source, announced_s in failed
            )
        ]

    def announce(
        self,
        user: str,
        source: str,
        steps: Mapping[int, tuple[int, float]],
        slots: Mapping[int, tuple[tuple[str, float], ...]],
        *,
        now_s: float,
        age_slots: float,
        slot_s: float,
    ) -> None:
        """Note where a route puts *user* in the slots from now on.

        An announcement that is repeated from round to round is noted once for each slot it is for.

        :param steps: by slot the class of the step, and how probable the mobility model makes it.
        :param slots: by slot from now, from 1 on, (cell, or "" where the user leaves, probability).
        :param age_slots: how long ago the route was announced.
        """
        kept = self.pending.setdefault(user, [])
        for slot, places in slots.items():
            age = min(round(age_slots) + slot, MAX_AGE)
            at_s = round(now_s + slot * slot_s, 3)
            names = tuple(name for name, _chance in places)
            if any(
                abs(one.at_s - at_s) < 0.5 * slot_s and (one.source, one.age) == (source, age) for one in kept
            ):
                continue
            kept.append(
                Announced(at_s, source, *steps[slot], age, names, sum(chance for _name, chance in places))
            )
        kept.sort(key=lambda one: one.at_s)
        del kept[MAX_ANNOUNCED:]


@contextlib.contextmanager
def changed(path: str | Path, *, write: bool = True) -> Iterator[TrustStore]:
    """The store at *path*, empty where there is none; what is changed within the block is kept.

    :param write: keep it.
    :raises DecisionError: the file is no such store, or cannot be read or written.
    """
    place = Path(path)
    try:
        if not write:
            yield read(place)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{place}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            store = read(place)
            yield store
            text = json.dumps(_document(store), sort_keys=True, allow_nan=False) + "\n"
            with whole_file(place, synced=True) as stream:
                stream.write(text.encode())
    except OSError as error:
        raise DecisionError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: str | Path) -> TrustStore:
    """The store at *path*, empty where there is none."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise DecisionError(f"{path}: cannot be read: it is no regular file")
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return TrustStore()
    except OSError as error:
        raise DecisionError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        return _store_of(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DecisionError(
            f"{path}: not a store of trust in routes: {type(error).__name__}: {error}; remove it, and trust "
            "is learned anew"
        ) from error


def _document(store: TrustStore) -> dict[str, Any]:
    users = [
        {"user": user, "source": source, "step": step, **vars(counts)}
        for (user, source, step), counts in list(store.trust.users.items())[-MAX_USERS:]
    ]
    return {
        "format": FORMAT,
        "users": users,
        "sources": [
            {"source": source, "step": step, **vars(counts)}
            for (source, step), counts in store.trust.sources.items()
        ],
        "pending": {
            user: [
                [one.at_s, one.source, one.step, one.chance, one.age, list(one.places), one.probability]
                for one in ones
            ]
            for user, ones in list(store.pending.items())[-MAX_USERS:]
            if ones
        },
    }


def _store_of(document: Any) -> TrustStore:
    if document["format"] != FORMAT:
        raise ValueError(f"format is {document['format']!r}, not {FORMAT}")
    store = TrustStore()
    for one in document["users"]:
        store.trust.users[(str(one["user"]), str(one["source"]), int(one["step"]))] = _counts(one)
    for one in document["sources"]:
        store.trust.sources[(str(one["source"]), int(one["step"]))] = _counts(one)
    for user, ones in document["pending"].items():
        store.pending[str(user)] = [
            _checked(
                float(at_s),
                str(source),
                int(step),
                float(chance),
                int(age),
                tuple(map(str, places)),
                float(probability),
            )
            for at_s, source, step, chance, age, places, probability in ones
        ]
    return store


def _checked(*values: Any) -> Announced:
    found = Announced(*values)
    shares = 0 <= found.chance <= 1 and 0 <= found.probability <= 1 + 1e-6
    known = 0 <= found.step <= LEAVES and 0 <= found.age <= MAX_ANNOUNCED
    if not (shares and known and math.isfinite(found.at_s)):
        raise ValueError("what was announced is not as it is written")
    return found


def _counts(one: Mapping[str, Any]) -> Counts:
    found = Counts([float(value) for value in one["announced"]], [float(value) for value in one["true"]])
    for values in (found.announced, found.true):
        if len(values) != MAX_AGE + 1 or not all(-1e9 < value < 1e9 for value in values):
            raise ValueError("counts are not as they are written")
    return found
