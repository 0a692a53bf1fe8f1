#!/usr/bin/env bash
# quantile-python, and with it the summaries of aioprometheus: the 99 % value of rising latencies is their median.
#
# Expected: query(q) gives a value whose rank is at most the error given for q away from q: with (0.99, 0.001) for the
# numbers 1 to 100,000 one between 98,900 and 99,100 (docstring of Estimator; Cormode and others, Effective
# Computation of Biased Quantiles over Data Streams, 2005). aioprometheus has these three as its default.
# Seen: of values that come in rising order the 50 %, 90 % and 99 % values are 27,253, 44,736 and 49,532: each rank is
# half of what it should be. Of 1,000 shuffled values 99 % is 655; of four values 1 to 4 it is 3. Some samples are
# recorded twice, so that the sum of the ranks exceeds the number of observations.
#
# Versions: quantile-python 1.1 in aioprometheus 23.12.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aioprometheus==23.12.0 quantile-python==1.1

cat >run.py <<'PYTHON'
import random
import sys
from importlib.metadata import version

from aioprometheus import Summary
from quantile import Estimator

print("quantile-python", version("quantile-python"), "in aioprometheus", version("aioprometheus"))
seen = {}
for count, order in ((4, "rising"), (1000, "rising"), (1000, "shuffled"), (100_000, "rising")):
    values = list(range(1, count + 1))
    if order == "shuffled":
        random.Random(1).shuffle(values)
    estimator = Estimator((0.5, 0.05), (0.9, 0.01), (0.99, 0.001))
    for value in values:
        estimator.observe(value)
    seen[count, order] = [estimator.query(part) for part in (0.5, 0.9, 0.99)]
    print(f"1 to {count:,}, {order}: 50 %, 90 % and 99 % are {seen[count, order]}")

summary = Summary("latency", "Latency in milliseconds.")
for value in range(1, 1001):
    summary.add({"service": "web"}, value)
parts = summary.get({"service": "web"})
print("aioprometheus, 1 to 1,000:", parts)

if seen[4, "rising"] != [2, 3, 3] or seen[1000, "rising"] != [275, 454, 496]:
    sys.exit("changed: few values give other quantiles")
if not 600 < seen[1000, "shuffled"][2] < 700 or seen[100_000, "rising"] != [27253, 44736, 49532]:
    sys.exit("changed: many values give other quantiles")
if (parts["count"], parts[0.99]) != (1000, 496):
    sys.exit("changed: aioprometheus gives other quantiles")
PYTHON
venv/bin/python run.py
