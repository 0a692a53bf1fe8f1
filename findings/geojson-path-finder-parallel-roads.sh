#!/usr/bin/env bash
# geojson-path-finder: of two roads between the same junctions only one is known, and it may be the longer.
#
# Expected: findPath() gives "the shortest path between two points in the network" (README); the network is a graph in
# which two lines may join the same two vertices: a road and its bypass, or the two carriageways of one street.
# Seen: for each pair of vertices one edge is kept, that of the line that was read last. Between two junctions the
# detour of 157 km is given, or the direct road of 113 km if the two lines stand in the other order in the file. With
# weights 5 and 1 for two equal lines the path costs 1 or 5. Of two one-way lines, one for each direction, the first is
# lost, so that there is no way from A to B.
#
# Versions: geojson-path-finder 2.1.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit geojson-path-finder@2.1.0 >/dev/null
cat >run.mjs <<'SCRIPT'
import module from 'geojson-path-finder';

const PathFinder = module.default ?? module;
const point = (coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates } });
const line = (coordinates, cost = 1) => ({
    type: 'Feature', properties: { cost }, geometry: { type: 'LineString', coordinates },
});
const [a, b] = [[0, 0], [1, 0]];
function cost(lines, from, to, options) {
    const finder = new PathFinder({ type: 'FeatureCollection', features: lines }, options);
    const path = finder.findPath(point(from), point(to));
    return path ? Math.round(path.weight) : 'no path';
}
const others = [[[-1, 0], a], [a, [-1, 1]], [b, [2, 0]], [b, [2, 1]]].map((pair) => line(pair));
const [detour, direct] = [line([a, [0.5, 0.5], b]), line([a, [0.5, 0.1], b])];
console.log('detour, then direct road:', cost([detour, direct, ...others], a, b), 'km');
console.log('direct road, then detour:', cost([direct, detour, ...others], a, b), 'km');
const weight = (from, to, properties) => properties.cost;
console.log('costs 5, then 1:', cost([line([a, b], 5), line([a, b], 1)], a, b, { weight }));
console.log('costs 1, then 5:', cost([line([a, b], 1), line([a, b], 5)], a, b, { weight }));
const oneWay = { weight: () => ({ forward: 1, backward: 0 }) };
const both = [line([a, b]), line([b, a])];
console.log('two one-way lines, there:', cost(both, a, b, oneWay), 'and back:', cost(both, b, a, oneWay));
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != "detour, then direct road: 157 km
direct road, then detour: 113 km
costs 5, then 1: 1
costs 1, then 5: 5
two one-way lines, there: no path and back: 1" ]; then
    echo "changed: parallel lines are taken in another way" >&2
    exit 1
fi
