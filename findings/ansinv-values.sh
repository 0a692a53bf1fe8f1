#!/usr/bin/env bash
# ansinv: in the inventories that it writes, values with blanks fall apart, and "#" ends a line.
#
# Expected: what AnsibleHost(name, ansible_ssh_common_args="-o ProxyJump=gate") says is what Ansible reads from the
# generated inventory. In INI inventories a host's values with blanks need quotes (Ansible documentation, "How to
# build your inventory").
# Seen: values are written as they are. Of the above Ansible reads "-o" and a variable ProxyJump. A note of two
# words or a list of ports makes the file unreadable, and rack#3 is "rack" without any of the variables behind it.
# Variables of groups have a line for each and keep their blanks.
#
# Versions: ansinv 4.0.0, ansible-core 2.19.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ansinv==4.0.0 ansible-core==2.19.2

cat >run.py <<'PYTHON'
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from ansinv import AnsibleGroup, AnsibleHost, AnsibleInventory


def read(inventory):
    Path("hosts.ini").write_text(f"{inventory}\n")
    command = ["venv/bin/ansible-inventory", "-i", "hosts.ini", "--host", "edge-a"]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else "unreadable"


print("ansinv", version("ansinv"), "ansible-core", version("ansible-core"))
seen = []
for variables in (
    {"slots": 4, "zone": "west"},
    {"ansible_ssh_common_args": "-o ProxyJump=gate"},
    {"note": "two words"},
    {"ports": [80, 443]},
    {"label": "rack#3", "zone": "west"},
):
    inventory = AnsibleInventory()
    inventory.add_hosts(AnsibleHost("edge-a", **variables))
    seen.append(read(inventory))
    print(variables, "->", seen[-1])
group = AnsibleGroup("edges", note="two words")
group.add_hosts(AnsibleHost("edge-a"))
inventory = AnsibleInventory()
inventory.add_groups(group)
seen.append(read(inventory))
print("of a group:", seen[-1])

if seen != [
    {"slots": 4, "zone": "west"},
    {"ansible_ssh_common_args": "-o", "ProxyJump": "gate"},
    "unreadable",
    "unreadable",
    {"label": "rack"},
    {"note": "two words"},
]:
    sys.exit("changed: values are written or read in another way")
PYTHON
venv/bin/python run.py
