#!/usr/bin/env bash
# pymdptoolbox: two solvers report values that are not those of the policy that they found.
#
# Expected: the attribute V is near the values of the policy found ("the optimal value function"), epsilon
# being 0.01 by default. Two states, two actions, discount 0.96; the linear equations of the policy give
# 100.68 and 94.46, and -66.56 and -61.69 with the rewards' signs turned, as for a problem with costs.
# PolicyIteration gives just these.
# Seen: the policies are right, the values are not. ValueIteration gives 78.71 and 72.49, 22 % too
# little. PolicyIterationModified gives -139.67 and -134.80 for the costs, more than double; with an
# epsilon of 1e-8 still -113.22. Both stop once the change is nearly the same in all states and never
# add the constant that is still missing, so that costs of two models cannot be compared.
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
reward = numpy.array([[5.0, 10.0], [-1.0, 2.0]])
print("pymdptoolbox", version("pymdptoolbox"))
seen = {}
for name, sign in (("ValueIteration", 1), ("PolicyIterationModified", -1)):
    solver = getattr(mdptoolbox.mdp, name)(transitions, sign * reward, 0.96)
    solver.run()
    rows, chosen = [0, 1], list(solver.policy)
    exact = numpy.linalg.solve(numpy.eye(2) - 0.96 * transitions[chosen, rows], sign * reward[rows, chosen])
    seen[name] = [[float(round(value, 2)) for value in values] for values in (solver.V, exact)]
    print(f"{name}: policy {tuple(map(int, chosen))}, V {seen[name][0]}, values of that policy {seen[name][1]}")

if seen != {
    "ValueIteration": [[78.71, 72.49], [100.68, 94.46]],
    "PolicyIterationModified": [[-139.67, -134.8], [-66.56, -61.69]],
}:
    sys.exit("changed: the solvers give other policies or values")
PYTHON
