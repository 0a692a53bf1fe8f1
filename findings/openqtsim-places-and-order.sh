#!/usr/bin/env bash
# OpenQTSim: a queue without places has 23 customers waiting, and the last who came is not the first served.
#
# Expected: a Queue is given in Kendall's notation: K is the number of places in the system, N the number of customers
# there are, D the order in which they are served (docstring), and the simulation is one of that queue. With one server
# and K = 1 nobody waits: who finds the server busy is lost, which by Erlang's formula are 44 % at a load of 0.8.
# Seen: the three are written into the name of the queue and used for nothing. M/M/1/1 serves all 2000 customers, and up
# to 23 of them wait; of N = 2 customers 13 are in the system at once; LIFO serves in the order of arrival.
#
# Versions: openqtsim 0.5.1 with simpy 4.1.1, numpy 1.26.4, pandas 2.2.3 and scipy 1.14.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openqtsim==0.5.1 simpy==4.1.1 numpy==1.26.4 \
    pandas==2.2.3 scipy==1.14.1 matplotlib==3.9.2 seaborn==0.13.2
echo "openqtsim 0.5.1, $(python3 --version)"
cat >run.py <<'PYTHON'
from openqtsim import ArrivalProcess, Queue, ServiceProcess, Simulation

for limits in ({"K": 1}, {"N": 2}, {"D": "LIFO"}):
    queue = Queue(ArrivalProcess("M", 8), ServiceProcess("M", 10), 1, **limits)
    simulation = Simulation(queue, seed=1)
    simulation.run(2000)
    customers, system = simulation.return_log()
    served = customers.sort_values("TSB")["c_id"]
    print(f"{queue.kendall_notation}: {len(customers)} served, {system['c_s'].max()} at once in the system,",
          f"{system['c_q'].max()} waiting, served as they came: {served.is_monotonic_increasing}")
PYTHON
seen=$(MPLBACKEND=agg venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'M/M/1/1/inf/FIFO: 2000 served, 24 at once in the system, 23 waiting, served as they came: True
M/M/1/inf/2/FIFO: 2000 served, 24 at once in the system, 23 waiting, served as they came: True
M/M/1/inf/inf/LIFO: 2000 served, 24 at once in the system, 23 waiting, served as they came: True' ]; then
    echo "changed: queues are simulated in another way" >&2
    exit 1
fi
