#!/usr/bin/env bash
# composerize-ts: of A='two words' the second word begins the command, and the host's network is a new one.
#
# Expected: the service does what the command line did. In a shell quotes may stand within a word, A='two words' being
# one (POSIX, Shell Command Language, 2.2). --network host is network_mode: host, and the addresses of a network are
# under ipam (Compose specification, "network_mode" and "ipam").
# Seen: quotes count at the beginning of a word only: the variable A is empty, the image is "two", and the real image
# and all later options are its command; a double quote goes to the standard output. --network host makes a network of
# its own with the name host. The subnet for --ip is written as a key config of the network, which is none.
#
# Version: composerize-ts 0.6.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit composerize-ts@0.6.2 >/dev/null
echo "composerize-ts 0.6.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { composerize } = require('composerize-ts');

const lines = [
    '-e "A=two words"',
    "-e A='two words' -p 80:80",
    '--network host',
    '--network n --ip 10.0.0.2',
];
for (const options of lines) {
    const { yaml } = composerize(`docker run ${options} edge:1 serve`);
    console.log(`# ${options}`);
    console.log(yaml.replace(/^version.*/, '').trim());
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "# -e \"A=two words\"
services:
    edge:
        command: serve
        image: 'edge:1'
        environment:
            - 'A=two words'
\"# -e A='two words' -p 80:80
services:
    two:
        command: 'words\" -p 80:80 edge:1 serve'
        image: two
        environment:
            - A=
# --network host
services:
    edge:
        command: serve
        image: 'edge:1'
        networks:
            host: {}
networks:
    host: {}
# --network n --ip 10.0.0.2
services:
    edge:
        command: serve
        image: 'edge:1'
        networks:
            n:
                ipv4_address: 10.0.0.2
networks:
    n:
        driver: default
        config:
            -
                subnet: 10.0.0.0/24" ]; then
    echo "changed: options are converted in another way" >&2
    exit 1
fi
