#!/usr/bin/env bash
# keepalived-config: an address with a device is refused, a script with "!" in quotes is cut, comments move.
#
# Expected: each line of virtual_ipaddress is an address with options, such as dev (keepalived.conf(5), vrrp_instance).
# A text in double quotes is one word with whatever is in it (same, "Quoted strings"). Comments are supported (README of
# the package).
# Seen: "192.0.2.1/24 dev eth0" raises "Unexpected line format", as does each line of several words that begins with an
# address; an address alone is read. Of "/bin/notify ! now" is saved "/bin/notify # now", a quote that does not end, for
# keepalived itself. The last comment of a block is saved behind the block, and that of the file is lost.
#
# Version: keepalived-config 0.2.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check keepalived-config==0.2.1
echo "keepalived-config 0.2.1, $(python3 --version)"
cat >run.py <<'PYTHON'
from keepalived_config import KeepAlivedConfigParser


def again(text):
    try:
        return "\n".join(item.to_str() for item in KeepAlivedConfigParser().parse_string(text).params)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


block = "virtual_ipaddress {\n    %s\n}"
print(again(block % "192.0.2.1/24"))
print(again(block % "192.0.2.1/24 dev eth0"))
print(
    again(
        """vrrp_instance edge {
    priority 100
    notify_master "/bin/notify ! now"
    # nopreempt
}
vrrp_instance web {
    priority 50
}
# end"""
    )
)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "virtual_ipaddress {
    192.0.2.1/24
}
ValueError: Unexpected line format in None@2: '192.0.2.1/24 dev eth0'
vrrp_instance edge {
    priority 100
    notify_master \"/bin/notify    # now\"
}
# nopreempt
vrrp_instance web {
    priority 50
}" ]; then
    echo "changed: configurations are read in another way" >&2
    exit 1
fi
