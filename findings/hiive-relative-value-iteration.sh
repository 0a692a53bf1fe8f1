#!/usr/bin/env bash
# mdptoolbox-hiive: RelativeValueIteration fails on every model.
#
# Expected: the example in the class's docstring, the forest that is cut or left to grow, ends with an average
# reward of 3.24 a step. pymdptoolbox, of which this is a fork, gives that.
# Seen: run() raises AttributeError, 'RelativeValueIteration' object has no attribute 'gamma'. The class, which takes
# no discount, sets `discount` to 1, but the fork's Bellman step reads `gamma`. With gamma set to 1 from
# outside it gives 3.24.
#
# Versions: mdptoolbox-hiive 4.0.3.1 beside pymdptoolbox 4.0b3, numpy 1.26.4, scipy 1.11.4. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.11.4
# Without dependencies: drawing and games, which are not used here.
venv/bin/pip install --quiet --disable-pip-version-check --no-deps mdptoolbox-hiive==4.0.3.1 pymdptoolbox==4.0b3

cat >run.py <<'PYTHON'
import importlib
import sys

package = sys.argv[1]
example = importlib.import_module(f"{package}.example")
mdp = importlib.import_module(f"{package}.mdp")
model = mdp.RelativeValueIteration(*example.forest())
try:
    model.run()
except AttributeError as error:
    print(error)
    model.gamma = 1
    model.run()
    print(f"with gamma = 1: {model.average_reward:.6f}")
else:
    print(f"{model.average_reward:.6f}")
PYTHON
one=$(venv/bin/python run.py mdptoolbox)
other=$(venv/bin/python run.py hiive.mdptoolbox)
echo "pymdptoolbox: $one"
echo "mdptoolbox-hiive: $other"
wrong="'RelativeValueIteration' object has no attribute 'gamma'
with gamma = 1: 3.240000"
if [ "$one" != 3.240000 ] || [ "$other" != "$wrong" ]; then
    echo "changed: RelativeValueIteration ends in another way" >&2
    exit 1
fi
