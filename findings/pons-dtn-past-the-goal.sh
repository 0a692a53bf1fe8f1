#!/usr/bin/env bash
# pons-dtn: nodes of an ns-2 trace are a second ahead and run past their goal.
#
# Expected: "$ns_ at 0.0 $node_(0) setdest 95 0 10" (the format of SUMO's, BonnMotion's and ns-2's movements)
# takes the node to 95 m at 10 m/s: it is at 50 m after 5 s and stays at 95 m from 9.5 s on.
# Seen: at the start the node is set to its place and moved by a whole second at once, so that it is at 60 m
# after 5 s. What is left of the way is not looked at in the last step: after 9 s it is at 100 m, at the end
# at 105 m, where it stays. With an end of 20 s given it is there from 10 s to 19 s, too.
#
# Versions: pons-dtn 0.2.1 with networkx 3.4.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check networkx==3.4.2 simpy==4.1.1
venv/bin/pip install --quiet --disable-pip-version-check python-dateutil==2.9.0.post0
venv/bin/pip install --quiet --disable-pip-version-check --no-deps pons-dtn==0.2.1

cat >movements <<'NS2'
$node_(0) set X_ 0.0
$node_(0) set Y_ 0.0
$ns_ at 0.0 "$node_(0) setdest 95.0 0.0 10.0"
NS2
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from pons.mobility import Ns2Movement

print("pons-dtn", version("pons-dtn"))
places = {time: x for time, _, x, *_ in Ns2Movement.from_file("movements", 0, 20).moves}
seen = {time: places[time] for time in (0, 5, 9, 10, 19)}
print("after so many seconds at so many metres, on the way to 95 m at 10 m/s:", seen)

if seen != {0: 10, 5: 60, 9: 100, 10: 105, 19: 105}:
    sys.exit("changed: nodes move in another way")
PYTHON
venv/bin/python run.py
