#!/usr/bin/env bash
# ansible-inventory-manage: a host keeps its old address whatever is set, and a host without variables is an
# error.
#
# Expected: add_host() of a host that is there and update_host() set its variables, a higher priority before a
# lower one. A dynamic inventory may name hosts in groups that are not in _meta.hostvars (Ansible: they have
# no variables).
# Seen: update_host() sets the priority of the host first and then compares it with itself, so that the old
# value wins with any priority: a host that moved from 192.0.2.1 to 192.0.2.9 keeps the first. Lists are
# joined instead: the same list set again has each entry twice. An inventory with a host that has no variables
# raises KeyError.
#
# Versions: ansible-inventory-manage 0.0.2 with future 1.0.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ansible-inventory-manage==0.0.2 future==1.0.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from ansible_inventory_manage.inventory import Inventory

print("ansible-inventory-manage", version("ansible-inventory-manage"))
inventory = Inventory()
variables = {"edge-a": {"ansible_host": "192.0.2.1", "peers": ["edge-b"]}}
inventory.load_inventoryjson({"_meta": {"hostvars": variables}, "edge": {"hosts": ["edge-a"]}})
seen = []
for priority in (0, 10):
    inventory.add_host("edge-a", {"ansible_host": "192.0.2.9"}, priority)
    seen.append(inventory.hosts["edge-a"].vars["ansible_host"])
print("address after setting 192.0.2.9 with the priorities 0 and 10:", seen)
inventory.update_host("edge-a", {"peers": ["edge-b"]}, 20)
peers = inventory.hosts["edge-a"].vars["peers"]
print("peers after setting edge-b again:", peers)
try:
    Inventory().load_inventoryjson({"_meta": {"hostvars": {}}, "edge": {"hosts": ["edge-a"]}})
    without = None
except KeyError as error:
    without = repr(error)
print("a host without variables:", without)

if seen != ["192.0.2.1", "192.0.2.1"] or peers != ["edge-b", "edge-b"] or without != "KeyError('edge-a')":
    sys.exit("changed: hosts are updated or read in another way")
PYTHON
venv/bin/python run.py
