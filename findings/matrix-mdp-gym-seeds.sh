#!/usr/bin/env bash
# matrix-mdp-gym: a seed changes nothing, and an episode that ends in a terminal state is said to be cut off, too.
#
# Expected: reset(seed=7) of a Gymnasium environment makes all that follows the same each time (Env.reset(): the
# environment draws from self.np_random). "terminated" means that a terminal state was reached, "truncated" that the
# episode was cut for another reason, for which the value of the next state still counts (Env.step()).
# Seen: states are drawn from numpy's global generator, so that reset(seed=7) gives several start states, and two
# runs with one seed differ. At a terminal state both flags are true. A learner that adds the value of the next
# state wherever "truncated" is set, as it should for time limits, adds it at the end, too.
#
# Versions: matrix-mdp-gym 1.1.1, gymnasium 1.4.0, numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check matrix-mdp-gym==1.1.1 gymnasium==1.4.0 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # of the environment checker about types

import gymnasium
import matrix_mdp  # noqa: F401
import numpy

print("matrix-mdp-gym", version("matrix-mdp-gym"), "gymnasium", version("gymnasium"))
size = 10
moves = numpy.zeros((size, size, 1))
moves[:, :-1, 0] = 1 / size
walk = gymnasium.make(
    "matrix_mdp/MatrixMDP-v0", p_0=numpy.full(size, 1 / size), p=moves, r=numpy.zeros((size, size, 1))
)
starts = [int(walk.reset(seed=7)[0]) for _ in range(30)]
lake = gymnasium.make("FrozenLake-v1")
lakes = []
for _ in range(3):
    lake.reset(seed=7)
    lakes.append([int(lake.step(1)[0]) for _ in range(2)])
print("start states after reset(seed=7):", *starts)
print("of FrozenLake, the same seed and two steps:", *lakes)

way = numpy.zeros((2, 2, 1))
way[1, 0, 0] = 1
short = gymnasium.make("matrix_mdp/MatrixMDP-v0", p_0=numpy.array([1.0, 0.0]), p=way, r=numpy.ones((2, 2, 1)))
short.reset(seed=7)
state, reward, terminated, truncated, _ = short.step(0)
print(f"into the terminal state: terminated {bool(terminated)}, truncated {bool(truncated)}")

if len(set(starts)) == 1 or any(one != lakes[0] for one in lakes):
    sys.exit("changed: a seed settles the start state, or that of FrozenLake does not")
if not (terminated and truncated):
    sys.exit("changed: a terminal state is told in another way")
PYTHON
venv/bin/python run.py
