#!/usr/bin/env bash
# tar and tar-stream (npm): of a global pax header one believes too much, the other too little.
#
# Expected: a record of a global header counts for all files behind it that do not have that record in a header of
# their own (POSIX, pax, "pax Header Block"). GNU tar writes one for `--pax-option=mtime=...`. GNU tar and Python's
# tarfile read: own.txt is of 2020, as its own header says, plain.txt of 2001, as the global one says, and both
# belong to bob.
# Seen: for tar both are of 2001, as the global header takes the place of own.txt's own. For tar-stream both
# are of 2020 and belong to root, as a global header changes none of these.
#
# Versions: tar 7.5.23, tar-stream 3.2.2, GNU tar 1.34, Python 3.11, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit tar@7.5.23 tar-stream@3.2.2 >/dev/null
mkdir files
echo text | tee files/own.txt >files/plain.txt
touch --date '2020-01-02 03:04:05.5 UTC' files/own.txt
touch --date '2020-01-02 03:04:06 UTC' files/plain.txt
tar -C files --format=posix --owner=root:0 --pax-option=delete=atime,delete=ctime,mtime=1000000000,uname=bob \
    -cf both.tar own.txt plain.txt
cat >run.py <<'PYTHON'
import tarfile
from datetime import datetime, timezone

with tarfile.open("both.tar") as archive:
    for entry in archive:
        print("tarfile", entry.name, datetime.fromtimestamp(entry.mtime, timezone.utc).year, entry.uname)
PYTHON
cat >run.js <<'SCRIPT'
const fs = require('fs');
const streaming = require('tar-stream');
const tar = require('tar');

const show = (who, name, entry) => console.log(who, name, entry.mtime.getUTCFullYear(), entry.uname);
tar.list({ file: 'both.tar', sync: true, onReadEntry: (entry) => show('tar', entry.path, entry) });
const extract = streaming.extract();
extract.on('entry', (header, stream, next) => {
    show('tar-stream', header.name, header);
    stream.on('end', next);
    stream.resume();
});
extract.end(fs.readFileSync('both.tar'));
SCRIPT
tar --version | sed -n 1p
TZ=UTC tar -tvf both.tar
seen=$(python3 run.py && node run.js)
echo "$seen"
if [ "$seen" != "tarfile own.txt 2020 bob
tarfile plain.txt 2001 bob
tar own.txt 2001 bob
tar plain.txt 2001 bob
tar-stream own.txt 2020 root
tar-stream plain.txt 2020 root" ]; then
    echo "changed: global pax headers are read in another way" >&2
    exit 1
fi
