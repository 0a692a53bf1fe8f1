#!/usr/bin/env bash
# kpn-senml: a pack with records has none to iterate over, and reading drops times and units.
#
# Expected: for record in pack gives the records of the pack; a record has a value, a unit and a time (its docstrings),
# which from_json() reads from u and t, with bt added (RFC 8428, 4.2 and 4.5.1). Data are vd, in base64 (4.3). The
# README says that it generates and parses SenML.
# Seen: the iterator stops at once, as it compares its place with the length the wrong way round. unit and time of each
# record that was read are None. A record with data cannot be read, KeyError 'vb', and neither data nor a text can be
# written, since basestring is a name of Python 2; numbers and truth values are right.
#
# Versions: kpn-senml 1.0.1, cbor2 5.6.5. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check kpn-senml==1.0.1 cbor2==5.6.5
echo "kpn-senml 1.0.1, cbor2 5.6.5, $(python3 --version)"
cat >run.py <<'PYTHON'
from kpn_senml import SenmlPack, SenmlRecord

pack = SenmlPack("urn:dev:edge-a")
text = '[{"bn":"urn:dev:edge-a","bt":1764500000,"n":"load","u":"/","v":0.5,"t":-5},{"n":"temp","u":"Cel","v":21.5}]'
pack.from_json(text)
print("iteration:", [record.name for record in pack])
print("records:", [(record.name, record.value, record.unit, record.time) for record in pack._data])


def attempt(action):
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print("reading data:", attempt(lambda: SenmlPack("a").from_json('[{"bn":"a","n":"key","vd":"AQID"}]')))
writing = SenmlPack("a")
writing.add(SenmlRecord("key", value=bytearray(b"123")))
print("writing data:", attempt(writing.to_json))
print("a text:", attempt(lambda: SenmlRecord("state", value="up")))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "iteration: []
records: [('load', 0.5, None, None), ('temp', 21.5, None, None)]
reading data: KeyError: 'vb'
writing data: NameError: name 'basestring' is not defined
a text: NameError: name 'basestring' is not defined" ]; then
    echo "changed: records are read or written in another way" >&2
    exit 1
fi
