#!/usr/bin/env bash
# strong-service-systemd: & in an environment variable becomes &amp;, and the second word of a value is dropped.
#
# Expected: the service has the variables that were given. In a unit a value with blanks is quoted, a percent sign is
# written twice, and & is an ordinary letter (systemd.exec(5), Environment=; systemd.unit(5), Specifiers and Quoting).
# Seen: http://web/?a=1&b=2 is written with &amp;, and so are < > and quotes as their names of HTML, since the unit is
# made with the escapes for web pages. "two words" is written without quotes, so that systemd has "two" and ignores the
# other word as an invalid assignment. 50%d is written as it is, where %d is a specifier.
#
# Version: strong-service-systemd 1.2.3, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit strong-service-systemd@1.2.3 >/dev/null
echo "strong-service-systemd 1.2.3, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const render = require('strong-service-systemd');

const env = { URL: 'http://web/?a=1&b=2', NAME: 'two words', TEXT: 'say "hi"', RATE: '50%d' };
const unit = render({ name: 'edge', script: '/srv/edge.js', env });
console.log(unit.split('\n').filter((line) => line.startsWith('Environment=')).join('\n'));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'Environment=URL=http://web/?a=1&amp;b=2
Environment=NAME=two words
Environment=TEXT=say &quot;hi&quot;
Environment=RATE=50%d' ]; then
    echo "changed: variables are written in another way" >&2
    exit 1
fi
