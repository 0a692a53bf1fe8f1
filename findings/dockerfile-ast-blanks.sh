#!/usr/bin/env bash
# dockerfile-ast: in commands that are JSON arrays all blanks within the words are lost.
#
# Expected: the exec form of an instruction is a JSON array (Dockerfile reference, "Exec form"), and blanks within the
# strings of JSON are part of them (RFC 8259, section 7). docker-file-parser gives the words as JSON.parse() does.
# Seen: getJSONStrings() of CMD ["sh", "-c", "echo hello world"] gives sh, -c and echohelloworld, by getJSONValue() as
# well as by getValue(). In COPY ["my file", "/c/"] the file is myfile.
#
# Versions: dockerfile-ast 0.7.1 beside docker-file-parser 1.0.7, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dockerfile-ast@0.7.1 docker-file-parser@1.0.7 >/dev/null
cat >run.js <<'SCRIPT'
const { DockerfileParser } = require('dockerfile-ast');
const { parse } = require('docker-file-parser');

for (const line of ['CMD ["sh", "-c", "echo hello world"]', 'COPY ["my file", "/c/"]']) {
    const [, instruction] = DockerfileParser.parse(`FROM base\n${line}\n`).getInstructions();
    console.log('ast:   ', instruction.getJSONStrings().map((word) => word.getJSONValue()).join(' | '));
    console.log('parser:', parse(line)[0].args.join(' | '));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'ast:    sh | -c | echohelloworld
parser: sh | -c | echo hello world
ast:    myfile | /c/
parser: my file | /c/' ]; then
    echo "changed: JSON arrays are read in another way" >&2
    exit 1
fi
