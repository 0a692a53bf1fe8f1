#!/usr/bin/env bash
# djv: 1 and "1" count as equal, {"a": 1, "b": 2} and {"b": 2, "a": 1} do not, and null is less than a minimum.
#
# Expected: values are equal if they have the same type and value, objects whatever the order of their members;
# uniqueItems and enum compare so (JSON Schema draft-06, Core, Instance equality). A keyword for numbers, such as
# minimum, passes every value of another type (draft-06, Validation, Keywords and instance primitive types). The README
# names draft-06 as the default.
# Seen: four valid documents are refused: [1, "1"] and [null, "null"] as not unique, an object with its members in
# another order than in enum, and null for {"type": ["integer", "null"], "minimum": 3}, the usual form of an optional
# number. ajv takes all four.
#
# Versions: djv 2.1.4 beside ajv 8.17.1, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit djv@2.1.4 ajv@8.17.1 >/dev/null
cat >run.cjs <<'SCRIPT'
const Ajv = require('ajv').default;
const djv = require('djv');

for (const [schema, value] of [
    [{ uniqueItems: true }, [1, '1']],
    [{ uniqueItems: true }, [null, 'null']],
    [{ enum: [{ a: 1, b: 2 }] }, { b: 2, a: 1 }],
    [{ type: ['integer', 'null'], minimum: 3 }, null],
]) {
    const environment = djv({ version: 'draft-06' });
    environment.addSchema('schema', schema);
    const error = environment.validate('schema', value);
    const other = new Ajv({ strict: false }).validate(schema, value);
    console.log(`${JSON.stringify(value)}: djv ${error ? error.keyword : 'valid'}, ajv ${other ? 'valid' : 'not'}`);
}
SCRIPT
seen=$(node run.cjs)
echo "$seen"
if [ "$seen" != '[1,"1"]: djv uniqueItems, ajv valid
[null,"null"]: djv uniqueItems, ajv valid
{"b":2,"a":1}: djv enum, ajv valid
null: djv minimum, ajv valid' ]; then
    echo "changed: values are compared in another way" >&2
    exit 1
fi
