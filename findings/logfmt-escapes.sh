#!/usr/bin/env bash
# logfmt (npm): line breaks and tabs in a message become the letters n and t.
#
# Expected: a quoted value has the escapes of Go's strings. The Go package logrus, with which Docker and containerd
# write their own logs, writes a message of two lines as msg="first\nsecond".
# Seen: the value is "firstnsecond", "a\tb" is "atb" and "caf\u00e9" is "cafu00e9": the backslash is left out and the
# letter behind it stays. \" and \\ are right. stringify() leaves a line break as it is, so that one record takes two
# lines.
#
# Version: logfmt 1.4.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit logfmt@1.4.0 >/dev/null
cat >lines <<'LOG'
level=info msg="first\nsecond"
level=info msg="a\tb"
level=info msg="caf\u00e9"
level=info msg="say \"yes\" to C:\\data"
LOG
cat >run.js <<'SCRIPT'
const logfmt = require('logfmt');
for (const line of require('fs').readFileSync('lines', 'utf8').trim().split('\n')) {
    console.log(JSON.stringify(logfmt.parse(line).msg));
}
console.log(JSON.stringify(logfmt.stringify({ msg: 'first\nsecond' })));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '"firstnsecond"
"atb"
"cafu00e9"
"say \"yes\" to C:\\data"
"msg=first\nsecond"' ]; then
    echo "changed: escapes are read or written in another way" >&2
    exit 1
fi
