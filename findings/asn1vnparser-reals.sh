#!/usr/bin/env bash
# asn1vnparser: the ASN.1 value -1.5 becomes 1.5, and 10.5 ends the reading of all that follows, without an error.
#
# Expected: a REAL may be negative ("-" realnumber, X.680 21.6), and may have several digits in front of its point
# (12.9). parse_asn1_value_assignments() reads a list of assignments, such as the measurements of a radio network.
# Seen: of each negative REAL the minus is lost; integers keep it. Of 10.5 the integer 1 is read, since the zero is
# not followed by a point; as a value of its own that raises ParseException, in a list of assignments the value is
# 1, and the assignments behind it are missing.
#
# Versions: asn1vnparser 0.2.3, pyparsing 2.4.7. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check asn1vnparser==0.2.3 pyparsing==2.4.7

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pyparsing
from asn1vnparser import parse_asn1_value, parse_asn1_value_assignments

print("asn1vnparser", version("asn1vnparser"), "pyparsing", version("pyparsing"))
seen = {}
for text in ("1.5", "-1.5", "-12", "{gain -0.25, loss 1.5}", "10.5"):
    try:
        seen[text] = parse_asn1_value(text)
    except pyparsing.ParseException as error:
        seen[text] = type(error).__name__
    print(text, "becomes", seen[text])
several = "low REAL ::= -2.5\nhigh REAL ::= 10.5\ncell INTEGER ::= 7"
values = [(one.value_name, one.value) for one in parse_asn1_value_assignments(several)]
print(several.replace("\n", ", "), "becomes", values)

if seen != {
    "1.5": 1.5,
    "-1.5": 1.5,
    "-12": -12,
    "{gain -0.25, loss 1.5}": {"gain": 0.25, "loss": 1.5},
    "10.5": "ParseException",
} or values != [("low", 2.5), ("high", 1)]:
    sys.exit("changed: real numbers are read in another way")
PYTHON
venv/bin/python run.py
