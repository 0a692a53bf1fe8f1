#!/usr/bin/env bash
# pons-dtn: a light second takes 39 s, one link without a limit takes the limits of all others, and a drawn
# link has no delay.
#
# Expected: the transmission time is the size by the bandwidth plus the delay of the link. ION's contact plans
# give ranges in light seconds; in contact plans of CORE a bandwidth of 0 means no limit; links of a GraphML
# topology have bandwidth, delay in ms and loss.
# Seen: ranges are multiplied by the speed of light and then by 1.3e-7 instead of divided by it: a range of 1
# takes 38.97 s. Whether a bandwidth is 0 is asked before whose it is: with an unlimited link from 1 to 2 in
# the plan, 8000 bytes from 3 to 4, at 8000 bytes a second and with 50 ms, take 0.04 s instead of 1.05. A
# topology without a contact plan takes 5 microseconds a byte, whatever bandwidth and delay its links have: 5
# ms instead of 1.5 s.
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

cat >ion.plan <<'PLAN'
a contact +0 +100 1 2 1000000
a range +0 +100 1 2 1
PLAN
cat >core.plan <<'PLAN'
a contact 0 100 1 2 0 0 0 0
a contact 0 100 3 4 8000 0 50 0
PLAN
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import networkx
from pons.net import CoreContactPlan, IonContactPlan, NetworkPlan

print("pons-dtn", version("pons-dtn"))
graph = networkx.Graph()
graph.add_edge(1, 2, bw=1000, delay=500.0, jitter=0, loss=0.0)
seen = {
    "1000 bytes over a light second": IonContactPlan.from_file("ion.plan").tx_time_for_contact(5, 1, 2, 1000),
    "8000 bytes from 3 to 4": CoreContactPlan.from_file("core.plan").tx_time_for_contact(5, 3, 4, 8000),
    "1000 bytes over the drawn link": NetworkPlan(graph).tx_time_for_contact(0, 1, 2, 1000),
}
for name, seconds in seen.items():
    print(f"{name}: {seconds:.3f} s")

if [round(seconds, 3) for seconds in seen.values()] != [38.974, 0.04, 0.005]:
    sys.exit("changed: transmissions take another time")
PYTHON
venv/bin/python run.py
