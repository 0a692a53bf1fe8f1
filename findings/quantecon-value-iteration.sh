#!/usr/bin/env bash
# quantecon: DiscreteDP's value iteration gives up after 250 iterations without a word.
#
# Expected: solve(method="vi", epsilon=1e-3) returns values within 1e-3, or says that it did not get
# there. Policy iteration and the linear equations say 392.30 and 386.16 for this problem (discount
# 0.99), and 3,892.29 and 3,886.17 at discount 0.999.
# Seen: 361.23 and 355.09, and 868.32 and 862.21, without a warning, since max_iter is 250 by default;
# the result repeats epsilon=0.001. Only num_iter == max_iter tells. With max_iter=5000 the first is
# right.
#
# Versions: quantecon 0.11.4 (the newest for Python 3.11), numpy 1.26.4. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check quantecon==0.11.4 numpy==1.26.4 scipy==1.14.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy
import quantecon
from quantecon.markov import DiscreteDP

reward = numpy.array([[5.0, 10.0], [-1.0, 2.0]])
transition = numpy.array([[[0.5, 0.5], [0.0, 1.0]], [[0.8, 0.2], [0.1, 0.9]]])
print("quantecon", quantecon.__version__)
seen = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for discount in (0.99, 0.999):
        model = DiscreteDP(reward, transition, discount)
        for method in ("vi", "pi"):
            result = model.solve(method=method, epsilon=1e-3)
            seen[discount, method] = [float(round(value, 2)) for value in result.v]
            print(discount, result.method, seen[discount, method], "iterations", result.num_iter, "of", result.max_iter)
    patient = DiscreteDP(reward, transition, 0.99).solve(method="vi", epsilon=1e-3, max_iter=5000)
print("0.99 with max_iter=5000:", patient.v.round(2), "iterations", patient.num_iter, "warnings", len(caught))

if seen != {
    (0.99, "vi"): [361.23, 355.09],
    (0.99, "pi"): [392.3, 386.16],
    (0.999, "vi"): [868.32, 862.21],
    (0.999, "pi"): [3892.29, 3886.17],
}:
    sys.exit("changed: value iteration or policy iteration gives other values")
if caught or list(patient.v.round(2)) != [392.3, 386.16]:
    sys.exit("changed: there is a warning now, or more iterations give something else")
PYTHON
