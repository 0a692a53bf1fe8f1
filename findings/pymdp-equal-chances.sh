#!/usr/bin/env bash
# pymdp: steps are drawn with equal chances, and a problem with costs only has the value 0.
#
# Expected: step() follows the probabilities p that add_transition() was given, solve() gives the values of
# the best policy.
# Seen: step() hands the probabilities to numpy.random.choice() as its argument "replace", so that all next
# states are equally likely: with 0.99 for staying near and 0.01 for going far, half of all steps go far. An
# action that a state does not have counts there with the value 0: in a chain of two steps that cost 5 each,
# where some other state also has an action "wait", all states have the value 0 instead of -10 and -5. The
# name of an action, which the code looks up, is refused: "Invalid action None".
#
# Versions: pymdp 0.0.1 with numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pymdp==0.0.1 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy
import pymdp

print("pymdp", version("pymdp"))
numpy.random.seed(1)
walk = pymdp.MDP()
move = walk.add_action("move")
for state in ("near", "far"):
    walk.add_transition(state, move, ["near", "far"], [0, 0], [0.99, 0.01])
walk.set_state("near")
far = 0
for _ in range(4000):
    walk.step(0)
    far += walk.state.key == "far"
print(f"probability of going far 0.01, share of the steps that went there {far / 4000:.3f}")
try:
    walk.step(move)
    named = None
except ValueError as error:
    named = str(error)
print(f"step({move!r}): {named}")

chain = pymdp.MDP()
go, wait = chain.add_action("go"), chain.add_action("wait")
chain.add_transition("start", go, "middle", -5)
chain.add_transition("middle", go, "end", -5)
chain.add_transition("other", wait, "other", -5)
chain.make_terminal("end")
values = {key: float(value) for key, value in chain.solve(1).items()}
print("two steps that cost 5 each:", values)

if not 0.45 < far / 4000 < 0.55 or named != "Invalid action None for state " + walk.state.key:
    sys.exit("changed: steps are taken in another way")
if (values["start"], values["middle"]) != (0.0, 0.0):
    sys.exit("changed: costs have another value")
PYTHON
venv/bin/python run.py
