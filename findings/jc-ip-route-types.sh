#!/usr/bin/env bash
# jc: a blocked network loses its address, and the hops of a route become routes of their own.
#
# Expected: a line of `ip route` starts with the type of the route, unless it is unicast, and the network follows
# (ip-route(8)); the indented lines "nexthop" belong to the route above them, as `ip -json route` gives them.
# Seen: "blackhole 10.42.0.0/16" has the address "blackhole", and 10.42.0.0/16 is nowhere; the default route over
# two gateways comes out without a gateway, and two routes to an address "nexthop" behind it.
#
# Version: jc 1.26.1; the text is from iproute2 6.1.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jc==1.26.1

cat >routes <<'ROUTES'
default proto static 
	nexthop via 192.0.2.1 dev eth0 weight 2 
	nexthop via 198.51.100.1 dev eth1 weight 1 
blackhole 10.42.0.0/16 proto 80 
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.9 
ROUTES
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import jc

print("jc", version("jc"))
routes = jc.parse("ip_route", Path("routes").read_text())
for route in routes:
    print(route)

if routes != [
    {"ip": "default", "proto": "static"},
    {"ip": "nexthop", "via": "192.0.2.1", "dev": "eth0"},
    {"ip": "nexthop", "via": "198.51.100.1", "dev": "eth1"},
    {"ip": "blackhole", "proto": "80"},
    {"ip": "192.0.2.0/24", "dev": "eth0", "proto": "kernel", "scope": "link", "src": "192.0.2.9"},
]:
    sys.exit("changed: the routes are read in another way")
PYTHON
venv/bin/python run.py
