# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What knowing users' next slots is worth: the MDP with direction with routes, in the simulated world.

Each slot a user announces the cells of the next slots, and whether they leave. Some users' announcements are
another user's movement.
How far they are trusted is learned from slot to slot as the loop learns it, from nothing at the beginning.
Only
trust tells wrong routes here: the loop drops those, too, that jump or put the user elsewhere now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.requirements import require_numpy
from ..inputs.route_trust import RouteTrust, step_class
from ..mdp.cells import CellMap
from ..mdp.mobility import StateSpace
from ..mdp.solver import Improvement, Solution
from ..mdp.strategies import World
from .simulation import Outcome, Schedule, outcome_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()


# In announcements: the user is not there; nothing is told.
GONE, UNKNOWN = -1, -2


def announcements(plan: Schedule, wrong_share: float, seed: int) -> NDArray[np.int64]:
    """(slots, sessions) the cell that each session announces for a slot, GONE where the user will not be
    there.

    :param wrong_share: of the users, how many announce where another user is at that time.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(plan.users)
    wrong = set(order[: round(wrong_share * plan.users)].tolist())
    # Whom each user announces: the next one in a random circle.
    other = np.empty(plan.users, dtype=np.int64)
    circle = rng.permutation(plan.users)
    other[circle] = np.roll(circle, 1)
    by_user = np.full((len(plan.cell), plan.users), -1, dtype=np.int64)
    for column, user in enumerate(plan.user.tolist()):
        on = plan.cell[:, column] >= 0
        by_user[on, user] = plan.cell[on, column]
    announced = plan.cell.copy()
    for column, user in enumerate(plan.user.tolist()):
        if user in wrong:
            announced[:, column] = np.where(plan.cell[:, column] >= 0, by_user[:, other[user]], -1)
    return announced


def simulate_routes(
    world: World,
    cells: CellMap,
    plan: Schedule,
    solution: Solution,
    known: int,
    announced: NDArray[np.int64],
    *,
    learns: bool = True,
) -> Outcome:
    """Run the MDP with direction over a schedule, with the next ``known`` slots of each session announced.

    :param solution: of ``world.problem(world.mobility)``.
    :param learns: trust is learned; else announcements are believed.
    """
    improve = Improvement(world.migration_cost)
    trust = RouteTrust()
    steps = _first_steps(cells, plan, announced)
    host = np.full(len(plan.starts), -1, dtype=np.int64)
    paid, used = np.zeros(len(host)), np.zeros(len(host))
    moves = np.zeros(len(host), dtype=np.int64)
    for slot in range(len(plan.cell)):
        active = np.flatnonzero(plan.cell[slot] >= 0)
        fresh = plan.starts[active] == slot
        host[active[fresh]] = world.nearest_host[plan.cell[slot, active[fresh]]]
        settled = active[~fresh]
        if settled.size:
            if learns:
                _look(trust, plan, announced, slot, settled, known, steps)
            share = np.ones((settled.size, known))
            if learns:
                share = _shares(trust, plan, settled, known, steps[slot])
            ahead = _continuation(world, cells, plan, solution, slot, settled, announced, share, improve)
            source = host[settled]
            total = world.migration_cost[source] + ahead
            target = total.argmin(axis=1)
            rows = np.arange(settled.size)
            target = np.where(total[rows, target] < ahead[rows, source] - 1e-12, target, source)
            paid[settled] += world.migration_cost[source, target]
            moves[settled] += source != target
            host[settled] = target
        used[active] += world.transmission_cost[plan.cell[slot, active], host[active]]
    return outcome_of(plan, paid, used, moves)


def _first_steps(cells: CellMap, plan: Schedule, announced: NDArray[np.int64]) -> NDArray[np.int64]:
    """(slots, sessions) class of the first step of what is announced in each slot."""
    found = np.zeros(plan.cell.shape, dtype=np.int64)
    slot, column = np.nonzero((plan.cell[:-1] >= 0) & (announced[1:] >= 0))
    step = cells.xy_m[announced[slot + 1, column]] - cells.xy_m[plan.cell[slot, column]]
    spacing_m = cells.usual_spacing_m()
    found[slot, column] = [step_class(one, spacing_m) for one in np.hypot(*step.T).tolist()]
    return found


def _look(
    trust: RouteTrust,
    plan: Schedule,
    announced: NDArray[np.int64],
    slot: int,
    settled: NDArray[np.int64],
    known: int,
    steps: NDArray[np.int64],
) -> None:
    """What was announced for this slot is compared with where users are."""
    for column in settled.tolist():
        ages = min(known, slot - int(plan.starts[column]))
        for age in range(1, ages + 1):
            # An announcement ends with the first slot for which there is none.
            if announced[slot - age + 1, column] < 0 or announced[slot, column] < 0:
                continue
            hit = bool(announced[slot, column] == plan.cell[slot, column])
            step = int(steps[slot - age, column])
            trust.observe(str(plan.user[column]), "", step, age, 1.0, hit)


def _shares(
    trust: RouteTrust, plan: Schedule, settled: NDArray[np.int64], known: int, steps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(sessions, known) how probable it is that a route holds in a slot if it held in the one before."""
    ages = range(1, known + 1)
    rate = np.array(
        [trust.rates(str(plan.user[column]), "", int(steps[column]), ages) for column in settled.tolist()]
    )
    before = np.concatenate([np.ones((len(rate), 1)), rate[:, :-1]], axis=1)
    return np.minimum(np.divide(rate, before, out=np.zeros_like(rate), where=before > 0), 1.0)


def _continuation(
    world: World,
    cells: CellMap,
    plan: Schedule,
    solution: Solution,
    slot: int,
    settled: NDArray[np.int64],
    announced: NDArray[np.int64],
    share: NDArray[np.float64],
    improve: Improvement,
) -> NDArray[np.float64]:
    """W_0 (sessions, H) of the sessions *settled* in *slot*; the formula is that of ``decision.horizon``."""
    space = world.mobility.space
    known = share.shape[1]
    states = [plan.state[slot, settled]]
    length = np.zeros(settled.size, dtype=np.int64)
    leaves = np.zeros(settled.size, dtype=bool)
    for step in range(1, known + 1):
        there = np.full(settled.size, UNKNOWN, dtype=np.int64)
        if slot + step < len(announced):
            there = announced[slot + step, settled]
        leaves |= (length == step - 1) & (there == GONE)
        goes_on = (length == step - 1) & (there >= 0)
        length[goes_on] = step
        states.append(np.where(goes_on, _step(cells, space, states[-1], np.maximum(there, 0)), states[-1]))
    value = np.empty((settled.size, world.rings.shape[1]))
    for step in range(known, -1, -1):
        ends, goes_on = np.flatnonzero(length == step), np.flatnonzero(length > step)
        if goes_on.size:
            state = states[step][goes_on]
            believed = share[goes_on, step][:, None]
            ahead = world.transmission_cost[space.cell(state)] + world.discount * value[goes_on]
            ahead = believed * ahead + (1 - believed) * solution.continuation[state]
            value[goes_on] = ahead if step == 0 else improve(ahead)[0]
        if ends.size:
            table = solution.continuation if step == 0 else solution.value
            value[ends] = table[states[step][ends]]
        gone = ends[leaves[ends]] if step < known else ends[:0]
        if gone.size:
            # Nothing is paid after this slot, as far as that is believed.
            state = states[step][gone]
            believed = share[gone, step][:, None]
            ahead = believed * world.transmission_cost[space.cell(state)]
            ahead += (1 - believed) * solution.continuation[state]
            value[gone] = ahead if step == 0 else improve(ahead)[0]
    return value


def _step(
    cells: CellMap, space: StateSpace, state: NDArray[np.int64], cell: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The user state after a slot in which users of *state* go to, or stay in, *cell*."""
    before = space.cell(state)
    stays = before == cell
    direction = np.where(
        stays, state // space.dwell_levels % space.directions, cells.direction_between(before, cell)
    )
    dwell = np.where(stays, state % space.dwell_levels + 1, 0)
    return space.index(cell, direction, dwell)
