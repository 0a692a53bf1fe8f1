# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an evaluation is computed in: parts that need no file and may run in any process, on any machine.

A part takes and gives plain values and arrays only. Users are independent of each other as long as hosts are
never full, so parts of few users give, bit for bit, what one part of all users gives.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from ..inputs.hosts import Host
from ..inputs.policy import Policy
from ..mdp.cells import CellMap
from ..mdp.model import build_mobility, build_world
from ..mdp.solver import solve
from ..mdp.strategies import STRATEGIES, World, hysteresis
from ..mdp.trace import Session
from .known_routes import announcements, simulate_routes
from .simulation import Outcome, Schedule, offline_optimum, schedule, simulate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

# A session as a plain value: user, first slot, cells.
PlainSession = tuple[int, int, Any]


@dataclass(frozen=True)
class Part:
    """One call of a function of this file.

    ``shared``: names of values that several parts take. ``needs``: places of the parts whose results it
    takes.
    """

    name: str
    function: str
    shared: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[int, ...] = ()


def run_part(
    function: str, shared: Sequence[Any], needs: Sequence[Any], arguments: dict[str, Any]
) -> dict[str, Any]:
    """The result of a part."""
    return FUNCTIONS[function](shared, needs, **arguments)


def plain_map(cells: CellMap) -> dict[str, Any]:
    """*cells* as plain values and arrays."""
    names = ("kind", "ids", "xy_m", "neighbours", "cell_size_m", "origin")
    return {name: getattr(cells, name) for name in names}


def plain_sessions(sessions: Sequence[Session]) -> list[PlainSession]:
    """*sessions* as plain values and arrays."""
    return [(session.user, session.start, session.cells) for session in sessions]


def spread_hosts(cells: CellMap, count: int | None) -> list[Host]:
    """``count`` hosts spread evenly over the cells in the order of the table; None: one in each
    cell.

    The placement of the published code of Wang et al.: cell round(i * N / count) for i = 1 ..
    count.
    """
    total = len(cells)
    if count is None:
        count = total
    if not 1 <= count <= total:
        raise DecisionError(f"hosts is {count}; allowed: 1 to {total}, the number of cells")
    # MATLAB rounds halves up, Python to even.
    chosen = [int(i * total / count + 0.5) - 1 for i in range(1, count + 1)]
    return [Host(f"host-{cells.ids[cell]}", cells.ids[cell]) for cell in chosen]


@dataclass(frozen=True)
class _Scene:
    """What the parts of one setting have in common."""

    case: str
    cells: CellMap
    world: World
    room: NDArray[np.int64] | None


# Parts of one setting usually come one after the other; on a cluster those of a few settings mix.
KEPT = 4
_last: list[_Scene] = []


def _scene(shared: Sequence[Any]) -> _Scene:
    """The world of a part, whose first shared values are the case, the map and the sessions to learn from."""
    case, plain, learning = shared[:3]
    # A copy: a worker may have several threads.
    for kept in list(_last):
        if kept.case == case["digest"]:
            return kept
    cells = CellMap(**plain)
    policy = Policy(case["policy"], case["document"], "")
    placed = spread_hosts(cells, case["hosts"])
    world = build_world(policy, cells, placed, build_mobility(policy, cells, _sessions(learning)))
    capacity = case["capacity"]
    room = None if capacity is None else np.full(len(placed), capacity, dtype=np.int64)
    found = _Scene(case["digest"], cells, world, room)
    _last[:] = [found, *_last][:KEPT]
    return found


def _sessions(plain: Sequence[PlainSession]) -> list[Session]:
    return [Session(*one) for one in plain]


def _plan(scene: _Scene, sessions: Sequence[PlainSession]) -> Schedule:
    return schedule(scene.cells, scene.world.mobility, _sessions(sessions))


def _arrays(outcome: Outcome) -> dict[str, Any]:
    return {
        "migration": outcome.migration,
        "transmission": outcome.transmission,
        "migrations": outcome.migrations,
        "slots": outcome.slots,
    }


def joined(results: Sequence[dict[str, Any]]) -> Outcome:
    """The outcome of all users from those of parts of them, in order."""
    return Outcome(
        *(
            np.concatenate([one[name] for one in results])
            for name in ("migration", "transmission", "migrations", "slots")
        )
    )


def margins(shared: Sequence[Any], _needs: Sequence[Any], shares: Sequence[float]) -> dict[str, Any]:
    """What hysteresis costs a slot of the learning half with these margins, shares of the largest
    transmission cost."""
    scene = _scene(shared)
    plan = _plan(scene, shared[2])
    largest = float(scene.world.transmission_cost.max())
    tried = []
    for share in shares:
        tuned = replace(scene.world, hysteresis_margin=share * largest)
        cost = simulate(tuned, plan, hysteresis(tuned), scene.room).mean_cost
        tried.append((cost, share * largest))
    return {"tried": tried}


def margin(_shared: Sequence[Any], needs: Sequence[Any]) -> dict[str, Any]:
    """The margin that costs least, the smallest of those that cost the same."""
    return {"margin": min(one for part in needs for one in part["tried"])[1]}


def actions(shared: Sequence[Any], needs: Sequence[Any], strategy: str) -> dict[str, Any]:
    """The action table of a strategy; hysteresis needs the margin."""
    world = _scene(shared).world
    if needs:
        world = replace(world, hysteresis_margin=needs[0]["margin"])
    start = time.perf_counter()
    action = STRATEGIES[strategy](world)
    return {"action": action, "solve_s": time.perf_counter() - start}


def strategy(shared: Sequence[Any], needs: Sequence[Any]) -> dict[str, Any]:
    """What an action table costs some users."""
    scene = _scene(shared)
    plan = _plan(scene, shared[3])
    start = time.perf_counter()
    outcome = simulate(scene.world, plan, needs[0]["action"], scene.room)
    return {
        **_arrays(outcome),
        "solve_s": needs[0]["solve_s"],
        "decide_s": time.perf_counter() - start,
    }


def offline(shared: Sequence[Any], _needs: Sequence[Any]) -> dict[str, Any]:
    """What the offline optimum costs some users."""
    scene = _scene(shared)
    return _arrays(offline_optimum(scene.world, _plan(scene, shared[3]), anywhere=scene.room is not None))


def routes(
    shared: Sequence[Any], _needs: Sequence[Any], known: int, wrong_routes: float, seed: int
) -> dict[str, Any]:
    """What the MDP with direction costs users who announce their next slots; trust is shared, so all users
    at once."""
    scene = _scene(shared)
    plan = _plan(scene, [session for part in shared[3:] for session in part])
    solution = solve(scene.world.problem(scene.world.mobility), scene.world.error_bound)
    announced = announcements(plan, wrong_routes, seed)
    return _arrays(simulate_routes(scene.world, scene.cells, plan, solution, known, announced))


FUNCTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one for one in (margins, margin, actions, strategy, offline, routes)
}


def fingerprint() -> dict[str, str]:
    """What this process computes with, and a digest of what it computes: where that differs, last bits
    may."""
    rng = np.random.default_rng(1)
    square = rng.random((64, 64)) + 64 * np.eye(64)
    tall = rng.random((64, 9, 100))
    products = np.matmul(rng.random((64, 1, 9)), tall), np.linalg.solve(square, square.T), 0.8**square
    digest = hashlib.sha256(b"".join(one.tobytes() for one in products)).hexdigest()
    return {"numpy": np.__version__, "python": platform.python_version(), "digest": digest}
