#!/usr/bin/env bash
# OpenQTSim: the occupation for a given waiting time is 252 % with two servers, and 90 % instead of 68 % with four.
#
# Expected: waitingfactor_to_occupancy(factor, servers) is the occupation at which customers wait that many service
# times. For M/M/c that is known (Erlang's C formula: C / (c * (1 - rho))), and the table in the code ends at 90 %.
# Seen: a polynomial of degree 6 through nine points of that table swings between them. With its own default values,
# a factor of 0.3 and four servers, it gives 0.896 where 0.675 is right; two servers and a factor of 2, which is in the
# middle of the table, 2.523, and four servers and a factor of 1 give 86.515. For M/E2/c, which the docstring names,
# both directions raise UnboundLocalError, as five letters are compared with the six of "M/E2/n".
#
# Versions: openqtsim 0.5.1 with numpy 1.26.4, pandas 2.2.3 and scipy 1.14.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openqtsim==0.5.1 simpy==4.1.1 numpy==1.26.4 \
    pandas==2.2.3 scipy==1.14.1 matplotlib==3.9.2 seaborn==0.13.2
echo "openqtsim 0.5.1, $(python3 --version)"
cat >run.py <<'PYTHON'
from math import factorial

from openqtsim import ArrivalProcess, Queue, ServiceProcess
from scipy.optimize import brentq


def waiting(servers, rho):
    """Mean waiting time in M/M/c, in service times."""
    load = servers * rho
    busy = load**servers / factorial(servers)
    idle = (1 - rho) * sum(load**count / factorial(count) for count in range(servers))
    return busy / (idle + busy) / (servers * (1 - rho))


queue = Queue(ArrivalProcess("M"), ServiceProcess("M"), 1)
for servers, factor in [(1, 1), (1, 5), (2, 0.3), (2, 2), (4, 0.3), (4, 1)]:
    seen = queue.waitingfactor_to_occupancy(factor, servers)
    right = brentq(lambda rho: waiting(servers, rho) - factor, 1e-6, 1 - 1e-9)
    print(f"{servers} servers, factor {factor}: {seen:.3f}, by Erlang {right:.3f}")
for name in ("occupancy_to_waitingfactor", "waitingfactor_to_occupancy"):
    try:
        print(name, getattr(Queue(ArrivalProcess("M"), ServiceProcess("E2"), 4), name)())
    except Exception as error:
        print(f"{name} of M/E2/4: {type(error).__name__}")
PYTHON
seen=$(MPLBACKEND=agg venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '1 servers, factor 1: 0.500, by Erlang 0.500
1 servers, factor 5: 1.318, by Erlang 0.833
2 servers, factor 0.3: 0.479, by Erlang 0.480
2 servers, factor 2: 2.523, by Erlang 0.816
4 servers, factor 0.3: 0.896, by Erlang 0.675
4 servers, factor 1: 86.515, by Erlang 0.835
occupancy_to_waitingfactor of M/E2/4: UnboundLocalError
waitingfactor_to_occupancy of M/E2/4: UnboundLocalError' ]; then
    echo "changed: occupations are computed in another way" >&2
    exit 1
fi
