#!/usr/bin/env bash
# navigation-mdp: with a slip probability of 0.1 the next states have probabilities that add up to 1.1.
#
# Expected: get_next_states_distribution() gives a distribution; take_action() of the same object slips with
# probability slip_prob in all, half to each side. A reward of 1 at each step is worth 20 with a discount of 0.95.
# Seen: both sides have the whole slip probability each, 0.8, 0.2 and 0.2, and so in MooreDynamics. A value
# iteration over it ends at 400 with a slip of 0.05, and grows beyond all bounds from 0.053 on, where the discount
# times the sum reaches 1. Without slips, and in the simulation by take_action(), all is right.
#
# Versions: navigation-mdp 1.2, numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  navigation-mdp==1.2 navigation-vis==0.9 numpy==1.26.4 matplotlib==3.9.2

cat >run.py <<'PYTHON'
import sys
from collections import Counter
from importlib.metadata import version

import numpy
from navigation_mdp.dynamics import MooreDynamics, VonNeumannDynamics
from navigation_mdp.state import DiscreteStateSpace

print("navigation-mdp", version("navigation-mdp"))
space = DiscreteStateSpace(3, 3)
middle = space.loc_to_state_dict[1, 1]


def worth(slip, rounds=4000, discount=0.95):
    dynamics = VonNeumannDynamics(space, slip_prob=slip)
    values = {state.location: 0.0 for state in space.state_lst}
    for _ in range(rounds):
        values = {
            state.location: 1
            + discount
            * max(
                sum(share * values[after.location] for after, share in dynamics(state, action))
                for action in dynamics.actions()
            )
            for state in space.state_lst
        }
    return values[middle.location]


shares = []
for kind in (VonNeumannDynamics, MooreDynamics):
    shares.append([round(share, 6) for _, share in kind(space, slip_prob=0.2)(middle, "U")])
    print(f"{kind.__name__} with slips of 0.2: {shares[-1]}, together {sum(shares[-1]):.1f}")
numpy.random.seed(1)
dynamics = VonNeumannDynamics(space, slip_prob=0.2)
simulated = Counter(dynamics.take_action(middle, "U").location for _ in range(10_000))
print("10,000 steps of take_action():", dict(simulated))
worths = [worth(slip) for slip in (0, 0.05, 0.1)]
print("worth of 1 a step with slips of 0, 0.05 and 0.1:", *(f"{value:.3g}" for value in worths))

if shares != [[0.8, 0.2, 0.2]] * 2 or not 7_800 < simulated[0, 1] < 8_200:
    sys.exit("changed: slips have other probabilities")
if round(worths[0], 3) != 20 or not 399.9 < worths[1] < 400 or worths[2] < 1e9:
    sys.exit("changed: the values are others")
PYTHON
venv/bin/python run.py
