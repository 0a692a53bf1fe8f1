#!/usr/bin/env bash
# tar-stream: a file of user 3000000 belongs to user 0, and times before 1970 are wrong.
#
# Expected: the records uid, gid and mtime of a pax header take the place of the fields of the header (POSIX, pax,
# "pax Extended Header"). GNU tar writes a user over 2,097,151 in this way, since the field is too small, and puts
# 0 into the field; users of containers with shifted ids can be that high. tar-stream's README names support
# for pax extended headers.
# Seen: the entry has uid 0 and gid 0, and for 1.5 s before 1970 the time 1970-01-01T00:00:00. Only path, linkpath
# and size are taken over; the other records are in the entry's pax. The same file in GNU's own format has the
# right owners, but is a second late: 23:59:59 instead of 23:59:58, as for every time before 1970.
#
# Versions: tar-stream 3.2.2 beside tar 7.5.23 (npm), GNU tar 1.34, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit tar-stream@3.2.2 tar@7.5.23 >/dev/null
mkdir files
echo text >files/note
touch --date '1969-12-31 23:59:58.5 UTC' files/note
for format in posix gnu; do
    tar -C files --format=$format --owner=app:3000000 --group=app:3000001 -cf $format.tar note
done
cat >run.js <<'SCRIPT'
const fs = require('fs');
const streaming = require('tar-stream');
const tar = require('tar');

for (const format of ['posix', 'gnu']) {
    const file = `${format}.tar`;
    const show = (name, entry) => console.log(file, name, entry.uid, entry.gid, entry.mtime.toISOString());
    tar.list({ file, sync: true, onReadEntry: (entry) => show('tar', entry) });
    const extract = streaming.extract();
    extract.on('entry', (header, stream, next) => {
        show('tar-stream', header);
        stream.on('end', next);
        stream.resume();
    });
    extract.end(fs.readFileSync(file));
}
SCRIPT
tar --version | sed -n 1p
seen=$(node run.js | LC_ALL=C sort)
echo "$seen"
if [ "$seen" != "gnu.tar tar 3000000 3000001 1969-12-31T23:59:58.000Z
gnu.tar tar-stream 3000000 3000001 1969-12-31T23:59:59.000Z
posix.tar tar 3000000 3000001 1969-12-31T23:59:58.500Z
posix.tar tar-stream 0 0 1970-01-01T00:00:00.000Z" ]; then
    echo "changed: owners or times of pax headers are read in another way" >&2
    exit 1
fi
