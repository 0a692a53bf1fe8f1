#!/usr/bin/env bash
# hungarian-algorithm: a cost of 0 makes the assignment impossible.
#
# Expected: find_matching(G, matching_type="min") gives the matching of lowest weight of a weighted bipartite graph
# (README), whose weights may be 0: its first example has such an edge, and missing edges get 0.
# Seen: False if the best edge of a node has the weight 0, such as that of a host on which a service costs nothing. The
# label 0 means two things inside: a node of the other side, and one whose best edge is 0. With 1 added to all weights
# the answer is right. scipy solves all of them.
#
# Versions: hungarian-algorithm 0.1.11 with scipy 1.14.1 and numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hungarian-algorithm==0.1.11 scipy==1.14.1 numpy==1.26.4
echo "hungarian-algorithm 0.1.11, scipy 1.14.1, $(python3 --version)"
cat >run.py <<'PYTHON'
from hungarian_algorithm import algorithm
from scipy.optimize import linear_sum_assignment

for kind, costs in [
    ("min", [[2, 1], [0, 5]]),
    ("min", [[3, 2], [1, 6]]),
    ("max", [[3, -5], [0, -1]]),
    ("max", [[4, -4], [1, 0]]),
]:
    graph = {f"edge-{row}": dict(zip(("web", "db"), values)) for row, values in enumerate(costs)}
    rows, columns = linear_sum_assignment(costs, maximize=kind == "max")
    best = sum(costs[row][column] for row, column in zip(rows, columns))
    print(f"{kind} of {costs}: {algorithm.find_matching(graph, kind, 'total')}, by scipy {best}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'min of [[2, 1], [0, 5]]: False, by scipy 1
min of [[3, 2], [1, 6]]: 3, by scipy 3
max of [[3, -5], [0, -1]]: False, by scipy 2
max of [[4, -4], [1, 0]]: 4, by scipy 4' ]; then
    echo "changed: assignments are found in another way" >&2
    exit 1
fi
