#!/usr/bin/env bash
# pysmps: independent blocks of a stochastic program get each other's cases, and the probabilities add up to 4.
#
# Expected: each block of a BLOCKS DISCRETE section is a random vector of its own, with the cases under its name and
# probabilities that add up to 1 (Birge et al., A Standard Input Format for Multiperiod Stochastic Linear Programs,
# 1987). Two blocks of two cases each make four scenarios.
# Seen: load_smps() gives both blocks the four cases of both, since all blocks share one list. So
# load_2stage_problem() makes 16 scenarios whose probabilities add up to 4. The same file loaded a second time in the
# process has eight cases in each block.
#
# Versions: pysmps 1.5.6, numpy 1.26.4. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pysmps==1.5.6 numpy==1.26.4

cat >plan.cor <<'TEXT'
NAME          PLAN
ROWS
 N  COST
 L  CAP
 G  DEM1
 G  DEM2
COLUMNS
    X         COST         1.0   CAP          1.0
    X         DEM1         1.0   DEM2         1.0
    Y1        COST         5.0   DEM1         1.0
    Y2        COST         7.0   DEM2         1.0
RHS
    RHS       CAP        100.0   DEM1        10.0
    RHS       DEM2        20.0
ENDATA
TEXT
cat >plan.tim <<'TEXT'
TIME          PLAN
PERIODS       LP
    X         CAP                      FIRST
    Y1        DEM1                     SECOND
ENDATA
TEXT
cat >plan.sto <<'TEXT'
STOCH         PLAN
BLOCKS        DISCRETE
 BL BLOCK1    SECOND       0.5
    X         DEM1         0.8
 BL BLOCK1    SECOND       0.5
    X         DEM1         1.2
 BL BLOCK2    SECOND       0.25
    X         DEM2         0.5
 BL BLOCK2    SECOND       0.75
    X         DEM2         2.0
ENDATA
TEXT

cat >run.py <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

from pysmps.smps_loader import load_2stage_problem, load_smps

print("pysmps", version("pysmps"))
with contextlib.redirect_stdout(io.StringIO()):
    problem = load_2stage_problem("plan")
print(f"two blocks of two cases: {len(problem['p'])} scenarios, probabilities add up to {sum(problem['p'])}")
seen = {name: list(block.probabilities) for name, block in load_smps("plan")["blocks"].items()}
print("probabilities of each block, the file loaded again:", seen)

again = [0.5, 0.5, 0.25, 0.75] * 2
if (len(problem["p"]), sum(problem["p"])) != (16, 4.0) or seen != {"BLOCK1": again, "BLOCK2": again}:
    sys.exit("changed: blocks are read in another way")
PYTHON
venv/bin/python run.py
