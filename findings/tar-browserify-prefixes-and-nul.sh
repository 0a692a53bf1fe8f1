#!/usr/bin/env bash
# @obsidize/tar-browserify: long paths of a ustar archive lose their first folders, those of GNU end in a NUL.
#
# Expected: the path of a ustar entry is the field prefix, a slash and the field name where prefix is not empty (POSIX,
# pax, ustar Interchange Format). A GNU "L" entry holds the path and a NUL that ends it. A number too large for octal
# digits is binary, with the first bit set (GNU tar manual, Basic Tar Format).
# Seen: of site-a/…/index.html, with 130 characters, only the name field is left; so is of site-b/…/index.html: two
# files have one path, and none its folder. In GNU archives fileName is one character longer than the path, a NUL, by
# which it is equal to no path that one looks for; the user 3000000 is 0. In pax archives all three are right.
#
# Versions: @obsidize/tar-browserify 6.3.2, Node.js 20; the archives are Python's. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @obsidize/tar-browserify@6.3.2 >/dev/null
python3 - <<'PYTHON'
import io
import tarfile

deep = "releases/2026/november/documentation/" + "m" * 40
for name, form in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
    with tarfile.open(f"{name}.tar", "w", format=form) as archive:
        for site in ("site-a", "site-b"):
            member = tarfile.TarInfo(f"{site}/{deep}/{'n' * 34}/index.html")
            member.size = 1
            member.uid = 0 if name == "ustar" else 3_000_000
            archive.addfile(member, io.BytesIO(site[-1:].encode()))
PYTHON
cat >run.mjs <<'SCRIPT'
import fs from 'node:fs';
import { Archive } from '@obsidize/tar-browserify';

for (const name of ['ustar', 'gnu', 'pax']) {
    const archive = await Archive.extract(fs.readFileSync(`${name}.tar`));
    for (const entry of archive.entries) {
        const file = entry.fileName;
        const ends = JSON.stringify(`${file.slice(0, 10)}…${file.slice(-6)}`);
        console.log(`${name}: ${file.length} characters, ${ends}, user ${entry.userId ?? entry.ownerUserId}`);
    }
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != 'ustar: 100 characters, "documentat…x.html", user 0
ustar: 100 characters, "documentat…x.html", user 0
gnu: 131 characters, "site-a/rel….html\u0000", user 0
gnu: 131 characters, "site-b/rel….html\u0000", user 0
pax: 130 characters, "site-a/rel…x.html", user 3000000
pax: 130 characters, "site-b/rel…x.html", user 3000000' ]; then
    echo "changed: paths or users are read in another way" >&2
    exit 1
fi
