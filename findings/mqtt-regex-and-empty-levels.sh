#!/usr/bin/env bash
# mqtt-regex: the topic to subscribe to has backslashes, and + of mqtt-pattern does not match an empty level.
#
# Expected: topic is the "regular MQTT topic with the pattern stuff stripped out" (README), here site/v1.2/+. In MQTT +
# matches one level, which can be empty, so that +/+ matches /finance; a/b and a/b/ are different topics (MQTT 5.0,
# 4.7.1.3 and 4.7.3). mqtt-match has all of that.
# Seen: mqtt-regex takes the text that was escaped for its regular expression: site/v1\.2/+, under which nothing comes.
# Its pattern a/b matches the topic a/b/. Neither + of mqtt-regex nor that of mqtt-pattern matches an empty level, and
# #rest of mqtt-pattern does not match its parent level, as # does.
#
# Versions: mqtt-regex 1.1.0, mqtt-pattern 2.1.1, mqtt-match 3.0.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit mqtt-regex@1.1.0 mqtt-pattern@2.1.1 mqtt-match@3.0.0 >/dev/null
echo "mqtt-regex 1.1.0, mqtt-pattern 2.1.1, mqtt-match 3.0.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const match = require('mqtt-match');
const { matches } = require('mqtt-pattern');
const regex = require('mqtt-regex');

console.log('to subscribe:', regex('site/v1.2/+sensor').topic);
for (const [filter, topic] of [['+/+', 'a/b'], ['+/+', '/finance'], ['a/+', 'a/'], ['a/b', 'a/b/'], ['a/#', 'a']]) {
    console.log(filter, topic, match(filter, topic), matches(filter, topic), regex(filter).regex.test(topic));
}
console.log('a/#rest a', '-', matches('a/#rest', 'a'), regex('a/#rest').regex.test('a'));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'to subscribe: site/v1\.2/+
+/+ a/b true true true
+/+ /finance true false false
a/+ a/ true false false
a/b a/b/ false false true
a/# a true true true
a/#rest a - false true' ]; then
    echo "changed: topics match in another way" >&2
    exit 1
fi
