#!/usr/bin/env bash
# pysmps: the section RANGES overwrites right-hand sides, and the bounds MI and BV are left out.
#
# Expected: a range makes of a row one with two limits: LIM1 <= 4 with a range of 2.5 is 1.5 <= LIM1 <= 4. A variable
# with the bound MI has no lower limit, one with BV is 0 or 1 (the MPS format, as CPLEX, lp_solve and HiGHS document
# it; HiGHS reads the same file so). The name of a set may be the same in all sections.
# Seen: load_mps() takes RANGES for another set of right-hand sides. Where the ranges have the same set name, LIM1 <= 4
# becomes LIM1 <= 2.5, and "RANGES" itself is listed as a set of zeros. The lower limit of the MI variable stays 0,
# the BV variable is continuous without an upper limit. Nothing is said.
#
# Versions: pysmps 1.5.6, numpy 1.26.4, beside highspy 1.16.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pysmps==1.5.6 numpy==1.26.4 highspy==1.16.0

cat >plan.mps <<'TEXT'
NAME          PLAN
ROWS
 N  COST
 L  LIM1
 E  LIM2
COLUMNS
    X         COST         1.0   LIM1         1.0
    Y         COST         2.0   LIM1         1.0
    Y         LIM2        -1.0
    Z         COST        -1.0   LIM2         1.0
RHS
    S         LIM1         4.0   LIM2         7.0
RANGES
    S         LIM1         2.5   LIM2         3.0
BOUNDS
 MI S         X
 BV S         Y
ENDATA
TEXT

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import highspy
from pysmps.smps_loader import load_mps

print("pysmps", version("pysmps"), "highspy", version("highspy"))
highs = highspy.Highs()
highs.setOptionValue("output_flag", False)
highs.readModel("plan.mps")
model = highs.getLp()
whole = [kind == highspy.HighsVarType.kInteger for kind in model.integrality_]
true = [list(values) for values in (model.row_lower_, model.row_upper_, model.col_lower_, model.col_upper_)]
print(f"HiGHS: rows from {true[0]} to {true[1]}, variables from {true[2]} to {true[3]}, whole: {whole}")

_, _, _, _, kinds, types, _, _, _, sides, _, bounds = load_mps("plan.mps")
sides = {name: values.tolist() for name, values in sides.items()}
low, up = bounds["S"]["LO"].tolist(), bounds["S"]["UP"].tolist()
print(f"pysmps: rows {types} {sides}, variables from {low} to {up}, {kinds}")

inf = float("inf")
if true != [[1.5, 7.0], [4.0, 10.0], [-inf, 0.0, 0.0], [inf, 1.0, inf]] or whole != [False, True, False]:
    sys.exit("changed: HiGHS reads the file in another way")
if sides != {"S": [2.5, 3.0], "RANGES": [0.0, 0.0]}:
    sys.exit("changed: pysmps reads RANGES in another way")
if low != [0.0] * 3 or up != [inf] * 3 or set(kinds) != {"continuous"}:
    sys.exit("changed: pysmps reads BOUNDS in another way")
PYTHON
venv/bin/python run.py
