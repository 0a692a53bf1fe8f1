#!/usr/bin/env bash
# desim (desim-python): running to a time also runs the next event after it, and events of one time change
# places.
#
# Expected: run_to(t) runs "a simulation up to a certain point in time"; events are taken "based on their time
# of occurrence", those of one time in the order in which they were added, as in simpy.
# Seen: whether t is reached is asked only before an event is taken: with events at 1, 10 and 20, run_to(5)
# runs the one at 10, too, and the clock says 10. Seven events of one time, added as a to g, run in the order
# a c f g e b d. A queue in which all events are cancelled is not empty().
#
# Version: desim-python 1.0.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check desim-python==1.0.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from desim import DiscreteEvent, DiscreteEventQueue, run_to, run_to_end

print("desim-python", version("desim-python"))


class Named(DiscreteEvent):
    def __init__(self, time, name):
        super().__init__(time)
        self.name = name

    def _run(self, env):
        env.append(self.name)
        return []


ran, queue = [], DiscreteEventQueue()
queue.add_events([Named(time, f"at {time}") for time in (1, 10, 20)])
run_to(5, queue, ran)
print(f"run to 5: {ran}, clock {queue.t}")
order, equal = [], DiscreteEventQueue()
equal.add_events([Named(2, name) for name in "abcdefg"])
run_to_end(equal, order)
print("events of one time:", *order)
cancelled, event = DiscreteEventQueue(), Named(1, "cancelled")
cancelled.add_events([event])
event.cancel()
print("a queue with a cancelled event is empty:", cancelled.empty())

if (ran, queue.t) != (["at 1", "at 10"], 10) or "".join(order) != "acfgebd" or cancelled.empty():
    sys.exit("changed: events run in another way")
PYTHON
venv/bin/python run.py
