#!/usr/bin/env bash
# compose-py: with dataclasses a service of one line is written with 81 nulls, and extensions are left out.
#
# Expected: a Compose file that is read and written describes the same services; dump_yaml_str() has an
# argument "simplify", true by default; keywords that begin with x- are extensions that tools may use (the
# Compose specification).
# Seen: with ModelType.DATACLASSES "simplify" is not looked at, and each keyword that the file does not have
# is written as null, at the top of the file too: "services: {web: {image: web}}" becomes a file with
# networks, secrets and volumes that are null. x-policy and x-site, and newer keywords such as develop, are
# gone. The copy() of a service, which the README calls, does not exist.
#
# Versions: compose-py 0.3.0 with dacite 1.9.2 and PyYAML 6.0.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check compose-py==0.3.0 dacite==1.9.2 PyYAML==6.0.3

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import compose_py
import yaml

print("compose-py", version("compose-py"))
KIND = {"model": compose_py.ModelType.DATACLASSES}
TEXT = """x-site: north
services:
  web:
    image: web
    x-policy: {weight: 2}
    develop: {watch: []}
"""
read = compose_py.load_yaml_str(TEXT, **KIND)
written = yaml.safe_load(compose_py.dump_yaml_str(read, simplify=True, **KIND))
service = written["services"]["web"]
nulls = sum(value is None for value in service.values())
top = sorted(name for name, value in written.items() if value is None)
kept = {name: value for name, value in service.items() if value is not None}
print(f"{nulls} keywords of the service are null, and of the file {top}; kept: {kept}")
try:
    read.services["web"].copy()
    copied = None
except AttributeError as error:
    copied = str(error)
print("copy():", copied)

expected = ["configs", "name", "networks", "secrets", "version", "volumes"]
if kept != {"image": "web"} or nulls != 81 or top != expected:
    sys.exit("changed: the file is written in another way")
if copied != "'Service' object has no attribute 'copy'":
    sys.exit("changed: services can be copied")
PYTHON
venv/bin/python run.py
