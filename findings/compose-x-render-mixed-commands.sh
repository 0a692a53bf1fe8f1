#!/usr/bin/env bash
# compose-x-render: with a second file the words of a command are mixed in another order each time.
#
# Expected: several Compose files are merged as Docker Compose does it: a command of the later file replaces
# the one before, ports with the same published port get the later target; $$ is a dollar sign for the
# container, ${A-x} a default and ${A:?text} an error.
# Seen: the words of both commands go through a set: of ["serve", "--port", "80", "--verbose"] and ["serve",
# "--port", "81"] come five words of both, in an order that changes from run to run. The port keeps the target
# 80 of the first file and is named tcp_81. $$LEVEL is replaced by a dollar sign and the value of LEVEL here,
# ${NONE-x} and ${NONE:?text} are empty. A port with an address, as 127.0.0.1:80:80, is refused.
#
# Version: compose-x-render 1.1.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check compose-x-render==1.1.0

cat >first.yml <<'COMPOSE'
services:
  app:
    image: app
    command: ["serve", "--port", "80", "--verbose"]
    ports: ["8080:80"]
    environment:
      ESCAPED: "$$LEVEL"
      DEFAULT: "${NONE-x}"
      NEEDED: "${NONE:?text}"
COMPOSE
cat >second.yml <<'COMPOSE'
services:
  app:
    command: ["serve", "--port", "81"]
    ports: ["8080:81"]
COMPOSE
sed -e 's/8080:80/127.0.0.1:80:80/' first.yml >address.yml
cat >run.py <<'PYTHON'
import json
import os
import subprocess
import sys
from importlib.metadata import version

CODE = """
import json, sys
from compose_x_render.compose_x_render import ComposeDefinition
print(json.dumps(ComposeDefinition(sys.argv[1:]).definition["services"]["app"]))
"""


def merged(seed, *files):
    environment = {name: value for name, value in os.environ.items() if name != "NONE"}
    environment |= {"PYTHONHASHSEED": str(seed), "LEVEL": "info"}
    command = [sys.executable, "-c", CODE, *files]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


print("compose-x-render", version("compose-x-render"))
services = [json.loads(merged(seed, "first.yml", "second.yml").stdout) for seed in range(6)]
for service in services:
    print("command:", *service["command"])
orders = {tuple(service["command"]) for service in services}
words = {tuple(sorted(service["command"])) for service in services}
(port,) = services[0]["ports"]
print("port:", port)
print("environment:", services[0]["environment"])
address = merged(0, "address.yml").stderr.strip().splitlines()[-1]
print("port with an address:", address[:60])

if len(orders) < 2 or words != {("--port", "--verbose", "80", "81", "serve")}:
    sys.exit("changed: commands are merged in another way")
if (port["target"], port["name"]) != (80, "tcp_81") or "127.0.0.1:80:80 is not valid" not in address:
    sys.exit("changed: ports are merged in another way")
if services[0]["environment"] != {"ESCAPED": "$info", "DEFAULT": "", "NEEDED": ""}:
    sys.exit("changed: variables are replaced in another way")
PYTHON
venv/bin/python run.py
