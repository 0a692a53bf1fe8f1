#!/usr/bin/env bash
# composerisation: four options of its commands are unknown to Docker or refused, and a command is one word.
#
# Expected: its docstring: "to create the same environment as created by docker-compose". docker run has -e and --env,
# docker network create has no --name but the name behind the options, and --subnet; --stop-timeout takes whole seconds
# (Docker's command line reference). A command that is a list is one word for each item (Compose specification,
# "command").
# Seen: --environment "A=two words" is an unknown flag, as is --name of a network, and the name edge-net is nowhere
# else. 1m30s is given to --stop-timeout as it stands. The subnet goes to --ipam-opt, so that the address 10.1.0.2 is in
# no subnet of the user's. ["sh", "-c", "sleep 9"] becomes the single word "sh -c sleep 9", which is no program.
#
# Version: composerisation 0.1.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check composerisation==0.1.2
echo "composerisation 0.1.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import logging

logging.disable(logging.CRITICAL)
from composerisation.cli import get_docker_start_commands

SERVICE = {
    "image": "edge:1",
    "container_name": "web",
    "command": ["sh", "-c", "sleep 9"],
    "environment": {"A": "two words"},
    "stop_grace_period": "1m30s",
    "networks": {"net": {"ipv4_address": "10.1.0.2"}},
}
NETWORK = {"name": "edge-net", "ipam": {"config": [{"subnet": "10.1.0.0/24"}]}}
for command in get_docker_start_commands({"services": {"web": SERVICE}, "networks": {"net": NETWORK}}):
    if "_network" not in command:
        print(command)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'docker network create --name edge-net --ipam-opt subnet=10.1.0.0/24 net
docker run --name web --environment "A=two words" --stop-timeout 1m30s --detach edge:1 "sh -c sleep 9"
docker network connect --ip 10.1.0.2 net web' ]; then
    echo "changed: commands are written in another way" >&2
    exit 1
fi
