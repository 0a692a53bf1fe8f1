#!/usr/bin/env bash
# PuLP: of an MPS file, binary variables become continuous, and ranges raise IndexError.
#
# Expected: the bound type BV makes a variable binary, with or without integer markers around its column; the section
# RANGES is optional (the MPS format, as CPLEX and HiGHS document it). LpProblem.fromMPS() "creates an LP problem
# based on the mps-formatted file".
# Seen: with BV the variable gets the limits 0 and 1 and stays continuous, so that the solution takes a half of an
# item: 15 instead of 12 for a knapsack that HiGHS solves from the same file. A file with RANGES ends in
# "IndexError: list index out of range", one with a constant in the objective (a right-hand side of that row) in
# KeyError.
#
# Versions: PuLP 3.3.2 with highspy 1.16.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pulp==3.3.2 highspy==1.16.0 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import highspy
import pulp

HEAD = """NAME          BAG
ROWS
 N  COST
 L  ROOM
COLUMNS
    A         COST       -10.0   ROOM         4.0
    B         COST       -10.0   ROOM         4.0
    C         COST        -2.0   ROOM         2.0
RHS
    RHS       ROOM         6.0
"""
TAIL = "BOUNDS\n BV BND       A\n BV BND       B\n BV BND       C\nENDATA\n"


def fails(text):
    Path("other.mps").write_text(text)
    try:
        pulp.LpProblem.fromMPS("other.mps")
    except Exception as error:
        return repr(error)
    return None


print("PuLP", version("pulp"), "highspy", version("highspy"))
Path("bag.mps").write_text(HEAD + TAIL)
highs = highspy.Highs()
highs.setOptionValue("output_flag", False)
highs.readModel("bag.mps")
highs.run()
true = round(highs.getObjectiveValue(), 6)

variables, problem = pulp.LpProblem.fromMPS("bag.mps")
problem.solve(pulp.HiGHS(msg=False))
seen = round(problem.objective.value(), 6)
kinds = {name: variable.cat for name, variable in variables.items()}
print(f"cost by HiGHS {true:g}; by PuLP {seen:g}, {kinds}, {[v.value() for v in variables.values()]}")
errors = [
    fails(HEAD + "RANGES\n    RNG       ROOM         2.0\n" + TAIL),
    fails(HEAD + "    RHS       COST        -5.0\n" + TAIL),
]
print("with RANGES:", errors[0])
print("with a constant in the objective:", errors[1])

if (true, seen) != (-12.0, -15.0) or set(kinds.values()) != {"Continuous"}:
    sys.exit("changed: PuLP reads binary variables in another way")
if errors != ["IndexError('list index out of range')", "KeyError('COST')"]:
    sys.exit("changed: PuLP reads RANGES or constants in another way")
PYTHON
venv/bin/python run.py
