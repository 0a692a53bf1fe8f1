# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a user moves: sparse transition probabilities over (cell, direction, dwell)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import ModelError
from ..base.requirements import require_numpy
from .cells import NO_CELL, CellMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

PROBABILITY_SLACK = 1e-9


@dataclass(frozen=True)
class StateSpace:
    """User states: a cell, the last direction of movement and how long the user has been in the
    cell.

    ``directions`` is D + 1 with direction memory (the last one is "none yet") and 1 without it.
    ``dwell_levels`` L counts slots spent in the cell, 0 .. L - 1, the last level meaning "or more".
    State index = (cell * directions + direction) * dwell_levels + dwell.
    """

    cells: int
    directions: int = 1
    dwell_levels: int = 1

    def __len__(self) -> int:
        return self.cells * self.directions * self.dwell_levels

    @property
    def no_direction(self) -> int:
        """Direction index of a user who has not moved yet."""
        return self.directions - 1

    def index(
        self, cell: NDArray[np.int64], direction: NDArray[np.int64], dwell: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """State index of each (cell, direction, dwell); any broadcastable shape."""
        if self.directions == 1:
            direction = np.zeros_like(direction)
        level = np.minimum(dwell, self.dwell_levels - 1)
        return (cell * self.directions + direction) * self.dwell_levels + level

    def cell(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cell of each state."""
        return state // (self.directions * self.dwell_levels)


@dataclass(frozen=True)
class Mobility:
    """A Markov chain over the S states of ``space``.

    ``next_state`` (S, K): up to K states that may follow; ``probability`` (S, K): with what
    probability. Unused places have probability 0 and any valid state.
    """

    space: StateSpace
    next_state: NDArray[np.int64]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not np.isfinite(self.probability).all():
            raise ModelError("a transition probability is NaN or infinite")
        if (self.probability < 0).any():
            raise ModelError(f"a transition probability is negative: {float(self.probability.min())!r}")
        off = np.abs(self.probability.sum(axis=1) - 1)
        if off.max() > PROBABILITY_SLACK:
            row = int(off.argmax())
            raise ModelError(
                f"transition probabilities of state {row} sum to "
                f"{float(self.probability[row].sum())!r}, not to 1"
            )

    def expectation(
        self, value: NDArray[np.float64], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """E[value(next state) | state]: (S, H) from (S, H)."""
        if out is None:
            out = np.empty_like(value)
        # Blocks keep the gathered (block, K, H) operand in the processor's cache.
        block = max(1, 65_536 // (self.next_state.shape[1] * max(1, value.shape[1])))
        for start in range(0, len(value), block):
            part = slice(start, start + block)
            gathered = value[self.next_state[part]]
            np.matmul(self.probability[part, None, :], gathered, out=out[part, None, :])
        return out

    def log_likelihood(self, cells: CellMap, path: NDArray[np.int64]) -> NDArray[np.float64]:
        """(T - 1,) logarithm of the probability of each step of a path (T,) of cells.

        A step that was never seen counts as one of probability 1e-4.
        """
        state = encode_path(cells, self.space, path)[:-1]
        goes = self.space.cell(self.next_state[state]) == path[1:, None]
        chance: NDArray[np.float64] = (self.probability[state] * goes).sum(axis=1)
        return np.log(np.maximum(chance, 1e-4))

    def dense(self) -> NDArray[np.float64]:
        """The same chain as a matrix (S, S); for tests and small maps only."""
        matrix = np.zeros((len(self.space), len(self.space)))
        rows = np.repeat(np.arange(len(self.space)), self.next_state.shape[1])
        np.add.at(matrix, (rows, self.next_state.ravel()), self.probability.ravel())
        return matrix


def random_walk(
    cells: CellMap,
    move_probability: float,
    persistence: float = 0.0,
    drift: Sequence[float] | None = None,
) -> Mobility:
    """The two-dimensional random walk with drift and direction memory.

    A user stays with 1 - m; else goes in direction d' with m * (kappa * [d' = d] + (1 - kappa) *
    w[d']), w being 1 / D or ``drift``. A step off the map is no step. kappa = 0 with m = 6 r is the
    walk of Wang et al. (ToN 2019, Section V); m, kappa: ``move_probability``, ``persistence``.
    Drift: Wang et al. (MILCOM 2014).

    :param drift: D weights, at least 0 and summing to 1, of the directions (counter-clockwise from
        east).
    """
    directions = cells.directions
    weights = np.full(directions, 1.0 / directions) if drift is None else np.array(drift, float)
    if weights.shape != (directions,):
        raise ModelError(f"drift has {weights.size} weights; the map has {directions} directions")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ModelError("a drift weight is NaN, infinite or negative")
    if abs(weights.sum() - 1) > PROBABILITY_SLACK:
        raise ModelError(f"drift weights sum to {float(weights.sum())!r}, not to 1")
    for name, value in (("move_probability", move_probability), ("persistence", persistence)):
        if not 0 <= value <= 1:
            raise ModelError(f"{name} is {value!r}; allowed: 0 to 1")
    remembers = persistence > 0
    space = StateSpace(len(cells), directions + 1 if remembers else 1)
    state = np.arange(len(space))
    cell = space.cell(state)
    last = state % space.directions if remembers else np.full(len(space), directions)
    step = (1 - persistence) * np.tile(weights, (len(space), 1))
    moved = last < directions
    step[~moved] = weights
    step[np.flatnonzero(moved), last[moved]] += persistence
    step *= move_probability
    target = cells.neighbours[cell]
    blocked = target == NO_CELL
    stay = 1 - move_probability + (step * blocked).sum(axis=1)
    step[blocked] = 0.0
    moving = space.index(
        np.where(blocked, 0, target),
        np.broadcast_to(np.arange(directions), target.shape),
        np.array(0),
    )
    moving[blocked] = 0
    return Mobility(
        space,
        np.concatenate([state[:, None], moving], axis=1),
        np.concatenate([stay[:, None], step], axis=1),
    )


def encode_path(cells: CellMap, space: StateSpace, path: NDArray[np.int64]) -> NDArray[np.int64]:
    """State index (T,) of each slot of a path (T,) of cells, one entry a slot, with no gap in it."""
    moved = np.flatnonzero(np.r_[False, path[1:] != path[:-1]])
    slot = np.arange(len(path))
    last_move = np.zeros(len(path), dtype=np.int64)
    last_move[moved] = moved
    last_move = np.maximum.accumulate(last_move)
    direction = np.full(len(path), space.no_direction, dtype=np.int64)
    if space.directions > 1 and len(moved):
        heading = np.full(len(path), space.no_direction, dtype=np.int64)
        heading[moved] = cells.direction_between(path[moved - 1], path[moved])
        direction = heading[last_move]
        direction[: moved[0]] = space.no_direction
    return space.index(path, direction, slot - last_move)


def learned(
    cells: CellMap,
    paths: Sequence[NDArray[np.int64]],
    *,
    direction_memory: bool = True,
    dwell_levels: int = 1,
    smoothing: float = 5.0,
) -> Mobility:
    """Transition frequencies of recorded paths, each (T,) cell indices slot by slot.

    The frequencies of a state are mixed with those of the coarser one, as ``smoothing``
    observations of it: (cell, direction, dwell) with (cell, dwell) with (cell); Witten-Bell-like
    back-off with a fixed weight, so rarely seen states fall back on what is known of the cell. A
    cell that was never left keeps its user.
    """
    space = StateSpace(len(cells), cells.directions + 1 if direction_memory else 1, dwell_levels)
    moves = [_transitions(cells, space, path) for path in paths if len(path) > 1]
    if moves:
        state, following = (np.concatenate(part) for part in zip(*moves, strict=True))
    else:
        state = following = np.empty(0, dtype=np.int64)
    cell = space.cell(state)
    # One support per cell: every cell that was seen to follow it, and itself.
    every = np.arange(len(cells))
    pairs, pair_of_move = np.unique(
        np.concatenate([every, cell]) * len(cells) + np.concatenate([every, following]),
        return_inverse=True,
    )
    source, target = np.divmod(pairs, len(cells))
    first = np.searchsorted(source, every)
    width = int(np.bincount(source).max())
    place = np.arange(len(pairs)) - first[source]
    place_of_move = place[pair_of_move[len(cells) :]]

    def frequencies(group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
        return (
            np.bincount(group * width + place_of_move, minlength=groups * width)
            .reshape(groups, width)
            .astype(float)
        )

    prior = np.zeros((len(cells), width))
    prior[every, place[np.flatnonzero(source == target)]] = 1e-3
    by_cell = frequencies(cell, len(cells)) + prior
    by_cell /= by_cell.sum(axis=1, keepdims=True)
    dwell = state % dwell_levels
    by_dwell = frequencies(cell * dwell_levels + dwell, len(cells) * dwell_levels)
    by_dwell = _back_off(by_dwell, np.repeat(by_cell, dwell_levels, axis=0), smoothing)
    all_states = np.arange(len(space))
    parent = space.cell(all_states) * dwell_levels + all_states % dwell_levels
    probability = _back_off(frequencies(state, len(space)), by_dwell[parent], smoothing)

    support = np.repeat(every[:, None], width, axis=1)
    support[source, place] = target
    return Mobility(space, _successors(cells, space, support), probability)


# What is tried where a policy says auto.
DWELL_CHOICES = (1, 2, 3, 4, 6, 8)
# Scores that differ by less are the same.
SAME_SCORE = 1e-3


def held_back_score(
    cells: CellMap,
    paths: Sequence[NDArray[np.int64]],
    *,
    direction_memory: bool,
    dwell_levels: int,
    smoothing: float,
) -> float:
    """How well movement is predicted that was not learned from: the mean logarithm of the probability of the
    next cell. Every second path is held back in turn.
    """
    logs = [np.zeros(0)]
    for own, other in ((paths[0::2], paths[1::2]), (paths[1::2], paths[0::2])):
        found = learned(
            cells,
            own,
            direction_memory=direction_memory,
            dwell_levels=dwell_levels,
            smoothing=smoothing,
        )
        logs += [found.log_likelihood(cells, path) for path in other if len(path) > 1]
    steps = np.concatenate(logs)
    return float(steps.mean()) if len(steps) else 0.0


def best_dwell_levels(
    cells: CellMap, paths: Sequence[NDArray[np.int64]], *, direction_memory: bool, smoothing: float
) -> int:
    """How many dwell levels predict held-back paths best; of those that are as good the fewest, which are
    solved fastest.
    """
    scores = {
        levels: held_back_score(
            cells, paths, direction_memory=direction_memory, dwell_levels=levels, smoothing=smoothing
        )
        for levels in DWELL_CHOICES
    }
    return min(levels for levels, one in scores.items() if one >= max(scores.values()) - SAME_SCORE)


def stay_probabilities(mobility: Mobility) -> list[float]:
    """By cell, how probable it is that a user is in it in the next slot, too."""
    cell = mobility.space.cell(np.arange(len(mobility.space)))
    stays = mobility.space.cell(mobility.next_state) == cell[:, None]
    by_state = (mobility.probability * stays).sum(axis=1)
    count = np.bincount(cell, minlength=mobility.space.cells)
    mean = np.bincount(cell, weights=by_state, minlength=mobility.space.cells) / count
    return [round(float(one), 4) for one in mean]


def _transitions(
    cells: CellMap, space: StateSpace, path: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return encode_path(cells, space, path)[:-1], path[1:]


def _back_off(
    counts: NDArray[np.float64], coarser: NDArray[np.float64], smoothing: float
) -> NDArray[np.float64]:
    total = counts.sum(axis=1, keepdims=True) + smoothing
    return (counts + smoothing * coarser) / total


def _successors(cells: CellMap, space: StateSpace, support: NDArray[np.int64]) -> NDArray[np.int64]:
    """State (S, K) that each state goes to when its user goes to the cell in ``support`` (N, K)."""
    state = np.arange(len(space))
    cell = space.cell(state)
    direction = state // space.dwell_levels % space.directions
    dwell = state % space.dwell_levels
    target = support[cell]
    stays = target == cell[:, None]
    heading = cells.direction_between(np.broadcast_to(cell[:, None], target.shape), target)
    return space.index(
        target,
        np.where(stays, direction[:, None], heading),
        np.where(stays, dwell[:, None] + 1, 0),
    )
