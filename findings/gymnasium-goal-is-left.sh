#!/usr/bin/env bash
# gymnasium and a solver: the goal of CliffWalking is left again, that of FrozenLake is not.
#
# Expected: env.unwrapped.P of a toy-text environment is its transition model, and solving it gives the
# value of the start. In CliffWalking each of the 13 steps to the goal costs 1; with discount 0.9 that
# is -7.46 (the sum of 0.9^k for k below 13), and 0 in the goal. In FrozenLake the goal leads to
# itself with reward 0.
# Seen: CliffWalking's goal has ordinary moves with reward -1 that lead out of it; only the flag
# "terminated" on the way in says that it is one. A solver of Markov decision problems has no such
# flag: quantecon walks on for ever and gives -10 for the start and for the goal alike (-1 / (1 - 0.9)).
#
# Versions: gymnasium 1.4.0, quantecon 0.11.4, numpy 1.26.4. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gymnasium==1.4.0 quantecon==0.11.4 numpy==1.26.4 scipy==1.14.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import gymnasium
import numpy
import quantecon
from quantecon.markov import DiscreteDP


def model_of(name, absorbing):
    """Rewards (S, A) and transitions (S, A, S); absorbing: terminal states lead to themselves for nothing."""
    table = gymnasium.make(name).unwrapped.P
    ends = {int(after) for moves in table.values() for outcomes in moves.values() for _, after, _, done in outcomes if done}
    rewards = numpy.zeros((len(table), len(table[0])))
    transitions = numpy.zeros((*rewards.shape, len(table)))
    for state, moves in table.items():
        for action, outcomes in moves.items():
            if absorbing and state in ends:
                transitions[state, action, state] = 1
                continue
            for probability, after, reward, _ in outcomes:
                rewards[state, action] += probability * reward
                transitions[state, action, int(after)] += probability
    return rewards, transitions, ends


print("gymnasium", gymnasium.__version__, "quantecon", quantecon.__version__)
seen = {}
for name, start in (("CliffWalking-v1", 36), ("FrozenLake-v1", 0)):
    for absorbing in (False, True):
        rewards, transitions, ends = model_of(name, absorbing)
        values = DiscreteDP(rewards, transitions, 0.9).solve(method="policy_iteration").v
        seen[name, absorbing] = (float(round(values[start], 2)), float(round(values[max(ends)], 2)))
        how = "goal made absorbing" if absorbing else "as given"
        print(f"{name} {how}: value of the start {seen[name, absorbing][0]}, of the goal {seen[name, absorbing][1]}")

if seen != {
    ("CliffWalking-v1", False): (-10.0, -10.0),
    ("CliffWalking-v1", True): (-7.46, 0.0),
    ("FrozenLake-v1", False): (0.07, 0.0),
    ("FrozenLake-v1", True): (0.07, 0.0),
}:
    sys.exit("changed: the goals lead elsewhere")
PYTHON
