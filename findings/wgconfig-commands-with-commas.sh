#!/usr/bin/env bash
# wgconfig: a second command of a WireGuard interface is written as an argument of the first.
#
# Expected: PostUp and its like are "script snippets which will be executed by bash(1)", and where one is given several
# times, "the commands are executed in order" (wg-quick(8)). They are no lists, and have commas of their own.
# Seen: add_attr() puts the new command behind the last one of the same name with a comma, so that bash gets one command
# with too many arguments; for lists such as AllowedIPs that is right. Reading takes a command apart at its commas: of
# two commands three are left. With append_as_line=True a line of its own is written.
#
# Version: wgconfig 1.2.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wgconfig==1.2.0
echo "wgconfig 1.2.0, $(python3 --version)"
cat >run.py <<'PYTHON'
import io

import wgconfig

config = wgconfig.WGConfig()
config.read_from_fileobj(
    io.StringIO(
        "[Interface]\n"
        "PostUp = iptables -A INPUT -p udp -m multiport --dports 4789,51820 -j ACCEPT\n"
        "PostUp = ip rule add fwmark 1 table 200\n"
    )
)
print("read:", config.get_interface()["PostUp"])
config.add_attr(None, "PostUp", "sysctl -w net.ipv4.ip_forward=1")
config.write_to_fileobj(written := io.StringIO())
print(written.getvalue(), end="")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "read: ['iptables -A INPUT -p udp -m multiport --dports 4789', '51820 -j ACCEPT', 'ip rule add fwmark 1 table 200']
[Interface]
PostUp = iptables -A INPUT -p udp -m multiport --dports 4789,51820 -j ACCEPT
PostUp = ip rule add fwmark 1 table 200, sysctl -w net.ipv4.ip_forward=1" ]; then
    echo "changed: commands are read or written in another way" >&2
    exit 1
fi
