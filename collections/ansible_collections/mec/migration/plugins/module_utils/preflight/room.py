# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have both hosts room for the move: for what the source remembers, and what the target keeps ready?"""

from __future__ import annotations

from collections.abc import Iterator

from ..base.errors import PreflightError
from ..memory.sent import FULL, LEAN
from ..memory.trackers import AUTO
from .pair import MIB, Container, Facts, Pair, megabytes

MARGIN_BYTES = 64 * MIB
# Rounds pile up in the target's chain of images: what was sent twice lies there twice.
CHAIN_FACTOR = 1.5
# Where nothing is kept twice: what changed in a round, until it is in its place; digests on the source.
LEAN_FACTOR, DIGESTS_FACTOR = 1.25, 0.01


def images_needed(memory_bytes: int, *, lean: bool = False) -> int:
    """What the target's images directory must hold."""
    return int(memory_bytes * (LEAN_FACTOR if lean else CHAIN_FACTOR)) + MARGIN_BYTES


def source_space(pair: Pair) -> Iterator[str]:
    yield from _space(pair.source, _source_needs(pair.container, pair.lean), _remembered(pair), pair)


def source_memory(pair: Pair) -> Iterator[str]:
    yield from _memory(pair.source, _source_needs(pair.container, pair.lean), _remembered(pair))


def target_space(pair: Pair) -> Iterator[str]:
    needed = images_needed(pair.container.memory_bytes, lean=pair.lean)
    yield from _space(pair.target, needed, "images", pair)


def target_memory(pair: Pair) -> Iterator[str]:
    # Lean, each page of the images is given back once it is the service's; not of shared memory.
    kept = pair.container.shared_bytes if pair.lean else pair.container.memory_bytes
    needed = kept + images_needed(pair.container.memory_bytes, lean=pair.lean)
    yield from _memory(pair.target, needed, "the service and its images")


def choose_memory(
    source: Facts, target: Facts | None, container: Container, wanted: str, *, lazy: bool
) -> dict[str, str]:
    """How much memory the move may take, and why: ``name`` is :data:`FULL` or :data:`LEAN`.

    :param wanted: one of these, or :data:`AUTO`.
    :param lazy: the service can run on while its memory is filled.
    :raises PreflightError: lean is wanted and cannot be.
    """
    if wanted == LEAN and not lazy:
        raise PreflightError(
            "memory: lean needs a lazy restore, for CRIU itself reads all images before it gives any back. "
            "Leave lazy_restore on, or choose memory: full"
        )
    if wanted != AUTO:
        return {"name": wanted, "why": "asked for"}
    checks = [source_space, source_memory, *([target_space, target_memory] if target is not None else [])]
    pair = Pair(source, target or source, container)
    if not lazy or not any(True for check in checks for _problem in check(pair)):
        return {"name": FULL, "why": "changed pages travel as what changed in them"}
    return {"name": LEAN, "why": "the hosts have no room for the service's memory once more"}


def _remembered(pair: Pair) -> str:
    return "digests" if pair.lean else "a mirror"


def _source_needs(container: Container, lean: bool) -> int:
    kept = container.memory_bytes + container.shared_bytes
    if lean:
        # CRIU dumps what is shared into its images all the same.
        kept = int(container.memory_bytes * DIGESTS_FACTOR) + container.shared_bytes
    return kept + MARGIN_BYTES


def _space(host: Facts, needed: int, what: str, pair: Pair) -> Iterator[str]:
    room = host["space"]["images_dir"]
    if room["free_bytes"] < needed:
        or_lean = "" if pair.lean else ", or choose memory: lean"
        yield (
            f"{room['path']} on {host['hostname']} has {megabytes(room['free_bytes'])} free; "
            f"{megabytes(needed)} are needed for {what} of {megabytes(pair.container.memory_bytes)} of "
            f"memory. Free some, or mount a larger tmpfs there{or_lean}"
        )


def _memory(host: Facts, needed: int, what: str) -> Iterator[str]:
    free = host["memory"]["available_bytes"]
    if free < needed:
        yield (
            f"{host['hostname']} has {megabytes(free)} of memory left; {megabytes(needed)} are needed "
            f"for {what}. Stop something there, or `ignore: [memory]` if it has swap to spare"
        )
