# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What knowing users' next slots is worth: the MDP with direction with routes, in the simulated world.

Each slot a user announces the cells of the next slots, and whether they leave. Some users' announcements are
another user's movement. How far they are trusted is learned from slot to slot as the loop learns it, from
nothing at the beginning. Only trust tells wrong routes here: the loop drops those, too, that jump or put the
user elsewhere now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.requirements import require_numpy
from ..inputs.route_trust import CLASSES, LEAVES, RouteTrust, chance_of, step_class
from ..mdp.cells import CellMap
from ..mdp.mobility import StateSpace, stay_probabilities
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
    steps = _steps(cells, plan.cell, announced)
    later = _steps(cells, announced, announced)
    stays = stay_probabilities(world.mobility_cell)
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
                _look(trust, plan, announced, slot, settled, known, steps, stays)
            share = leaving = np.ones((settled.size, known))
            if learns:
                kinds = [steps[slot, settled]]
                kinds += [
                    later[slot + k, settled] if slot + k < len(later) else kinds[0] for k in range(1, known)
                ]
                share, leaving = _shares(trust, plan, settled, np.stack(kinds, axis=1))
            ahead = _continuation(
                world, cells, plan, solution, slot, settled, announced, (share, leaving), improve
            )
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


def _steps(cells: CellMap, before: NDArray[np.int64], announced: NDArray[np.int64]) -> NDArray[np.int64]:
    """(slots, sessions) class of the step from a cell of *before* to what is announced for the next slot."""
    found = np.zeros(announced.shape, dtype=np.int64)
    slot, column = np.nonzero((before[:-1] >= 0) & (announced[1:] >= 0))
    step = cells.xy_m[announced[slot + 1, column]] - cells.xy_m[before[slot, column]]
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
    stays: list[float],
) -> None:
    """What was announced for this slot is compared with where users are."""
    ended = np.flatnonzero((plan.cell[slot - 1] >= 0) & (plan.cell[slot] < 0))
    for column in [*settled.tolist(), *ended.tolist()]:
        told = int(announced[slot, column])
        hit = told == int(plan.cell[slot, column])
        for age in range(1, min(known, slot - int(plan.starts[column])) + 1):
            # Only announcements that held until now tell whether they hold longer.
            before = slot - age + 1
            if age > 1 and announced[before, column] != plan.cell[before, column]:
                break
            if told == GONE:
                trust.observe(str(plan.user[column]), "", LEAVES, age, 1.0, hit)
            elif plan.cell[slot, column] != GONE:
                step = int(steps[slot - 1, column])
                chance = chance_of(step, stays[plan.cell[slot - 1, column]])
                trust.observe(str(plan.user[column]), "", step, age, 1.0, hit, chance)


def _shares(
    trust: RouteTrust, plan: Schedule, settled: NDArray[np.int64], kinds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(sessions, known) how many routes hold in a slot that held until then, by the class of its step; and
    how many users leave in that slot who say so.
    """
    ages = range(1, kinds.shape[1] + 1)
    names = [str(plan.user[column]) for column in settled.tolist()]
    rate = np.array([[trust.rates(name, "", step, ages) for step in range(CLASSES)] for name in names])
    share = np.take_along_axis(rate, kinds[:, None, :], axis=1)[:, 0]
    return share, np.array([trust.rates(name, "", LEAVES, ages) for name in names])


def _continuation(
    world: World,
    cells: CellMap,
    plan: Schedule,
    solution: Solution,
    slot: int,
    settled: NDArray[np.int64],
    announced: NDArray[np.int64],
    shares: tuple[NDArray[np.float64], NDArray[np.float64]],
    improve: Improvement,
) -> NDArray[np.float64]:
    """W_0 (sessions, H) of the sessions *settled* in *slot*; the formula is that of ``decision.horizon``."""
    space = world.mobility.space
    share, leaving = shares
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
            believed = leaving[gone, step][:, None]
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
