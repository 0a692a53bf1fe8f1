#!/usr/bin/env bash
# nsyslog-parser: an escaped quote makes all structured data text, and brackets in a text make it structured data.
#
# Expected: in structured data a quote, a backslash and a closing bracket of a value have a backslash in front, which is
# no part of the value; "-" means that there is none, and what follows is the message (RFC 5424, 6.3.3 and 6.3.1). The
# README names RFC 5424 and its structured data.
# Seen: with an escaped quote the element is left in the message, also its other values; the backslashes of other
# escapes stay in the values. Behind "-", an element in the text of the message is taken for structured data, and the
# message is cut in front of it, so that the last word is lost.
#
# Version: nsyslog-parser 0.10.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit nsyslog-parser@0.10.1 >/dev/null
echo "nsyslog-parser 0.10.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const parse = require('nsyslog-parser');

for (const rest of [
  '[move@32473 reason="planned" to="edge-b"] moved',
  '[move@32473 reason="user \\"ops\\"" to="edge-b"] moved',
  '[move@32473 share="\\\\\\\\nas\\\\a" to="edge-b"] moved',
  '- moved [took ms="812"] twice',
]) {
  const { structuredData, message } = parse(`<165>1 2026-11-30T10:00:00Z edge-a agent 812 MOVED ${rest}`);
  console.log(`${rest}\n  ${JSON.stringify(structuredData)} and ${JSON.stringify(message)}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '[move@32473 reason="planned" to="edge-b"] moved
  [{"$id":"move@32473","reason":"planned","to":"edge-b"}] and "moved"
[move@32473 reason="user \"ops\"" to="edge-b"] moved
  [] and "[move@32473 reason=\"user \\\"ops\\\"\" to=\"edge-b\"] moved"
[move@32473 share="\\\\nas\\a" to="edge-b"] moved
  [{"$id":"move@32473","share":"\\\\\\\\nas\\\\a","to":"edge-b"}] and "moved"
- moved [took ms="812"] twice
  [{"$id":"took","ms":"812"}] and "moved"' ]; then
    echo "changed: structured data are read in another way" >&2
    exit 1
fi
