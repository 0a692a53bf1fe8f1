#!/usr/bin/env bash
# dtw (npm): with a window the path is not the one whose cost is returned: it costs up to nine times as much.
#
# Expected: compute() gives the cost of the optimal match, for which a window limits how far the two sequences may be
# shifted against each other, and path() "retrieves the optimal match" (API reference), so that the costs of its
# points add up to that of compute(). That is so without a window.
# Seen: of 400 pairs of sequences with a window of 1, 176 have a path of another cost, and all of these leave the
# window. Cells outside of the window are infinite, and the comparison takes infinity for nearly equal to every number,
# so that the way back prefers the diagonal wherever the window ends.
#
# Version: dtw 0.0.3, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dtw@0.0.3 >/dev/null
echo "dtw 0.0.3, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const DTW = require('dtw');

let state = 1;
function draw(below) {
    state = (state * 48271) % 2147483647;
    return state % below;
}
const sequence = (length) => Array.from({ length }, () => draw(6));
const sum = (path, one, other) => path.reduce((cost, [i, j]) => cost + (one[i] - other[j]) ** 2, 0);

for (const window of [undefined, 1]) {
    let different = 0;
    let outside = 0;
    let worst = 1;
    for (let count = 0; count < 400; count += 1) {
        const one = sequence(6);
        const other = sequence(5 + draw(3));
        const dtw = new DTW();
        const cost = dtw.compute(one, other, window);
        const path = dtw.path();
        different += sum(path, one, other) === cost ? 0 : 1;
        outside += path.some(([i, j]) => Math.abs(i - j) > window) ? 1 : 0;
        worst = Math.max(worst, cost > 0 ? sum(path, one, other) / cost : 1);
    }
    console.log(`window ${window}: of 400 paths ${different} have another cost, up to ${worst.toFixed(1)} times,`,
        `${outside} leave the window`);
}
const one = [0, 3, 1, 3, 1, 1];
const other = [3, 5, 5, 3, 4];
const dtw = new DTW();
console.log(`${JSON.stringify(one)} and ${JSON.stringify(other)}: cost ${dtw.compute(one, other, 1)},`,
    `of the path ${sum(dtw.path(), one, other)}: ${JSON.stringify(dtw.path())}`);
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'window undefined: of 400 paths 0 have another cost, up to 1.0 times, 0 leave the window
window 1: of 400 paths 176 have another cost, up to 9.3 times, 176 leave the window
[0,3,1,3,1,1] and [3,5,5,3,4]: cost 34, of the path 80: [[0,0],[0,1],[0,2],[1,2],[2,3],[3,3],[4,3],[5,4]]' ]; then
    echo "changed: paths are found in another way" >&2
    exit 1
fi
