#!/usr/bin/env bash
# hosts-editor: the host web.edge is written as "w e b . e d g e", and a comment becomes two names.
#
# Expected: editor["127.0.0.1"] = "www.mysite.com" adds that name (docstring of __setitem__, which takes one name or a
# list of names), and entries are found by ip and names. All text behind # is a comment (hosts(5)).
# Seen: the letters of a single name are written apart, so that the file has names of one letter and the host none. What
# stands behind # at the end of a line belongs to the names. So db is not found under its names, and a single name is
# never found, since it is compared with a list.
#
# Version: hosts-editor 1.0.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps hosts-editor==1.0.0
echo "hosts-editor 1.0.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from pathlib import Path

from hostseditor import HostsEditor

Path("hosts").write_text("10.0.0.7 db db.edge # primary\n10.0.0.8 cache\n")
editor = HostsEditor("hosts", create_backup=False)
print("names of 10.0.0.7:", editor.read()[0].names)
print("db, db.edge removed:", editor.remove_entry_where(names=["db", "db.edge"]))
print("cache removed:", editor.remove_entry_where(names="cache"))
editor["10.0.0.9"] = "web.edge"
print(Path("hosts").read_text())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'names of 10.0.0.7: ['\''db'\'', '\''db.edge'\'', '\''#'\'', '\''primary'\'']
db, db.edge removed: False
cache removed: False
10.0.0.7 db db.edge # primary
10.0.0.8 cache
10.0.0.9	w e b . e d g e' ]; then
    echo "changed: the file is read or written in another way" >&2
    exit 1
fi
