#!/usr/bin/env bash
# consistent-hash (npm): with a uniform ring each added node takes all keys, and none can be added after a removal.
#
# Expected: the share of a node is in proportion to its weight, "uniform" spreads the control points of the nodes
# evenly, and points that remove() frees may go to nodes added later (README). An added node takes its share only, and
# other keys stay where they are, which is what the method is for (Karger and others, 1997).
# Seen: a node that joins a ring in use gets the same control points as the one before, so that of 1000 keys all move
# to it and the older nodes serve nothing; removing it moves them to one other node. Only nodes that were added before
# the first get() share the keys. With the default ring, add() after remove() raises TypeError unless a get() lies
# between them.
#
# Version: consistent-hash 1.2.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit consistent-hash@1.2.2 >/dev/null
echo "consistent-hash 1.2.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const ConsistentHash = require('consistent-hash');

function shares(ring) {
    const counts = {};
    for (let key = 0; key < 1000; key += 1) {
        const node = ring.get(`task-${key}`);
        counts[node] = (counts[node] || 0) + 1;
    }
    return JSON.stringify(Object.fromEntries(Object.entries(counts).sort()));
}

const ring = new ConsistentHash({ distribution: 'uniform' });
for (const node of ['edge-a', 'edge-b', 'edge-c']) {
    ring.add(node);
    console.log(`after ${node}: ${shares(ring)} of ${ring.nodeCount} nodes`);
}
console.log('edge-c removed:', shares(ring.remove('edge-c')));
const atOnce = new ConsistentHash({ distribution: 'uniform' });
console.log('all at once:', shares(atOnce.add('edge-a').add('edge-b').add('edge-c')));
const random = new ConsistentHash().add('edge-a').add('edge-b');
try {
    random.remove('edge-b').add('edge-c');
    console.log('add after remove: done');
} catch (error) {
    console.log('add after remove:', error.name);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'after edge-a: {"edge-a":1000} of 1 nodes
after edge-b: {"edge-b":1000} of 2 nodes
after edge-c: {"edge-c":1000} of 3 nodes
edge-c removed: {"edge-b":1000}
all at once: {"edge-a":332,"edge-b":355,"edge-c":313}
add after remove: TypeError' ]; then
    echo "changed: keys are spread in another way" >&2
    exit 1
fi
