#!/usr/bin/env bash
# dnsz: in a reverse zone the owner 10 becomes a time to live of 10 s, and all names belong to the zone itself.
#
# Expected: what begins a line is the owner, and the time to live can only follow it; a line without an owner begins
# with a blank. A name without a dot at its end belongs to the origin in force, and $ORIGIN can change on the way
# (RFC 1035, 5.1). dnspython reads both zones below so.
# Seen: 10 IN PTR edge-a... is read as the owner @ with a time to live of 10; so it is for each number that has no
# time to live behind it. stringifyZone() writes the last origin on top for all records, and the target of www as it
# came, so that www leads to edge-a.sub.edge.example instead of edge-a.edge.example.
#
# Versions: dnsz 4.5.2 beside dnspython 2.8.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dnsz@4.5.2 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dnspython==2.8.0
cat >reverse <<'ZONE'
$ORIGIN 2.0.192.in-addr.arpa.
$TTL 3600
@ IN SOA ns.edge.example. admin.edge.example. 1 7200 900 1209600 300
@ IN NS ns.edge.example.
10 IN PTR edge-a.edge.example.
11 60 IN PTR edge-b.edge.example.
ZONE
cat >origins <<'ZONE'
$ORIGIN edge.example.
$TTL 3600
@ IN SOA ns.edge.example. admin.edge.example. 1 7200 900 1209600 300
@ IN NS ns.edge.example.
www CNAME edge-a
$ORIGIN sub.edge.example.
host A 192.0.2.9
ZONE
cat >run.mjs <<'SCRIPT'
import fs from 'fs';
import { parseZone, stringifyZone } from 'dnsz';

for (const record of parseZone(fs.readFileSync('reverse', 'utf8')).records.slice(2)) {
    console.log('dnsz:', record.name, record.ttl, record.content);
}
fs.writeFileSync('written', stringifyZone(parseZone(fs.readFileSync('origins', 'utf8'))));
SCRIPT
cat >run.py <<'PYTHON'
import dns.zone

for name, ttl, data in dns.zone.from_file("reverse", relativize=False).iterate_rdatas("PTR"):
    print("dnspython:", name, ttl, data)
for file in ("origins", "written"):
    zone = dns.zone.from_file(file, origin="edge.example.", relativize=False)
    print(f"dnspython, {file}:", *(f"{name} leads to {data}" for name, _, data in zone.iterate_rdatas("CNAME")))
PYTHON
seen=$(node run.mjs && venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "dnsz: 2.0.192.in-addr.arpa 10 edge-a.edge.example.
dnsz: 11.2.0.192.in-addr.arpa 60 edge-b.edge.example.
dnspython: 10.2.0.192.in-addr.arpa. 3600 edge-a.edge.example.
dnspython: 11.2.0.192.in-addr.arpa. 60 edge-b.edge.example.
dnspython, origins: www.edge.example. leads to edge-a.edge.example.
dnspython, written: www.edge.example. leads to edge-a.sub.edge.example." ]; then
    echo "changed: zones are read or written in another way" >&2
    exit 1
fi
