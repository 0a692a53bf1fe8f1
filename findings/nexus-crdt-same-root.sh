#!/usr/bin/env bash
# nexus-crdt: two replicas with the same Merkle root hold different values, and merging raises on the way there.
#
# Expected: merging "converges; simultaneous writes never raise" (README), and merkle_root() is the digest of a history
# that gives the same map everywhere.
# Seen: if two replicas use one key at the same time for a register and for a text, each keeps its own for ever.
# merge() raises NexusError at the foreign write and leaves out all that comes behind it in the frame, but has already
# noted it, so that the second merge() ignores it and goes on. After that the roots are equal and same_state() is true,
# while one replica reads 5 and the other "five".
#
# Version: nexus-crdt 0.1.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nexus-crdt==0.1.0
echo "nexus-crdt 0.1.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from nexus import NexusMap

one, other = NexusMap("one"), NexusMap("other")
one.set("rate", 5)
one.set("limit", 9)
other.text("rate").insert(0, "five")


def merged(replica, frame):
    try:
        return "applied {applied}, ignored {ignored}".format(**replica.merge(frame))
    except Exception as error:
        return type(error).__name__


for turn in ("first", "second", "third", "fourth", "fifth"):
    frames = one.encode(), other.encode()
    print(f"{turn} exchange:", merged(one, frames[1]), "-", merged(other, frames[0]))
for replica in (one, other):
    print(f"{replica.actor}: rate {replica.get('rate')}, limit {replica.get('limit')}")
print("same root:", one.merkle_root() == other.merkle_root())
print("same_state:", NexusMap.same_state(one.encode(), other.encode()))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'first exchange: NexusError - NexusError
second exchange: NexusError - applied 1, ignored 2
third exchange: NexusError - applied 0, ignored 4
fourth exchange: NexusError - applied 0, ignored 5
fifth exchange: applied 0, ignored 6 - applied 0, ignored 6
one: rate 5, limit 9
other: rate five, limit 9
same root: True
same_state: True' ]; then
    echo "changed: replicas are merged in another way" >&2
    exit 1
fi
