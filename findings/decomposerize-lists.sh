#!/usr/bin/env bash
# decomposerize: a command that is a list gets commas between its words, and ports in long form are lost.
#
# Expected: the command line does what the service did. A command, an entrypoint and a health check may be lists of
# words, and a port has a short or a long form (Compose specification, "command", "healthcheck" and "ports").
# Seen: ["sh", "-c", "sleep 9"] becomes the words sh,-c,sleep and 9, while the same command as text is right. The health
# check becomes the program CMD,curl,http://web/. Of the entrypoint ["/bin/sh", "-c"] two --entrypoint are made, of
# which docker run takes the last, -c. A port in long form is left out without a word.
#
# Version: decomposerize 1.4.4, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit decomposerize@1.4.4 >/dev/null
cat >run.mjs <<'SCRIPT'
import decomposerize from 'decomposerize';

for (const line of [
    'command: sh -c "sleep 9"',
    'command: ["sh", "-c", "sleep 9"]',
    'healthcheck: {test: ["CMD", "curl", "http://web/"]}',
    'entrypoint: ["/bin/sh", "-c"]',
    'ports: ["53:53/udp", {target: 80, published: "8080"}]',
]) {
    console.log(line, '=>', decomposerize(`services:\n  web:\n    image: web\n    ${line}\n`).trim());
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != 'command: sh -c "sleep 9" => docker run web sh -c "sleep 9"
command: ["sh", "-c", "sleep 9"] => docker run web sh,-c,sleep 9
healthcheck: {test: ["CMD", "curl", "http://web/"]} => docker run --health-cmd CMD,curl,http://web/ web
entrypoint: ["/bin/sh", "-c"] => docker run --entrypoint /bin/sh --entrypoint -c web
ports: ["53:53/udp", {target: 80, published: "8080"}] => docker run -p 53:53/udp web' ]; then
    echo "changed: services are translated in another way" >&2
    exit 1
fi
