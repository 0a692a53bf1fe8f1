#!/usr/bin/env bash
# nanotar: parseTar() cuts long names at the first space, and gives a link the name of its target.
#
# Expected: a record of a pax header is "%d %s=%s\n", of length, keyword and value (POSIX.1-2017, pax, pax
# Extended Header); the value may hold spaces. The keyword linkpath, like GNU tar's type K, is the target of
# a link, and not the name of the entry.
# Seen: "reports/.../north east.csv" and "reports/.../north west.csv", both over 100 bytes, have the same
# name, "reports/.../north", so that one is written over the other. The symbolic link "latest" to a long
# path is given as an entry with the name of that path, in both formats, and "latest" is nowhere. GNU tar
# lists all names rightly.
# That the prefix field of ustar is left out is known (nanotar#29, #38); this is not that.
#
# Versions: nanotar 0.3.0 beside GNU tar 1.34, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit nanotar@0.3.0 >/dev/null
part=$(printf 'x%.0s' {1..50})
mkdir -p "tree/reports/$part/$part"
echo east >"tree/reports/$part/$part/north east.csv"
echo west >"tree/reports/$part/$part/north west.csv"
ln -s "reports/$part/$part/north west.csv" tree/latest
for format in pax gnu; do
    tar --create --format=$format --file=$format.tar -C tree "reports/$part/$part/north east.csv" \
        "reports/$part/$part/north west.csv" latest
    tar --list --file=$format.tar >$format.txt
done
cat >run.mjs <<'SCRIPT'
import fs from 'fs';
import { parseTar } from 'nanotar';
const short = (name) => name.replace(/x{50}/g, 'x…x');
const seen = {};
for (const format of ['pax', 'gnu']) {
    const names = parseTar(new Uint8Array(fs.readFileSync(`${format}.tar`))).map((entry) => entry.name);
    const listed = fs.readFileSync(`${format}.txt`, 'utf8').trim().split('\n');
    seen[format] = names.map(short);
    console.log(`${format}: GNU tar lists ${JSON.stringify(listed.map(short))}`);
    console.log(`${format}: nanotar gives  ${JSON.stringify(seen[format])}`);
}
const folder = 'reports/x…x/x…x/';
const same = JSON.stringify(seen.pax) === JSON.stringify([`${folder}north`, `${folder}north`, `${folder}north`])
    && JSON.stringify(seen.gnu) === JSON.stringify([`${folder}north east.csv`, `${folder}north west.csv`, `${folder}north west.csv`]);
if (!same) {
    console.error('changed: other names are given');
    process.exit(1);
}
SCRIPT
node run.mjs
