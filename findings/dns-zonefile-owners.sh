#!/usr/bin/env bash
# dns-zonefile: an address is given to another owner, and some addresses are lost.
#
# Expected: the README says that it complies with RFC 1035. There (5.1) a line that begins with a blank belongs
# to the last stated owner, whatever its type was, and the class may stand before the time to live
# ("edge-c IN 60 A ..."), as well as behind it.
# Seen: the owner is taken from the last record of the same type, and is "@" if there is none: the IPv6
# addresses of edge-a and edge-b both go to the zone's own name. The record of edge-c is lost without a
# word. dnspython reads all five.
#
# Versions: dns-zonefile 0.3.2 beside dnspython 2.8.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dns-zonefile@0.3.2 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dnspython==2.8.0
cat >zone <<'ZONE'
$ORIGIN edge.example.
$TTL 300
@       IN SOA ns.edge.example. admin.edge.example. (1 7200 900 1209600 300)
@       IN NS ns.edge.example.
edge-a  IN A 192.0.2.1
        IN AAAA 2001:db8::1
edge-b  IN A 192.0.2.2
        IN AAAA 2001:db8::2
edge-c  IN 60 A 192.0.2.3
ZONE
cat >run.py <<'PYTHON'
import json

import dns.zone

zone = dns.zone.from_file("zone", origin="edge.example.", relativize=True)
found = [
    [str(name), data.address]
    for kind in ("A", "AAAA")
    for name, rdataset in zone.iterate_rdatasets(kind)
    for data in rdataset
]
print(json.dumps(sorted(found), separators=(",", ":")))
PYTHON
cat >run.mjs <<'SCRIPT'
import fs from 'fs';
import zonefile from 'dns-zonefile';
const zone = zonefile.parse(fs.readFileSync('zone', 'utf8'));
console.log(JSON.stringify([...zone.a, ...zone.aaaa].map((record) => [record.name, record.ip]).sort()));
SCRIPT
one=$(venv/bin/python run.py)
other=$(node run.mjs)
echo "dnspython:    $one"
echo "dns-zonefile: $other"
right='[["edge-a","192.0.2.1"],["edge-a","2001:db8::1"],["edge-b","192.0.2.2"],["edge-b","2001:db8::2"],["edge-c","192.0.2.3"]]'
wrong='[["@","2001:db8::1"],["@","2001:db8::2"],["edge-a","192.0.2.1"],["edge-b","192.0.2.2"]]'
if [ "$one" != "$right" ] || [ "$other" != "$wrong" ]; then
    echo "changed: the zone is read in another way" >&2
    exit 1
fi
