#!/usr/bin/env bash
# composerize: a read-only mount becomes writable, and what the container's shell shall expand is expanded before.
#
# Expected: the service does what the command line did. In --mount the key readonly needs no value (docker run,
# "--mount"); in Compose it is read_only. A dollar sign of a value is written $$ in a Compose file, since Compose puts
# variables of its own environment in ("Interpolation"). Each --tmpfs is an entry of its own, and a duration such as
# stop_grace_period has a unit (Compose specification, "tmpfs" and "Specifying durations").
# Seen: readonly is left out without a word, though other options that are left out are named in a comment. 'echo $HOME'
# stays as it is, so that Compose puts in the home directory of whoever starts it. Two --tmpfs become one, with options
# "rw,size=64m,/tmp". --stop-timeout 30 becomes "30", without a unit. Two blanks inside of quotes become one.
#
# Version: composerize 1.7.6, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit composerize@1.7.6 yaml@2.8.1 >/dev/null
cat >run.mjs <<'SCRIPT'
import composerize from 'composerize';
import yaml from 'yaml';

for (const options of [
    '--mount type=bind,source=/a,target=/b,readonly web',
    '--tmpfs /run:rw,size=64m --tmpfs /tmp web',
    '--stop-timeout 30 web',
    "web sh -c 'echo $HOME'",
    "web sh -c 'echo a  b'",
]) {
    const { image, ...service } = yaml.parse(composerize(`docker run ${options}`)).services.web;
    console.log(options, '=>', JSON.stringify(service));
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
mount='{"volumes":[{"type":"bind","source":"/a","target":"/b"}]}'
if [ "$seen" != "--mount type=bind,source=/a,target=/b,readonly web => $mount
--tmpfs /run:rw,size=64m --tmpfs /tmp web => {\"tmpfs\":\"/run:rw,size=64m,/tmp\"}
--stop-timeout 30 web => {\"stop_grace_period\":\"30\"}
web sh -c 'echo \$HOME' => {\"command\":\"sh -c 'echo \$HOME'\"}
web sh -c 'echo a  b' => {\"command\":\"sh -c 'echo a b'\"}" ]; then
    echo "changed: command lines are translated in another way" >&2
    exit 1
fi
