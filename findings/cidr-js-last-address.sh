#!/usr/bin/env bash
# cidr-js: the last address of a list is never part of a block, and a /0 ends before it begins.
#
# Expected: filter() groups addresses that follow one another, and getBlocks() gives the networks for them (README), so
# that 10.0.0.0 to 10.0.0.3 are one group and 10.0.0.0/30. A prefix of no bits covers all addresses (RFC 4632, 3.1).
# Seen: the last address is compared with itself instead of the one before, and so gets a group of its own, with which
# 10.0.0.0/30 becomes 10.0.0.0/31, 10.0.0.2/32 and 10.0.0.3. filter() of one address is undefined. range() of
# 10.1.2.3/0 begins at 10.1.2.3 and ends at 10.1.2.2.
#
# Version: cidr-js 2.3.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit cidr-js@2.3.1 >/dev/null
echo "cidr-js 2.3.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const CIDR = require('cidr-js');

const cidr = new CIDR();
const addresses = (last) => Array.from({ length: last + 1 }, (_, index) => `10.0.0.${index}`);
console.log('groups of 0 to 3:', JSON.stringify(cidr.filter(addresses(3))));
console.log('groups of one:', cidr.filter(addresses(0)));
for (const last of [3, 4]) {
    console.log(`blocks of 0 to ${last}:`, cidr.getBlocks(addresses(last)).join(' '));
}
for (const network of ['10.1.2.3/1', '10.1.2.3/0']) {
    console.log(`range of ${network}:`, JSON.stringify(cidr.range(network)));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'groups of 0 to 3: {"0":["10.0.0.0","10.0.0.1","10.0.0.2"],"1":["10.0.0.3"]}
groups of one: undefined
blocks of 0 to 3: 10.0.0.0/31 10.0.0.2/32 10.0.0.3
blocks of 0 to 4: 10.0.0.0/30 10.0.0.4
range of 10.1.2.3/1: {"start":"0.0.0.0","end":"127.255.255.255"}
range of 10.1.2.3/0: {"start":"10.1.2.3","end":"10.1.2.2"}' ]; then
    echo "changed: blocks are made in another way" >&2
    exit 1
fi
