#!/usr/bin/env bash
# candied: CAN signals in Motorola order are NaN or other bits, and a float is an integer.
#
# Expected: in a DBC file the start bit of a signal in Motorola order (@0) is its most significant bit; SIG_VALTYPE_ 1
# makes a signal an IEEE float; the texts of VAL_ belong to raw values (Vector, "DBC File Format Documentation", 8.2
# and 8.4). cantools reads the same file so.
# Seen: the start bit is taken for the least significant one. The speed at 7|16 would begin 15 bits in front of the
# message, and is NaN; the gear at 20|5 is read four bits too far in front. Intel order is right. SIG_VALTYPE_ is left out
# without an error. The text is looked up by the scaled value, so that mode 1 of a signal with an offset of 10 has the
# text of 11, or none.
#
# Versions: candied 2.2.0 with cantools 45.1.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit candied@2.2.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cantools==45.1.0
echo "candied 2.2.0, Node.js $(node --version), cantools 45.1.0"
cat >bus.dbc <<'DBC'
VERSION ""

NS_ :

BS_:

BU_: ENGINE DASH

BO_ 256 DRIVE: 8 ENGINE
 SG_ SPEED : 7|16@0+ (1,0) [0|0] "rpm" DASH
 SG_ GEAR : 20|5@0+ (1,0) [0|0] "" DASH
 SG_ LEVEL : 24|16@1+ (1,0) [0|0] "" DASH
 SG_ MODE : 40|8@1+ (1,10) [0|0] "" DASH

BO_ 512 TRAILER: 4 ENGINE
 SG_ MASS : 0|32@1- (1,0) [0|0] "kg" DASH

SIG_VALTYPE_ 512 MASS : 1;
VAL_ 256 MODE 1 "eco" 11 "sport" ;
DBC
cat >run.js <<'SCRIPT'
const { Can, Dbc } = require('candied');

const dbc = new Dbc();
const can = new Can();
can.database = dbc.load(require('fs').readFileSync('bus.dbc', 'utf8'), true);
for (const [id, bytes] of [[256, [0x12, 0x34, 0x15, 0x78, 0x56, 1, 0, 0]], [512, [0, 0, 0x48, 0x41]]]) {
    const { boundSignals } = can.decode(can.createFrame(id, bytes));
    console.log([...boundSignals].map(([name, signal]) => `${name} ${signal.physValue}`).join(', '));
}
SCRIPT
cat >run.py <<'PYTHON'
import cantools

bus = cantools.database.load_file("bus.dbc")
for number, data in ((256, "1234157856010000"), (512, "00004841")):
    read = bus.decode_message(number, bytes.fromhex(data))
    print(", ".join(f"{name} {value}" for name, value in read.items()))
PYTHON
seen=$(node run.js && venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'SPEED NaN rpm, GEAR 1, LEVEL 22136, MODE sport
MASS 1095237632 kg
SPEED 4660, GEAR 21, LEVEL 22136, MODE eco
MASS 12.5' ]; then
    echo "changed: signals are read in another way" >&2
    exit 1
fi
