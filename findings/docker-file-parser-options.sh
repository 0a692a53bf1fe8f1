#!/usr/bin/env bash
# docker-file-parser: names with blanks fall apart behind an option, and a here-document gives a second base image.
#
# Expected: COPY [OPTIONS] ["a b", "/c/"] copies one file whose name has a blank, and what stands between <<EOF and EOF
# belongs to RUN (Dockerfile reference, "COPY" and "Here-documents"). The README says that it is a translation of
# Docker's own parser. dockerfile-ast sees four instructions.
# Seen: without an option the names are a b and /c/, behind --from=build they are ["a, b", and "/c/"]. The lines
# of the here-document are instructions ECHO, FROM and EOF; nothing has an error.
#
# Versions: docker-file-parser 1.0.7 beside dockerfile-ast 0.7.1, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit docker-file-parser@1.0.7 dockerfile-ast@0.7.1 >/dev/null
cat >Dockerfile <<'DOCKERFILE'
FROM base
COPY ["a b", "/c/"]
COPY --from=build ["a b", "/c/"]
RUN <<EOF
echo one
FROM x
EOF
DOCKERFILE
cat >run.js <<'SCRIPT'
const fs = require('fs');
const { DockerfileParser } = require('dockerfile-ast');
const { parse } = require('docker-file-parser');

const text = fs.readFileSync('Dockerfile', 'utf8');
const instructions = DockerfileParser.parse(text).getInstructions();
console.log('ast:', ...instructions.map((instruction) => instruction.getKeyword()));
const commands = parse(text);
console.log('parser:', ...commands.map((command) => command.name + (command.error || '')));
console.log('parser:', ...commands.filter((command) => command.name === 'COPY').map((copy) => copy.args.join('|')));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'ast: FROM COPY COPY RUN
parser: FROM COPY COPY RUN ECHO FROM EOF
parser: a b|/c/ --from=build|["a|b",|"/c/"]' ]; then
    echo "changed: Dockerfiles are read in another way" >&2
    exit 1
fi
