#!/usr/bin/env bash
# trajpy: in the plane the mean squared displacement is half, and a way to the north-west extends to the north-east.
#
# Expected: the time-averaged mean squared displacement at lag tau is the mean of N - tau squared distances: 1 for
# steps of length 1 and tau = 1 (docstring of msd_time_averaged_()). The gyration tensor is the covariance of the
# coordinates (docstring of gyration_radius_(): R_mn with both signs), and its first eigenvector the direction of the
# longest extension.
# Seen: the sum is divided by the count of all numbers, not of points: 0.495 for 100 points in the plane, 0.33 in space,
# so that a diffusion coefficient is halved. The tensor has the roots of the absolute values of half the covariances:
# for a line along x, 20.4 where the docstring's formula gives 833.25 (root 28.9). Since signs are lost, the first
# eigenvector of a line to the north-west is that of one to the north-east.
#
# Versions: trajpy 1.4.4, numpy 1.26.4. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check trajpy==1.4.4 numpy==1.26.4 scipy==1.14.1

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy
from trajpy.trajpy import Trajectory

print("trajpy", version("trajpy"))
steps = numpy.arange(100.0)
displacements = []
for dimensions in (1, 2, 3):
    line = numpy.zeros((100, dimensions))
    line[:, 0] = steps
    displacements.append(round(float(Trajectory.msd_time_averaged_(line, numpy.array([1]))[0]), 3))
print("mean squared displacement of steps of 1, in one, two and three dimensions:", displacements)

east = numpy.column_stack([steps, 0 * steps])
gyration = Trajectory.gyration_radius_(east)["gyration tensor"]
print(f"line along x: tensor {gyration.round(2).tolist()}, covariance {numpy.cov(east.T, bias=True).tolist()}")
directions = {}
for name, sign in (("north-east", 1), ("north-west", -1)):
    way = numpy.column_stack([sign * steps, steps * 1.001])
    first = Trajectory.gyration_radius_(way)["eigenvectors"][:, 0]
    directions[name] = "north-east" if first[0] * first[1] > 0 else "north-west"
    print(f"way to the {name}: first eigenvector {first.round(2).tolist()}, to the {directions[name]}")

if displacements != [0.99, 0.495, 0.33] or round(float(gyration[0, 0]), 2) != 20.41:
    sys.exit("changed: displacements or tensors are other ones")
if directions != {"north-east": "north-east", "north-west": "north-east"}:
    sys.exit("changed: eigenvectors have other directions")
PYTHON
venv/bin/python run.py
