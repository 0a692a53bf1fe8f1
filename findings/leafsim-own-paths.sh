#!/usr/bin/env bash
# leafsim: an orchestrator with a path function of its own cannot place any application.
#
# Expected: Orchestrator(infrastructure, shortest_path=...) calls that function for each data flow; its docstring
# names the algorithms of networkx as choices.
# Seen: the function is kept only if it is None, which is replaced by the default. With any other place() fails with
# AttributeError, behind the placement of the tasks: their compute units stay reserved, so that a second try says
# that the task was already placed. A data flow of 0 bit/s is placed, and measuring its power divides by zero.
#
# Version: leafsim 0.4.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check leafsim==0.4.2 networkx==3.3 simpy==4.1.1

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import networkx
from leaf.application import Application, ProcessingTask, SinkTask, SourceTask
from leaf.infrastructure import Infrastructure, Link, Node
from leaf.orchestrator import Orchestrator
from leaf.power import PowerModelLink, PowerModelNode


class OnTheEdge(Orchestrator):
    def _processing_task_placement(self, processing_task, application):
        return self.infrastructure.node("edge")


def world(bit_rate):
    infrastructure = Infrastructure()
    camera, edge, cloud = Node("camera"), Node("edge", cu=10, power_model=PowerModelNode(30)), Node("cloud")
    for first, second in ((camera, edge), (edge, cloud)):
        infrastructure.add_link(Link(first, second, bandwidth=100, power_model=PowerModelLink(0.1)))
    application = Application()
    source, task, sink = SourceTask(0, camera), ProcessingTask(4), SinkTask(0, cloud)
    application.add_task(source)
    application.add_task(task, [(source, bit_rate)])
    application.add_task(sink, [(task, bit_rate)])
    return infrastructure, application, edge


def told(call, *arguments):
    try:
        return call(*arguments) or "done"
    except (AttributeError, ValueError, ZeroDivisionError) as error:
        return repr(error)


print("leafsim", version("leafsim"))
infrastructure, application, edge = world(10)
default = told(OnTheEdge(infrastructure).place, application)
print("default:", default)
infrastructure, application, edge = world(10)
own = OnTheEdge(infrastructure, shortest_path=networkx.dijkstra_path)
tries = [told(own.place, application) for _ in range(2)]
print("own function:", *tries, f"edge has {edge.used_cu} of {edge.cu} units in use", sep="\n  ")
infrastructure, application, edge = world(0)
OnTheEdge(infrastructure).place(application)
power = told(application.measure_power)
print("power of an application without traffic:", power)

if default != "done" or "has no attribute 'shortest_path'" not in tries[0] or "already placed" not in tries[1]:
    sys.exit("changed: own path functions work")
if edge.used_cu != 4 or "ZeroDivisionError" not in power:
    sys.exit("changed: flows without traffic are measured")
PYTHON
venv/bin/python run.py
