#!/usr/bin/env bash
# Five libraries give three values for the log size 10m: 10, 10,000,000 and 10,485,760 bytes.
#
# Expected: 10m, as in Docker's log option max-size, is 10 MiB, as k, m and g stand for powers of 1,024 there
# (docker/go-units, RAMInBytes). What a library does not know it refuses.
# Seen: bytes says 10 for 10m and for 10MiB, since it knows mb but neither m nor MiB, and leaves out what it does not
# know (seen for "Mi" in bytes.js#26); its README says null upon error. humanfriendly says 10,000,000 for 10m and
# 10,485,760 for 10MiB. filesize-parser, bitmath (strict=False) and Ansible say 10,485,760 for 10m.
#
# Versions: bytes 3.1.2, filesize-parser 1.5.2, humanfriendly 10.0, bitmath 2.1.1, ansible-core 2.19.2, Node.js 20. Seen
# on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit bytes@3.1.2 filesize-parser@1.5.2 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check humanfriendly==10.0 bitmath==2.1.1 ansible-core==2.19.2
cat >run.py <<'PYTHON'
import bitmath
import humanfriendly
from ansible.module_utils.common.text.formatters import human_to_bytes

print("humanfriendly", humanfriendly.parse_size("10m"), humanfriendly.parse_size("10MiB"))
print("bitmath", *(int(bitmath.parse_string(text, strict=False).bytes) for text in ("10m", "10MiB")))
print("ansible", human_to_bytes("10m"))
PYTHON
cat >run.js <<'SCRIPT'
const bytes = require('bytes');
const filesizeParser = require('filesize-parser');

console.log('bytes', bytes.parse('10m'), bytes.parse('10MiB'), bytes.parse('10mb'));
console.log('filesize-parser', filesizeParser('10m'), filesizeParser('10MiB'));
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "humanfriendly 10000000 10485760
bitmath 10485760 10485760
ansible 10485760
bytes 10 10 10485760
filesize-parser 10485760 10485760" ]; then
    echo "changed: sizes are read in another way" >&2
    exit 1
fi
