#!/usr/bin/env bash
# o2despy: the seed changes nothing for three of five distributions, and a uniform one has a third of its
# spread.
#
# Expected: DurationStatisticsConfig(seed) gives the same durations for the same seed; generate_uniform(mean,
# cv) has the coefficient of variation cv, as generate_normal() has; generate_poisson() has the mean of its
# parameter.
# Seen: the seed goes to Python's random, while the uniform, Poisson and geometric values are drawn by numpy,
# so that a run cannot be repeated. The uniform's half width is sqrt(3 cv) whatever the mean: with a mean of
# 10 and 0.1 the coefficient is 0.032. generate_poisson() draws once to see whether the value is 0, then gives
# a second draw: with a mean of 0.5 it gives 0.2 on average.
#
# Versions: o2despy 0.0.7 with numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==1.26.4

venv/bin/pip install --quiet --disable-pip-version-check --no-deps o2despy==0.0.7
cat >run.py <<'PYTHON'
import statistics
import sys
from importlib.metadata import version

from commons.duration_statistics_config import DurationStatisticsConfig

print("o2despy", version("o2despy"))


def durations(count=40):
    config = DurationStatisticsConfig(7)
    return {
        "exponential": [config.generate_exponential(2) for _ in range(count)],
        "normal": [config.generate_normal(10, 0.1) for _ in range(count)],
        "uniform": [config.generate_uniform(10, 0.1) for _ in range(count)],
        "Poisson": [config.generate_poisson(5) for _ in range(count)],
        "geometric": [config.generate_geometric(5) for _ in range(count)],
    }


first, second = durations(), durations()
other = [name for name in first if first[name] != second[name]]
print("not the same with the same seed:", other)
values = durations(20_000)
spread = {name: statistics.stdev(values[name]) / 10 for name in ("normal", "uniform")}
print("coefficient of variation for 0.1:", {name: round(value, 3) for name, value in spread.items()})
config = DurationStatisticsConfig(7)
mean = statistics.mean(config.generate_poisson(0.5) for _ in range(20_000))
print(f"mean of the Poisson values for 0.5: {mean:.2f}")

if other != ["uniform", "Poisson", "geometric"]:
    sys.exit("changed: other values follow the seed")
if abs(spread["normal"] - 0.1) > 0.01 or abs(spread["uniform"] - 0.0316) > 0.005 or not 0.17 < mean < 0.23:
    sys.exit("changed: the values have another spread or mean")
PYTHON
venv/bin/python run.py
