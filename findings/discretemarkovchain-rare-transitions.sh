#!/usr/bin/env bash
# discreteMarkovChain: a host that fails once in a million steps has a share of 15 % of failure instead of 33 %.
#
# Expected: computePi() gives the long-term shares of the states, at a tolerance of 1e-8 "for the precision of the end
# result" (docstring of powerMethod()). With a probability of 1e-6 to fail and 2e-6 to be repaired they are 2/3 and 1/3.
# Seen: the default method ends after 100,000 rounds without a word, at 0.85 and 0.15, and for 1e-9 after one round at 1
# and 0, since the change of a round, not the distance to the end, is compared with the tolerance. "eigen" gives the
# same, as it calls the default method for two states, and "linear" gives 2/3 and 1/3. "krylov" raises TypeError with
# SciPy 1.14 and later.
#
# Versions: discreteMarkovChain 0.22, scipy 1.14.1, numpy 1.26.4. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check discreteMarkovChain==0.22 scipy==1.14.1 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy
from discreteMarkovChain import markovChain

print("discreteMarkovChain", version("discreteMarkovChain"))
seen = {}
for rate in (1e-2, 1e-6, 1e-9):
    for method in ("power", "eigen", "linear"):
        chain = markovChain(numpy.array([[1 - rate, rate], [2 * rate, 1 - 2 * rate]]))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            chain.computePi(method)
        said = [str(warning.message) for warning in caught if "Method" in str(warning.message)]
        seen[rate, method] = round(float(chain.pi[0]), 3)
        print(f"rate {rate}, {method}: {chain.pi.round(3).tolist()}", *said)
try:
    chain.computePi("krylov")
    failed = False
except TypeError as error:
    failed = True
    print("krylov:", error)

if seen != {
    (1e-2, "power"): 0.667,
    (1e-2, "eigen"): 0.667,
    (1e-2, "linear"): 0.667,
    (1e-6, "power"): 0.85,
    (1e-6, "eigen"): 0.85,
    (1e-6, "linear"): 0.667,
    (1e-9, "power"): 1.0,
    (1e-9, "eigen"): 1.0,
    (1e-9, "linear"): 0.667,
} or not failed:
    sys.exit("changed: the methods give other shares")
PYTHON
venv/bin/python run.py
