#!/usr/bin/env bash
# systemdunitparser: the second line of a command becomes a key of its own, and a continued second value raises.
#
# Expected: "Lines ending in a backslash are concatenated with the following non-comment line", with or without blanks
# before it, and the backslash is replaced by a blank; a key may be given several times (systemd.syntax(7)).
# Seen: the line counts as continued where it is indented, as in other INI files: without that, --level=debug is a key
# of the section, and of ExecStart is left the first line with its backslash. Indented, the backslash and a line feed
# stay in the value. Where a key comes a second time with a continued value, as is common for Environment=, the file
# cannot be read: AttributeError.
#
# Version: systemdunitparser 0.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check systemdunitparser==0.4
echo "systemdunitparser 0.4, $(python3 --version)"
cat >run.py <<'PYTHON'
from SystemdUnitParser import SystemdUnitParser

for lines in (
    ("ExecStart=/usr/bin/edge \\", "--level=debug \\", "--port=80"),
    ("ExecStart=/usr/bin/edge \\", "    --level=debug"),
    ("Environment=A=1", "Environment=B=2 \\", "    C=3"),
):
    unit = SystemdUnitParser()
    try:
        unit.read_string("\n".join(("[Service]", *lines, "")))
        print(dict(unit["Service"]))
    except AttributeError as error:
        print("AttributeError:", error)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "{'ExecStart': '/usr/bin/edge \\\\', '--level': 'debug \\\\', '--port': '80'}
{'ExecStart': '/usr/bin/edge \\\\\\n--level=debug'}
AttributeError: 'tuple' object has no attribute 'append'" ]; then
    echo "changed: continued lines are read in another way" >&2
    exit 1
fi
