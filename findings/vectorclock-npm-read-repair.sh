#!/usr/bin/env bash
# vectorclock (npm): the read repair of its README loses the newest value.
#
# Expected: ascSort and descSort "can be used to sort an array of objects by their clock key", and after
# sort(descSort) the topmost is the greatest; the read repair of the README keeps it and all that are concurrent to it.
# Seen: concurrent clocks compare as 0, which sort() takes for equal, so that values stay in place where a concurrent
# one lies between them: {a: 1} stays before {a: 2}. The read repair then takes {a: 1} for the greatest and drops
# {a: 2}, since that is not concurrent to it. Of the six orders in which three answers may come, one loses the newest
# value, and two keep the old one, which the newest replaces, as if nobody had replaced it.
#
# Version: vectorclock 0.0.0 (npm), Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit vectorclock@0.0.0 >/dev/null
echo "vectorclock 0.0.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const clocks = require('vectorclock');

const old = { clock: { a: 1 } };
const other = { clock: { b: 1 } };
const newest = { clock: { a: 2 } };
console.log('compare(old, newest):', clocks.compare(old, newest));
for (const order of [
    [old, other, newest], [old, newest, other], [other, old, newest],
    [other, newest, old], [newest, old, other], [newest, other, old],
]) {
    const answers = order.slice().sort(clocks.descSort);
    const greatest = answers.shift();
    const kept = [greatest, ...answers.filter((answer) => (
        clocks.isConcurrent(answer, greatest) && !clocks.isIdentical(answer, greatest)
    ))];
    console.log(JSON.stringify(order.map((answer) => answer.clock)), 'leaves',
        JSON.stringify(kept.map((answer) => answer.clock)));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'compare(old, newest): -1
[{"a":1},{"b":1},{"a":2}] leaves [{"a":1},{"b":1}]
[{"a":1},{"a":2},{"b":1}] leaves [{"a":2},{"b":1}]
[{"b":1},{"a":1},{"a":2}] leaves [{"b":1},{"a":2},{"a":1}]
[{"b":1},{"a":2},{"a":1}] leaves [{"b":1},{"a":2},{"a":1}]
[{"a":2},{"a":1},{"b":1}] leaves [{"a":2},{"b":1}]
[{"a":2},{"b":1},{"a":1}] leaves [{"a":2},{"b":1}]' ]; then
    echo "changed: clocks are sorted in another way" >&2
    exit 1
fi
