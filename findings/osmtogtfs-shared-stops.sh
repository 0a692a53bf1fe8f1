#!/usr/bin/env bash
# osmtogtfs: the bus back has no trips, trains are left out, and colours are never read.
#
# Expected: o2g makes routes of the route relations of an OpenStreetMap file, and with --dummy trips and times for
# each. Trains have route=train, and lines have the tag colour (OpenStreetMap wiki, "Relation:route", "Key:colour").
# Seen: a stop belongs to the first relation that names it. The relation of the way back has none of its own then,
# and no trips; so have lines that share stops with others. Relations with route=train are not among the types that
# are read, though the table of types has them. The colour is looked for under "color". The option --zipfile ends in
# TypeError.
#
# Versions: osmtogtfs 0.4.3, osmium 4.3.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check osmtogtfs==0.4.3 osmium==4.3.2
cat >town.osm <<'OSM'
<osm version="0.6" generator="hand">
  <node id="1" version="1" lat="48.10" lon="11.50"><tag k="name" v="One"/></node>
  <node id="2" version="1" lat="48.11" lon="11.50"><tag k="name" v="Two"/></node>
  <node id="3" version="1" lat="48.12" lon="11.50"><tag k="name" v="Three"/></node>
  <node id="4" version="1" lat="48.13" lon="11.50"><tag k="name" v="Four"/></node>
  <relation id="10" version="1">
    <member type="node" ref="1" role="stop"/><member type="node" ref="2" role="stop"/>
    <member type="node" ref="3" role="stop"/>
    <tag k="type" v="route"/><tag k="route" v="bus"/><tag k="ref" v="7"/><tag k="colour" v="#ff0000"/>
  </relation>
  <relation id="11" version="1">
    <member type="node" ref="3" role="stop"/><member type="node" ref="2" role="stop"/>
    <member type="node" ref="1" role="stop"/>
    <tag k="type" v="route"/><tag k="route" v="bus"/><tag k="ref" v="7"/><tag k="colour" v="#ff0000"/>
  </relation>
  <relation id="12" version="1">
    <member type="node" ref="4" role="stop"/><member type="node" ref="1" role="stop"/>
    <tag k="type" v="route"/><tag k="route" v="train"/><tag k="ref" v="S1"/>
  </relation>
</osm>
OSM
echo "osmtogtfs 0.4.3, osmium 4.3.2"
mkdir feed
venv/bin/o2g --dummy --outdir feed town.osm
routes=$(cut -d, -f1,3,8 feed/routes.txt)
trips=$(cut -d, -f1 feed/trips.txt | tail -n +2 | sort | uniq -c | awk '{print "route " $2 ": " $1 " trips"}')
echo "$routes"
echo "$trips"
if venv/bin/o2g --dummy --zipfile --outdir feed town.osm 2>error.txt; then
  echo "changed: --zipfile works" >&2
  exit 1
fi
tail -n 1 error.txt
if [ "$routes" != 'route_id,route_short_name,route_color
10,7,
11,7,' ] || [ "$trips" != 'route 10: 6 trips' ] || ! grep -q TypeError error.txt; then
  echo "changed: other routes or trips are written" >&2
  exit 1
fi
