#!/usr/bin/env bash
# py-hostlist: hosts get leading zeros if a later range has some, and hosts without brackets are left out.
#
# Expected: expand() gives the hosts that a list in Slurm's form names, as python-hostlist does.
# Seen: each 0 in the first number of any range counts as one leading zero, and the zeros of all ranges are
# added up: edge[1-3,10-12] becomes edge01, edge02 and edge03, edge[001-003,010-012] becomes edge00001 and so
# on. From "edge[1-2], gate" the host gate is left out, "edge1" gives no host at all. compress_range() makes
# edge[1-3] of edge01, edge02 and edge03, and gives the hosts of two kinds the name of the last: edge1, edge2
# and gate1 become gate[1,1-2].
#
# Versions: py-hostlist 0.0.2.dev0 with python-hostlist 2.3.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv one
python3 -m venv other
one/bin/pip install --quiet --disable-pip-version-check py-hostlist==0.0.2.dev0
other/bin/pip install --quiet --disable-pip-version-check python-hostlist==2.3.0

cat >run.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

from hostlist import hostlist

CODE = "import sys, hostlist; print(','.join(hostlist.expand_hostlist(sys.argv[1])))"
print("py-hostlist", version("py-hostlist"))
seen = {}
for text in ("edge[1-3]", "edge[1-3,10-12]", "edge[001-003,010-012]", "edge[1-2], gate", "edge1"):
    arguments = ["other/bin/python", "-c", CODE, text.replace(" ", "")]
    other = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()
    seen[text] = hostlist.expand(text)
    print(f"{text}: {seen[text] or 'none'}; python-hostlist: {other}")
back = {text: hostlist.compress_range(text) for text in ("edge01,edge02,edge03", "edge1,edge2,gate1")}
print(back)

if seen != {
    "edge[1-3]": "edge1,edge2,edge3",
    "edge[1-3,10-12]": "edge01,edge02,edge03,edge10,edge11,edge12",
    "edge[001-003,010-012]": "edge00001,edge00002,edge00003,edge00010,edge00011,edge00012",
    "edge[1-2], gate": "edge1,edge2",
    "edge1": "",
} or back != {"edge01,edge02,edge03": "edge[1-3]", "edge1,edge2,gate1": "gate[1,1-2]"}:
    sys.exit("changed: hosts are named in another way")
PYTHON
one/bin/python run.py
