#!/usr/bin/env bash
# pyqueueing: one server too many, a boundary that is not that of the process, and no queue from 500 servers
# on.
#
# Expected: required_servers() gives the least number that reaches the target; QBD() without B0 and B1 has the
# usual boundary, where nothing can leave the level 0; ErlangA gives the queue of an M/M/c with impatient
# customers.
# Seen: required_servers() starts at the load rounded up plus one: at a load of 1.2 two servers are enough for
# a chance of waiting of at most 0.95 (it is 0.45), three are required. The default of B1 is A1, whose rates
# out of the level include departures: for a server with two kinds of traffic it is empty with a probability
# of 0.22 instead of 0.30, and the mean is 5.74 instead of 5.04; with B1 given both are right. At a
# utilization of 0.99 the mean is cut at level 200: 68 instead of 99. ErlangA counts at most 500 customers:
# with 500 servers, each busy, nobody ever waits in the queue or leaves it, while 1.5 % do.
#
# Versions: pyqueueing 0.1.1 with numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyqueueing==0.1.1 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy
from pyqueueing import MMC, QBD, ErlangA, ErlangC

print("pyqueueing", version("pyqueueing"))
required = ErlangC(1.2, 1).required_servers(target_wait_prob=0.95)
chance = MMC(1.2, 1, 2).prob_wait()
print(f"at most 0.95 may wait: {required} servers required, with two {chance:.2f} wait")

change = numpy.array([[-0.1, 0.1], [0.1, -0.1]])
arrivals, service = numpy.diag([0.2, 1.2]), numpy.eye(2)
blocks = {"A0": arrivals, "A1": change - arrivals - service, "A2": service}
levels = 400
rates = numpy.zeros((2 * levels, 2 * levels))
for level in range(levels):
    here = slice(2 * level, 2 * level + 2)
    rates[here, here] += change
    if level:
        rates[here, 2 * level - 2 : 2 * level] += service
    if level < levels - 1:
        rates[here, 2 * level + 2 : 2 * level + 4] += arrivals
numpy.fill_diagonal(rates, 0)
numpy.fill_diagonal(rates, -rates.sum(axis=1))
system = numpy.vstack([rates.T[1:], numpy.ones(2 * levels)])
shares = numpy.linalg.solve(system, [0.0] * (2 * levels - 1) + [1.0]).reshape(levels, 2).sum(axis=1)
solved = [round(float(value), 2) for value in (shares[0], shares @ numpy.arange(levels))]
seen = {}
for name, model in (("default", QBD(**blocks)), ("B1 given", QBD(**blocks, B1=change - arrivals))):
    seen[name] = [round(float(value), 2) for value in (model.stationary()[0].sum(), model.mean_level())]
print("chance of an empty server and mean, solved:", solved, "QBD:", seen)
long = float(QBD(A0=[[0.99]], A1=[[-1.99]], A2=[[1.0]]).mean_level())
print(f"M/M/1 at 0.99: mean {long:.1f} instead of 99")


def leaving(servers, patience):
    """Share that leaves, by the balance of an M/M/c+M whose load is its number of servers."""
    weight, total, waiting = 1.0, 1.0, 0.0
    for number in range(servers - 1, -1, -1):
        weight *= (number + 1) / servers
        total += weight
    weight = 1.0
    for queue in range(1, 2000):
        weight *= servers / (servers + queue * patience)
        total += weight
        waiting += queue * weight
    return patience * waiting / total / servers


left = {servers: float(ErlangA(servers, 1, servers, 0.5).prob_abandon()) for servers in (400, 500)}
true = {servers: leaving(servers, 0.5) for servers in left}
print("share that leaves the queue, solved:", true, "ErlangA:", left)

if required != 3 or not 0.44 < chance < 0.46:
    sys.exit("changed: other numbers of servers are required")
if solved != [0.3, 5.04] or seen != {"default": [0.22, 5.74], "B1 given": [0.3, 5.04]} or not 68 < long < 69:
    sys.exit("changed: QBD has other levels")
if left[500] != 0 or not 0.01 < true[500] < 0.02 or abs(left[400] - true[400]) > 1e-3:
    sys.exit("changed: ErlangA has another queue")
PYTHON
venv/bin/python run.py
