#!/usr/bin/env bash
# statsd-parser: where a stream is cut behind the type, the sample rate is lost, and a count of ten counts as one.
#
# Expected: a stream is the same however it is cut into chunks; the README says "streaming parser for the statsd
# protocol". A metric ends with its line, and @0.1 means that one event of ten was sent (statsd, metric_types.md,
# Counting), so that a counts 10.
# Seen: each chunk is tried as a whole line at its end: of a:1|c and |@0.1 in the next chunk the metric is given without
# its rate, and the rest is an error. A cut behind "@0" gives the rate "0". A cut within the type, or at a line feed, is
# right.
#
# Version: statsd-parser 0.0.4, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit statsd-parser@0.0.4 >/dev/null
echo "statsd-parser 0.0.4, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const statsd = require('statsd-parser');

for (const chunks of [['a:1|c|@0.1\n'], ['a:1|c', '|@0.1\n'], ['a:1|c|@0', '.1\n'], ['b:32|m', 's\n']]) {
    const seen = [];
    const stream = statsd.createStream();
    stream.on('stat', (text, stat) => seen.push(`${stat.stat} ${stat.value} ${stat.type} ${stat.sample_rate}`));
    stream.on('error', (error) => seen.push(`error: ${error.message.split('\n')[0]}`));
    for (const chunk of chunks) {
        stream.write(chunk);
    }
    console.log(JSON.stringify(chunks), seen.join(' and '));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '["a:1|c|@0.1\n"] a 1 c 0.1
["a:1|c","|@0.1\n"] a 1 c undefined and error: Buffered Line was not valid stats d `|@0.1`.
["a:1|c|@0",".1\n"] a 1 c 0 and error: Buffered Line was not valid stats d `.1`.
["b:32|m","s\n"] b 32 ms undefined' ]; then
    echo "changed: cut lines are read in another way" >&2
    exit 1
fi
