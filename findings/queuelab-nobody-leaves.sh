#!/usr/bin/env bash
# queuelab: the simulated queue of an M/M/1 server is six times as long as its own formula says.
#
# Expected: MM1.simulate() comes near the values of mm1_metrics() for the same rates: with 8 arrivals and 10
# services a second 3.2 customers wait on average, for 0.4 s.
# Seen: the waiting time is right, the length of the queue is some 20. It is counted up with each customer who
# finds the server busy and set to 0 once one finds it idle, but nobody who is served leaves it.
#
# Versions: queuelab 0.2.0 with matplotlib 3.10.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check queuelab==0.2.0 matplotlib==3.10.1 numpy==1.26.4

cat >run.py <<'PYTHON'
import random
import sys
from importlib.metadata import version

import queuelab

print("queuelab", version("queuelab"))
random.seed(1)
formula = {name.strip(): value for name, value in queuelab.mm1_metrics(8, 10).items()}
simulated = queuelab.MM1(8, 10, 200_000).simulate()
wait, length = formula["avg_waiting_queue"], formula["avg_customer_queue"]
print(f"by the formula {wait:.2f} s of waiting, {length:.2f} waiting customers")
print(f"simulated {simulated['avg_wait_time']:.2f} s, {simulated['avg_queue_length']:.2f} customers")

if abs(wait - simulated["avg_wait_time"]) > 0.05 or not 15 < simulated["avg_queue_length"] < 25:
    sys.exit("changed: the simulation counts in another way")
PYTHON
MPLBACKEND=Agg venv/bin/python run.py
