#!/usr/bin/env bash
# node-cidr: the common network of two addresses leaves one of them out in one of eight cases.
#
# Expected: commonCidr() gives a network that includes all addresses or networks given (the API of the README, ip and
# cidr), and subnets() all subnets of the size asked for.
# Seen: the size is chosen by the distance of the addresses only, and the end compared is one behind the network's
# last address: 10.0.0.3 and 10.0.0.4 give 10.0.0.2/31, and cidr.includes() of the same library says no for
# 10.0.0.4. Of all pairs in a /24 an eighth fails. subnets() into /32 leaves out the last address, and of 10.0.0.7/29,
# which its other functions take as 10.0.0.0/29, there are no subnets.
#
# Version: node-cidr 1.0.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit node-cidr@1.0.0 >/dev/null
echo "node-cidr 1.0.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { ip, cidr } = require('node-cidr');

for (const pair of [['10.0.0.3', '10.0.0.4'], ['10.0.0.6', '10.0.0.8'], ['10.0.0.6', '10.0.0.9']]) {
    const common = ip.commonCidr(pair);
    console.log(`${pair.join(' and ')}: ${common}, includes`, pair.map((address) => cidr.includes(common, address)));
}
let pairs = 0;
let failed = 0;
for (let low = 0; low < 256; low += 1) {
    for (let high = low + 1; high < 256; high += 1) {
        const pair = [`10.0.0.${low}`, `10.0.0.${high}`];
        const common = ip.commonCidr(pair);
        pairs += 1;
        failed += pair.every((address) => cidr.includes(common, address)) ? 0 : 1;
    }
}
console.log(`${failed} of ${pairs} pairs in 10.0.0.0/24 fail`);
console.log('subnets of 10.0.0.0/30 of 32 bits:', cidr.subnets('10.0.0.0/30', 32).join(' '));
console.log('10.0.0.7/29 begins with', cidr.min('10.0.0.7/29'), 'and has', cidr.subnets('10.0.0.7/29', 30).length,
    'subnets of 30 bits');
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '10.0.0.3 and 10.0.0.4: 10.0.0.2/31, includes [ true, false ]
10.0.0.6 and 10.0.0.8: 10.0.0.4/30, includes [ true, false ]
10.0.0.6 and 10.0.0.9: 10.0.0.4/29, includes [ true, false ]
4288 of 32640 pairs in 10.0.0.0/24 fail
subnets of 10.0.0.0/30 of 32 bits: 10.0.0.0/32 10.0.0.1/32 10.0.0.2/32
10.0.0.7/29 begins with 10.0.0.0 and has 0 subnets of 30 bits' ]; then
    echo "changed: networks are computed in another way" >&2
    exit 1
fi
