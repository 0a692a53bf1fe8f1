#!/usr/bin/env bash
# edgefedsim: a task keeps its processors for ever, so that of three workflows one is ever done.
#
# Expected: a task takes processors and memory of a node, runs for 5 to 20 seconds and gives them back, so that a
# federation of 1,000 processors does three workflows of 245 processors together in minutes. FLBlockScheduler is one
# of the schedulers to compare with.
# Seen: the amounts are taken by "with node.cpu.get(...)", which in SimPy gives nothing back where the block ends (a
# Container needs put(), unlike a Resource). Tasks wait for nodes on which nothing runs, until the simulation ends
# after 10,000 seconds, and results count the finished workflows only. A simulation with FLBlockScheduler ends with
# ValueError, since it starts a timeout as a process.
#
# Versions: edgefedsim 0.1.0, simpy 4.0.1, numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check edgefedsim==0.1.0 numpy==1.26.4

cat >run.py <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import numpy
import simpy
from edgefedsim.scheduler import FLBlockScheduler, NetworkAwareHeuristicScheduler
from edgefedsim.simulation import Simulation


def simulated(scheduler, workflows):
    numpy.random.seed(1)
    environment = simpy.Environment()
    simulation = Simulation(environment, scheduler)
    simulation.workflows_to_run = simulation.workflows_to_run[:workflows]
    with contextlib.redirect_stdout(io.StringIO()):
        environment.run(until=environment.process(simulation.run()))
    return simulation


print("edgefedsim", version("edgefedsim"), "simpy", version("simpy"))
simulation = simulated(NetworkAwareHeuristicScheduler, 3)
tasks = [task for workflow in simulation.workflows_to_run for task in workflow.tasks.values()]
asked = sum(task.cpu_req for task in tasks)
over = sum(task.cpu_req for task in tasks if task.end_time >= 0)
nodes = simulation.federation.get_all_nodes()
kept = sum(node.cpu.capacity - node.cpu.level for node in nodes)
done = len(simulation.completed_workflows)
there = sum(node.cpu.capacity for node in nodes)
print(f"after {simulation.env.now:.0f} s {done} of 3 workflows are done, on {there} processors")
print(f"tasks of {over:.1f} of {asked:.1f} processors have ended, and {kept:.1f} are taken")
try:
    simulated(FLBlockScheduler, 1)
    error = None
except ValueError as raised:
    error = str(raised)
print("FLBlockScheduler:", error)

if done == 3 or kept < over - 1e-6:
    sys.exit("changed: processors are given back")
if "not a generator" not in str(error):
    sys.exit("changed: FLBlockScheduler works")
PYTHON
venv/bin/python run.py
