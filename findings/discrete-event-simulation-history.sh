#!/usr/bin/env bash
# discrete-event-simulation: the history of a run shows each state after the event that ended it.
#
# Expected: a State is the "state of the simulation at a given point in time", and the timeline "tracks the state and
# events over time" (docstrings): a counter that begins with 0 and is raised at 5, 10, 15 and 20 is 0, 1, 2, 3 and 4.
# Seen: an event is given the latest state itself, and the copy for the history is made behind it, so that the entry of
# the time before changes, too: the history is 1, 2, 3, 4 and 4, and the initial values are lost. What an event notes
# by State.set(), as that method is meant, is entered at the time of the event before.
#
# Versions: discrete-event-simulation 0.1.2 with loguru 0.7.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check discrete-event-simulation==0.1.2 loguru==0.7.3
echo "discrete-event-simulation 0.1.2, $(python3 --version)"
cat >run.py <<'PYTHON'
from loguru import logger
from simulation.framework import Action, DiscreteSimulation, Event

logger.remove()


class Arrival(Event):
    def hook(self, state):
        return state.set("tasks", state.get("tasks") + 1)


class Wait(Action):
    events = [(5, Arrival())]

    def ready_to_start(self, timeline):
        return not timeline.events_to_come


simulation = DiscreteSimulation(max_duration=20, available_actions=[Wait()], initial_values={"tasks": 0})
last = simulation.run()
for time, state in simulation.timeline.states.items():
    print(f"at {time}: {state.get('tasks')} tasks")
print(f"at the end: {last.get('tasks')} tasks")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'at 0: 1 tasks
at 5: 2 tasks
at 10: 3 tasks
at 15: 4 tasks
at 20: 4 tasks
at the end: 4 tasks' ]; then
    echo "changed: states are kept in another way" >&2
    exit 1
fi
