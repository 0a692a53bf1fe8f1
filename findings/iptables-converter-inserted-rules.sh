#!/usr/bin/env bash
# iptables-converter: two inserted rules change places, an argument with ">" is left out, blanks are joined.
#
# Expected: what the converter writes for iptables-restore makes the same rules as the commands. -I puts a rule in front
# of all others, so that of two the second stands first (iptables(8), -I); iptables-restore carries its lines out one
# after another (iptables-restore(8)). A comment in quotes is one argument with its blanks.
# Seen: each -I line is put in front of the lines before it, and stays an -I: carried out in this order, port 81 stands
# before port 82, as the converter puts "in front" into effect twice. Each word with > in it is taken for a redirection,
# so that --u32 "0>>22&0x3C@0=1" loses its value. Several blanks in a comment become one.
#
# Version: iptables-converter 0.9.10. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check iptables-converter==0.9.10
echo "iptables-converter 0.9.10, $(python3 --version)"
cat >run.py <<'PYTHON'
import io
import warnings

warnings.simplefilter("ignore")
from iptables_conv.iptables_converter import Tables

COMMANDS = """iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
iptables -t nat -I PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081
iptables -t nat -I PREROUTING -p tcp --dport 82 -j REDIRECT --to-ports 8082
iptables -t mangle -A INPUT -m u32 --u32 "0>>22&0x3C@0=1" -j MARK --set-mark 1
iptables -t mangle -A INPUT -m comment --comment "two  blanks" -j MARK --set-mark 2
"""
with open("commands", "w") as file:
    file.write(COMMANDS)
output = io.StringIO()
Tables(output, "commands").table_printout()
restored = {}
for line in output.getvalue().splitlines():
    if line.startswith(("-A", "-I")):
        print(line.rstrip())
        command, chain, rule = line.split(maxsplit=2)
        rules = restored.setdefault(chain, [])
        rules.insert(0 if command == "-I" else len(rules), rule)
print("restored:", *(rule.split()[3] for rule in restored["PREROUTING"]))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '-I PREROUTING -p tcp --dport 82 -j REDIRECT --to-ports 8082
-I PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081
-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
-A INPUT -m u32 --u32 -j MARK --set-mark 1
-A INPUT -m comment --comment "two blanks" -j MARK --set-mark 2
restored: 81 82 80' ]; then
    echo "changed: commands are converted in another way" >&2
    exit 1
fi
