#!/usr/bin/env bash
# ansible-core: human_to_bytes refuses what human_readable writes for less than 1 KiB.
#
# Expected: the filter human_to_bytes reads what the filter human_readable writes, as it does from 1 KiB on: 1536 is
# "1.50 KB" and 1536 again.
# Seen: human_readable writes 1000 as "1000.00 Bytes" and 0 as "0.00 Bytes", and human_to_bytes fails on both,
# since it knows B only. A play that works with large files so fails with small ones. With isbits for both
# filters, "1000.00 bits" is refused in the same way.
#
# Version: ansible-core 2.19.2. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ansible-core==2.19.2

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from ansible.errors import AnsibleError
from ansible.plugins.filter.mathstuff import FilterModule

print("ansible-core", version("ansible-core"))
filters = FilterModule().filters()
seen = {}
for number in (1536, 1024, 1000, 0):
    for bits in (False, True):
        text = filters["human_readable"](number, isbits=bits)
        try:
            seen[text] = filters["human_to_bytes"](text, isbits=bits)
            print(f"{number} becomes {text!r}, which is read as {seen[text]}")
        except AnsibleError:
            seen[text] = None
            print(f"{number} becomes {text!r}, which is refused")

if seen != {
    "1.50 KB": 1536,
    "1.50 Kb": 1536,
    "1.00 KB": 1024,
    "1.00 Kb": 1024,
    "1000.00 Bytes": None,
    "1000.00 bits": None,
    "0.00 Bytes": None,
    "0.00 bits": None,
}:
    sys.exit("changed: sizes are written or read in another way")
PYTHON
venv/bin/python run.py
