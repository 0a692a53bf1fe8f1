#!/usr/bin/env bash
# knapsack-pip: with 15 items nine of ten results of its branch and bound are not the best, and the last item is lost.
#
# Expected: maximize() of BBKnapsack and HSKnapsack gives the maximum profit and "its corresponding solution" (README);
# branch and bound is exact. With whole weights dynamic programming gives the maximum in a few lines.
# Seen: the bound of BBKnapsack holds for items sorted by profit per weight, but only HSKnapsack sorts them: from four
# items on some results are too low, of 200 with 15 items 185. If the last item is taken, BBKnapsack adds its profit
# and leaves it out of the solution, so that profit and solution disagree in a third to a half of all cases.
# HSKnapsack is right in all.
#
# Version: knapsack-pip 0.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check knapsack-pip==0.2
echo "knapsack-pip 0.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import random

from knapsack01.BBKnapsack import BBKnapsack
from knapsack01.HSKnapsack import HSKnapsack


def best(capacity, profits, weights):
    table = [0] * (capacity + 1)
    for profit, weight in zip(profits, weights):
        for room in range(capacity, weight - 1, -1):
            table[room] = max(table[room], table[room - weight] + profit)
    return table[capacity]


small = 4, [1, 8, 6, 18, 19], [3, 2, 9, 5, 1]
print(f"BBKnapsack {BBKnapsack(*small).maximize()}, HSKnapsack {HSKnapsack(*small).maximize()}, best {best(*small)}")
generator = random.Random(1)
for items in (4, 8, 15):
    counts = {BBKnapsack: [0, 0], HSKnapsack: [0, 0]}
    for _ in range(200):
        profits, weights = ([generator.randint(1, 20) for _ in range(items)] for _ in range(2))
        capacity = sum(weights) // 2
        for solver, count in counts.items():
            profit, solution = solver(capacity, list(profits), list(weights)).maximize()
            count[0] += profit != best(capacity, profits, weights)
            count[1] += profit != sum(taken * value for taken, value in zip(solution, profits))
    for solver, (low, other) in counts.items():
        print(f"{items} items, {solver.__name__}: of 200 {low} not the best, {other} with another solution")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'BBKnapsack (20, [1, 0, 0, 0, 0]), HSKnapsack (27, [0, 1, 0, 0, 1]), best 27
4 items, BBKnapsack: of 200 3 not the best, 95 with another solution
4 items, HSKnapsack: of 200 0 not the best, 0 with another solution
8 items, BBKnapsack: of 200 73 not the best, 100 with another solution
8 items, HSKnapsack: of 200 0 not the best, 0 with another solution
15 items, BBKnapsack: of 200 185 not the best, 60 with another solution
15 items, HSKnapsack: of 200 0 not the best, 0 with another solution' ]; then
    echo "changed: knapsacks are filled in another way" >&2
    exit 1
fi
