#!/usr/bin/env bash
# dns2: an EDNS option that the library does not know costs what stands behind it.
#
# Expected: options that are not understood are passed over (RFC 6891, 6.1.2). A server that answers with the
# nearest edge host reads the client's network from the option ECS (RFC 7871), wherever it stands.
# Seen: the length of an unknown option, in octets, is taken for a number of bits. If a cookie (RFC 7873) or
# padding (RFC 7830) stands in front of ECS, Packet.parse() leaves out the whole OPT record, with no error;
# if ECS stands in front, it is read. dnspython reads both orders.
#
# Versions: dns2 3.0.0 beside dnspython 2.8.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dns2@3.0.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dnspython==2.8.0
cat >make.py <<'PYTHON'
import dns.edns
import dns.message

network = dns.edns.ECSOption("203.0.113.0", 24)
cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes.fromhex("0102030405060708"))
padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(8))
for name, options in (
    ("network,cookie", [network, cookie]),
    ("cookie,network", [cookie, network]),
    ("padding,network", [padding, network]),
):
    query = dns.message.make_query("edge.example.", "A", use_edns=0, options=options, id=1)
    wire = query.to_wire()
    print(name, wire.hex(), [o.address for o in dns.message.from_wire(wire).options if o.otype == dns.edns.OptionType.ECS][0])
PYTHON
venv/bin/python make.py >queries
cat >run.js <<'SCRIPT'
const fs = require('fs');
const { Packet } = require('dns2');
const seen = fs.readFileSync('queries', 'utf8').trim().split('\n').map((line) => {
    const [name, wire, expected] = line.split(' ');
    const options = Packet.parse(Buffer.from(wire, 'hex')).additionals.map((record) => record.rdata.map((option) => option.ip));
    console.log(`${name}: dnspython reads ${expected}, dns2 reads OPT records with ${JSON.stringify(options)}`);
    return JSON.stringify(options);
});
if (seen.join(' ') !== '[["203.0.113.0"]] [] []') {
    console.error('changed: unknown options are passed over in another way');
    process.exit(1);
}
SCRIPT
node run.js
