#!/usr/bin/env bash
# vectorclock (pip): with the tie-break a is before b, b before c, and c before a.
#
# Expected: compare(other, tiebreak=True) gives -1, 0 or 1 and picks an order "deterministically" for clocks that are
# not ordered by themselves (docstring and README), so that replicas agree which version of an object is the latest.
# That needs an order in which nothing is before itself.
# Seen: where the highest counts are equal, clocks are compared as JSON text, in which 10 comes before 2 and 9. That
# contradicts the order by counts: the latest of three versions depends on the order in which they are looked at. With
# different highest counts the result is their difference, such as 5, instead of 1. "from vectorclock import
# VectorClock", as in the README, raises ImportError.
#
# Version: vectorclock 0.5.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check vectorclock==0.5.3
echo "vectorclock 0.5.3, $(python3 --version)"
cat >run.py <<'PYTHON'
from functools import reduce
from itertools import permutations

from vectorclock.vectorclock import VectorClock

try:
    from vectorclock import VectorClock as documented  # noqa: F401
except ImportError:
    print("the import of the README raises ImportError")

a = VectorClock({"x": 9, "y": 10})
b = VectorClock({"x": 10, "y": 10})
c = VectorClock({"x": 2, "z": 10})
print("a < b:", a < b, "- with tie-break:", a.compare(b, True), b.compare(c, True), c.compare(a, True))


def later(one, other):
    return other if one.compare(other, True) < 0 else one


print("latest:", sorted({str(reduce(later, order)) for order in permutations([a, b, c])}))
print("7 at one and 2 at the other:", VectorClock({"p": 7}).compare(VectorClock({"q": 2}), True))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'the import of the README raises ImportError
a < b: True - with tie-break: -1 -1 -1
latest: ['\''{"x":10,"y":10}'\'', '\''{"x":2,"z":10}'\'', '\''{"x":9,"y":10}'\'']
7 at one and 2 at the other: 5' ]; then
    echo "changed: clocks are compared in another way" >&2
    exit 1
fi
