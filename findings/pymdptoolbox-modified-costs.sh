#!/usr/bin/env bash
# pymdptoolbox: modified policy iteration doubles the costs of a problem that is stated in costs.
#
# Expected: a Markov decision problem with costs is given as negative rewards; PolicyIteration and
# PolicyIterationModified agree about its values within some epsilon (0.01 by default).
# Seen: PolicyIteration gives -66.56 and -61.69, which is exact; PolicyIterationModified gives -139.67
# and -134.80, after 3 iterations and with the same policy. A smaller epsilon does not help (1e-8 gives
# -113.22): it starts from the worst values that the rewards allow, and stops once the change is nearly
# the same in both states.
#
# Versions: pymdptoolbox 4.0b3, numpy 1.26.4. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pymdptoolbox==4.0b3 numpy==1.26.4 scipy==1.14.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import mdptoolbox.mdp
import numpy

transitions = numpy.array([[[0.5, 0.5], [0.8, 0.2]], [[0.0, 1.0], [0.1, 0.9]]])
reward = -numpy.array([[5.0, 10.0], [-1.0, 2.0]])
print("pymdptoolbox", version("pymdptoolbox"))
seen = {}
for name, arguments in (("PolicyIteration", {}), ("PolicyIterationModified", {"epsilon": 0.01})):
    solver = getattr(mdptoolbox.mdp, name)(transitions, reward, 0.96, **arguments)
    solver.run()
    seen[name] = (tuple(map(int, solver.policy)), [float(round(value, 2)) for value in solver.V])
    print(name, "policy", seen[name][0], "values", seen[name][1], "iterations", solver.iter)

if seen != {
    "PolicyIteration": ((0, 1), [-66.56, -61.69]),
    "PolicyIterationModified": ((0, 1), [-139.67, -134.8]),
}:
    sys.exit("changed: the two solvers give other values")
PYTHON
