#!/usr/bin/env bash
# dockerfile-parse: ${NAME:-word} becomes ":-word}", so that the base image has another name.
#
# Expected: ${NAME:-word} is word if NAME is not set, ${NAME:+word} is word if it is set, and "ARG A=1 B" declares two
# arguments (Dockerfile reference, "Environment replacement" and "ARG"). A $ without a name is a $.
# Seen: the value of the variable, or nothing, followed by the rest of the braces as text: baseimage is
# ":-registry.example}/debian:12". A $ at the end of a value is left out. With "ARG A=1 B" reading envs raises
# ValueError. That heredocs are not read is known (dockerfile-parse#145).
#
# Version: dockerfile-parse 2.0.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dockerfile-parse==2.0.1

cat >Dockerfile <<'DOCKERFILE'
ARG REGISTRY
FROM ${REGISTRY:-registry.example}/debian:12
ENV LEVEL=${LEVEL:-info}
ENV ROOT=/srv
ENV LOG=${ROOT:+/srv/log} PRICE="5$"
DOCKERFILE
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from dockerfile_parse import DockerfileParser

print("dockerfile-parse", version("dockerfile-parse"))
parser = DockerfileParser()
seen = {"base": parser.baseimage, **parser.envs}
print(seen)
with open("Dockerfile", "a") as file:
    file.write("ARG A=1 B\n")
try:
    seen["arguments"] = DockerfileParser().envs
except ValueError as error:
    seen["arguments"] = type(error)
    print("with ARG A=1 B:", error)

if seen != {
    "base": ":-registry.example}/debian:12",
    "LEVEL": ":-info}",
    "ROOT": "/srv",
    "LOG": "/srv:+/srv/log}",
    "PRICE": "5",
    "arguments": ValueError,
}:
    sys.exit("changed: variables are put in in another way")
PYTHON
venv/bin/python run.py
