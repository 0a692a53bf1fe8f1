#!/usr/bin/env bash
# h5.linkformat: a title with an escaped apostrophe makes all links unreadable, and sizes are written in quotes.
#
# Expected: in a quoted text a backslash stands before any letter, which it stands for: \' is an apostrophe and \n the
# letter n (RFC 6690, 2, with the quoted-string of RFC 2616, 2.2, which the code names). The value of sz is a number
# without quotes (RFC 6690, 2, link-param).
# Seen: the escapes of JSON are taken instead: \' and \z raise "Bad escaped character", so that no link of the document
# is read, and \n is a line feed. parse() and toString() make sz="100" of sz=100.
#
# Version: h5.linkformat 0.0.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit h5.linkformat@0.0.0 >/dev/null
echo "h5.linkformat 0.0.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { parse } = require('h5.linkformat');

for (const title of ['a', '\\"a\\"', 'it\\\'s', '\\z', 'one\\none']) {
    let seen;
    try {
        seen = JSON.stringify(parse(`</a>;title="${title}",</b>`).map((link) => link.title || link.href));
    } catch (error) {
        seen = error.message;
    }
    console.log(`"${title}":`, seen);
}
console.log('</a>;sz=100;ct=40 is written', parse('</a>;sz=100;ct=40').toString());
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "\"a\": [\"a\",\"/b\"]
\"\\\"a\\\"\": [\"\\\"a\\\"\",\"/b\"]
\"it\\'s\": Bad escaped character in JSON at position 4
\"\\z\": Bad escaped character in JSON at position 2
\"one\\none\": [\"one\\none\",\"/b\"]
</a>;sz=100;ct=40 is written </a>;sz=\"100\";ct=\"40\"" ]; then
    echo "changed: links are read in another way" >&2
    exit 1
fi
