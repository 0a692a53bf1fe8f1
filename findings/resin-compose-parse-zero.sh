#!/usr/bin/env bash
# resin-compose-parse: a variable of value 0 becomes empty.
#
# Expected: the value of a variable in the mapping form of `environment` can be a number (Compose specification,
# "environment"), and EDGE_INDEX: 0 means the same as "EDGE_INDEX=0" in the list form.
# Seen: normalize() makes EDGE_INDEX "", as for a variable without a value, and says nothing. 1 becomes "1". In labels,
# where numbers are valid too, 0 is lost in the same way. In the list form the 0 stays.
#
# Version: resin-compose-parse 2.4.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit resin-compose-parse@2.4.0 js-yaml@4.1.0 >/dev/null
cat >compose.yml <<'COMPOSE'
version: "2.4"
services:
  mapping:
    image: registry.example/app:1
    environment:
      EDGE_INDEX: 0
      EDGE_COUNT: 1
    labels:
      edge.index: 0
  list:
    image: registry.example/app:1
    environment:
      - EDGE_INDEX=0
      - EDGE_COUNT=1
    labels:
      - edge.index=0
COMPOSE
cat >run.js <<'SCRIPT'
const { normalize } = require('resin-compose-parse');
const yaml = require('js-yaml');

const { services } = normalize(yaml.load(require('fs').readFileSync('compose.yml', 'utf8')));
for (const name of ['mapping', 'list']) {
    console.log(name, JSON.stringify(services[name].environment), JSON.stringify(services[name].labels));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'mapping {"EDGE_INDEX":"","EDGE_COUNT":"1"} {"edge.index":""}
list {"EDGE_INDEX":"0","EDGE_COUNT":"1"} {"edge.index":"0"}' ]; then
    echo "changed: zeros are read in another way" >&2
    exit 1
fi
