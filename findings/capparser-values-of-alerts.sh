#!/usr/bin/env bash
# capparser: alerts are written with the status "Status.Actual", and two categories come back with a third.
#
# Expected: the status is one of Actual, Exercise, System, Test and Draft (CAP 1.2, 3.2.1), and "the timezone for UTC
# MUST be represented as -00:00" (3.3.2).
# An alert that is read and written again has the categories that it had.
# Seen: a new alert has the words Status.Actual, MsgType.Alert and Scope.Public in place of the values, which no schema
# accepts, and a time that ends in +00:00. Reading an alert with two categories puts the default in front of them, which
# is then written as Category.Other. With one category it is right.
#
# Version: capparser 2.0.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check capparser==2.0.4
echo "capparser 2.0.4, $(python3 --version)"
cat >run.py <<'PYTHON'
import re

import capparser

text = capparser.deparse(capparser.Alert(identifier="flood-1", sender="edge@example.org")).decode()
for name in ("sent", "status", "msgType", "scope"):
    value = re.search(f"<{name}>(.*)</{name}>", text).group(1)
    print(name, re.sub(r"\d{4}.*:\d\d(?=[+-])", "...", value))
for categories in (["Met"], ["Met", "Geo"]):
    lines = "".join(f"<category>{category}</category>" for category in categories)
    alert = capparser.parse(
        stringXML='<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>flood-1</identifier>'
        "<sender>edge@example.org</sender><sent>2026-11-30T14:43:00-05:00</sent><status>Actual</status>"
        f"<msgType>Alert</msgType><scope>Public</scope><info>{lines}<event>Flood</event>"
        "<urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty></info></alert>"
    )
    print(categories, "becomes", re.findall("<category>(.*?)</category>", capparser.deparse(alert).decode()))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "sent ...+00:00
status Status.Actual
msgType MsgType.Alert
scope Scope.Public
['Met'] becomes ['Met']
['Met', 'Geo'] becomes ['Category.Other', 'Met', 'Geo']" ]; then
    echo "changed: alerts are read or written in another way" >&2
    exit 1
fi
