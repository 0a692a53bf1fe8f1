#!/usr/bin/env bash
# node-netflowv9: two options templates in one set are read as one, so that the records of both are dropped.
#
# Expected: "Each Options Template FlowSet MAY contain multiple Options Template Records" (RFC 3954, 6.1), such as one
# for the sampling and one for the names of interfaces.
# Seen: the second template is taken for more fields of the first, whose records are then too short, and is not known
# itself: no record is left, without an error. In two sets of their own both are read, and so are two templates for
# flows in one set.
#
# Version: node-netflowv9 0.2.16, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit node-netflowv9@0.2.16 >/dev/null
echo "node-netflowv9 0.2.16, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const Collector = require('node-netflowv9');

const words = (...values) => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));
const long = (value) => Buffer.from([0, 0, value >> 8, value & 255]);
const set = (id, ...parts) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([words(id, 4 + body.length), body]);
};
// template, length of the scope, length of the options; then type and length of each field
const sampling = words(256, 4, 8, 1, 4, 34, 4, 35, 4); // system; sampling interval and algorithm
const interfaces = words(257, 4, 4, 2, 4, 82, 8); // interface; its name
const records = [
  set(256, long(7), long(100), long(1)),
  set(257, long(3), Buffer.from('eth0\0\0\0\0')),
];

function read(...templates) {
  const header = Buffer.concat([words(9, 4), long(1000), long(1), long(1), long(7)]);
  const collector = new Collector(() => {});
  const { flows } = collector.nfPktDecode(Buffer.concat([header, ...templates, ...records]), { address: 'a', port: 1 });
  collector.server.close();
  return flows.map((flow) => flow.if_name || `1 of ${flow.sampling_interval}`);
}

console.log('two sets:', read(set(1, sampling), set(1, interfaces)));
console.log('one set:', read(set(1, sampling, interfaces)));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "two sets: [ '1 of 100', 'eth0' ]
one set: []" ]; then
    echo "changed: options templates are read in another way" >&2
    exit 1
fi
