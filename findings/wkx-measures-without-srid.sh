#!/usr/bin/env bash
# wkx and @syncpoint/wkx: without an SRID a track with times becomes one without, and heights make EWKB unreadable.
#
# Expected: toEwkb() and parse() go there and back, as they serialize and parse EWKB with heights and measures (README).
# In EWKB the dimensions are the flags 0x80000000 for heights and 0x40000000 for measures (PostGIS, "EWKB"); 1001 or
# 2002 are the types of the ISO, which know no SRID.
# Seen: if the geometry has no SRID, as after reading WKT, WKB or TWKB, the type of the ISO is written together with the
# flag of an SRID of 0. The line through 1, 2 at 3 s and 4, 5 at 6 s is read as a line without measures through 1, 2 and
# 3, 4, where 3 was the first time. With heights parse() raises "GeometryType 9 not supported". With an SRID all is
# well. toEwkt() of a geometry without one begins with SRID=undefined, which is no EWKT.
#
# Versions: wkx 0.5.0 and @syncpoint/wkx 0.5.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit wkx@0.5.0 @syncpoint/wkx@0.5.2 >/dev/null
echo "wkx 0.5.0, @syncpoint/wkx 0.5.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
for (const name of ['wkx', '@syncpoint/wkx']) {
    const { Geometry } = require(name);
    for (const text of [
        'LINESTRING M (1 2 3,4 5 6)', 'SRID=4326;LINESTRING M (1 2 3,4 5 6)',
        'POINT Z (1 2 3)', 'SRID=4326;POINT Z (1 2 3)',
    ]) {
        let seen;
        try {
            seen = Geometry.parse(Geometry.parse(text).toEwkb()).toEwkt();
        } catch (error) {
            seen = error.message;
        }
        console.log(`${name}: ${text} comes back as ${seen}`);
    }
    console.log(`${name}: EWKT of POINT(1 2): ${Geometry.parse('POINT(1 2)').toEwkt()}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'wkx: LINESTRING M (1 2 3,4 5 6) comes back as SRID=0;LINESTRING(1 2,3 4)
wkx: SRID=4326;LINESTRING M (1 2 3,4 5 6) comes back as SRID=4326;LINESTRING M (1 2 3,4 5 6)
wkx: POINT Z (1 2 3) comes back as GeometryType 9 not supported
wkx: SRID=4326;POINT Z (1 2 3) comes back as SRID=4326;POINT Z (1 2 3)
wkx: EWKT of POINT(1 2): SRID=undefined;POINT(1 2)
@syncpoint/wkx: LINESTRING M (1 2 3,4 5 6) comes back as SRID=0;LINESTRING(1 2,3 4)
@syncpoint/wkx: SRID=4326;LINESTRING M (1 2 3,4 5 6) comes back as SRID=4326;LINESTRING M (1 2 3,4 5 6)
@syncpoint/wkx: POINT Z (1 2 3) comes back as GeometryType 9 not supported
@syncpoint/wkx: SRID=4326;POINT Z (1 2 3) comes back as SRID=4326;POINT Z (1 2 3)
@syncpoint/wkx: EWKT of POINT(1 2): SRID=undefined;POINT(1 2)' ]; then
    echo "changed: EWKB is written or read in another way" >&2
    exit 1
fi
