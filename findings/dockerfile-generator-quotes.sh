#!/usr/bin/env bash
# dockerfile-generator: values with blanks and commands with quotes are written as they are, and mean something else.
#
# Expected: the Dockerfile means what the input says: a variable with the value "two words", a command of three words,
# a file name with a blank. In a Dockerfile values with blanks are quoted, the exec form is a JSON array, where quotes
# are escaped, and names with blanks need the JSON form of COPY (Dockerfile reference, ENV, CMD, COPY).
# Seen: ENV A=two words, which Docker refuses, as "words" has no "=". The command ["sh", "-c", "echo \"hi\""] becomes
# [ "sh", "-c", "echo "hi"" ], which is no JSON, so that Docker takes it for the shell form. COPY a b /c copies two
# files, a and b, instead of "a b". LABEL and WORKDIR are as ENV. Nothing is said.
#
# Version: dockerfile-generator 5.0.3, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dockerfile-generator@5.0.3 >/dev/null
cat >run.cjs <<'SCRIPT'
const module_ = require('dockerfile-generator');

async function main() {
    const text = await (module_.default ?? module_).generate({
        from: { baseImage: 'debian:12' },
        env: { A: 'two words' },
        labels: { a: 'x y' },
        copy: { 'a b': '/c' },
        cmd: ['sh', '-c', 'echo "hi"'],
    });
    const lines = text.trim().split('\n');
    console.log(lines.join('\n'));
    const array = lines.find((line) => line.startsWith('CMD')).slice(4);
    let json = 'JSON';
    try {
        JSON.parse(array);
    } catch {
        json = 'no JSON';
    }
    console.log(`the array of CMD is ${json}`);
}
main();
SCRIPT
seen=$(node run.cjs)
echo "$seen"
if [ "$seen" != 'FROM debian:12
ENV A=two words
LABEL a=x y
COPY a b /c
CMD [ "sh", "-c", "echo "hi"" ]
the array of CMD is no JSON' ]; then
    echo "changed: values are written in another way" >&2
    exit 1
fi
