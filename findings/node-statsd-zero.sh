#!/usr/bin/env bash
# node-statsd: counting zero counts one, and lynx cannot count zero by increment() either.
#
# Expected: increment(stat, value) sends the value, "the value to send" (its comment; README: "increments a stat by a
# value"), so that a batch without errors adds 0. lynx has count() for that, and sends 0.
# Seen: node-statsd sends 1 for increment("errors", 0) and -1 for decrement("errors", 0), since 0 counts as no value:
# code that adds the number of failures of each round counts a failure for each round without one. 2 is sent as 2, and a
# gauge of 0 as 0.
#
# Version: node-statsd 0.1.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit node-statsd@0.1.1 >/dev/null
echo "node-statsd 0.1.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { StatsD } = require('node-statsd');

const client = new StatsD();
client.socket.send = (buffer) => console.log(buffer.toString());
client.increment('errors', 2);
client.increment('errors', 0);
client.decrement('errors', 0);
client.gauge('load', 0);
client.close();
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'errors:2|c
errors:1|c
errors:-1|c
load:0|g' ]; then
    echo "changed: zero is counted in another way" >&2
    exit 1
fi
