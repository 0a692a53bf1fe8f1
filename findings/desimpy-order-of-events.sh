#!/usr/bin/env bash
# desimpy: cancelling one event makes the clock run backwards later, and "the next event" is not the next one.
#
# Expected: a discrete-event simulation runs events in order of their times, and those of one time in the order in
# which they were scheduled, as SimPy does. next_event_by_condition() gives "the next event that satisfies a given
# condition".
# Seen: the events are a heap, of which only the first place is in order. cancel_next_event_by_condition() removes
# from its middle as from a list, behind which it is no heap any more: in some simulations an event runs later than
# one behind it, and scheduler.now goes back. next_event_by_condition() gives 5 of the times 1, 5 and 2 for "later
# than 1". Of events of one time the third may run before the second, in desimpy as in simulus.
#
# Versions: desimpy 0.48.0, simulus 1.2.1, simpy 4.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check simulus==1.2.1 greenlet==3.1.1 simpy==4.1.1
venv/bin/pip install --quiet --disable-pip-version-check --no-deps desimpy==0.48.0

cat >run.py <<'PYTHON'
import random
import sys
from importlib.metadata import version

import simpy
import simulus
from desimpy import Event, EventScheduler

print("desimpy", version("desimpy"), "simulus", version("simulus"), "simpy", version("simpy"))


def goes_back(seed, cancels):
    source = random.Random(seed)
    scheduler = EventScheduler()
    times = []
    events = [Event(source.uniform(0, 100), lambda: times.append(scheduler.now)) for _ in range(30)]
    for event in events:
        scheduler.schedule(event)
    if cancels:
        chosen = source.choice(events)
        scheduler.cancel_next_event_by_condition(lambda _, event: event is chosen)
    scheduler.run_until_max_time(1000)
    return times != sorted(times)


with_cancel, without = (sum(goes_back(seed, cancels) for seed in range(1000)) for cancels in (True, False))
print(f"the clock goes back in {with_cancel} of 1000 simulations with one cancelled event, and in {without} without")

scheduler = EventScheduler()
for time in (1, 5, 2):
    scheduler.schedule(Event(time))
later = scheduler.next_event_by_condition(lambda _, event: event.time > 1).time
print("next event later than 1 of 1, 5 and 2:", later)

names = "abcdefgh"
orders = {"desimpy": [], "simulus": [], "simpy": []}
scheduler = EventScheduler()
simulator = simulus.simulator()
environment = simpy.Environment()
for name in names:
    scheduler.schedule(Event(1, lambda name=name: orders["desimpy"].append(name)))
    simulator.sched(orders["simulus"].append, name, until=1)
    environment.timeout(1).callbacks.append(lambda _, name=name: orders["simpy"].append(name))
scheduler.run_until_max_time(10)
simulator.run(until=10)
environment.run()
orders = {module: "".join(order) for module, order in orders.items()}
print("order of eight events of one time:", orders)

if not with_cancel or without or later != 5:
    sys.exit("changed: cancelled or next events are treated in another way")
if orders["simpy"] != names or any(
    orders[module] == names or sorted(orders[module]) != list(names) for module in ("desimpy", "simulus")
):
    sys.exit("changed: events of one time have another order")
PYTHON
venv/bin/python run.py
