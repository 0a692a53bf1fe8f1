#!/usr/bin/env bash
# tokml and geojson-to-kml: a feature without properties is left out.
#
# Expected: the properties of a feature are an object or null (RFC 7946, 3.2), and null is what many tools write for a
# feature that has none. It is a Placemark as well as others. tokml is documented as "convert GeoJSON to KML";
# @placemarkio/tokml writes it.
# Seen: of two features one has a Placemark, the one with an empty object. For null nothing is written and nothing is
# said, so that the file of a data set without properties is empty. So it is with a feature that has no member
# properties.
#
# Versions: tokml 0.4.0, geojson-to-kml 0.0.1, @maphubs/tokml 0.6.1, @placemarkio/tokml 0.3.9, Node.js 20. Seen on
# 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit \
    tokml@0.4.0 geojson-to-kml@0.0.1 @maphubs/tokml@0.6.1 @placemarkio/tokml@0.3.9 >/dev/null
echo "tokml 0.4.0, geojson-to-kml 0.0.1, @maphubs/tokml 0.6.1, @placemarkio/tokml 0.3.9, Node.js $(node --version)"
cat >run.mjs <<'SCRIPT'
import { createRequire } from 'module';

import { toKML } from '@placemarkio/tokml';

const require = createRequire(import.meta.url);
const point = (properties, longitude) => ({
    type: 'Feature',
    properties,
    geometry: { type: 'Point', coordinates: [longitude, 48.1] },
});
const features = { type: 'FeatureCollection', features: [point({}, 11.1), point(null, 11.2)] };
const places = (kml) => (kml.match(/11\.[12]/g) || []).join(' ');
for (const name of ['tokml', 'geojson-to-kml', '@maphubs/tokml']) {
    const library = require(name);
    console.log(name, places((library.default || library)(features)));
}
console.log('@placemarkio/tokml', places(toKML(features)));
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != 'tokml 11.1
geojson-to-kml 11.1
@maphubs/tokml 11.1
@placemarkio/tokml 11.1 11.2' ]; then
    echo "changed: features without properties are written" >&2
    exit 1
fi
