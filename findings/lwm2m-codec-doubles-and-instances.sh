#!/usr/bin/env bash
# lwm2m-codec: 21.5 degrees as a double are 2.8, resource instances get the type of another resource, 200 fails.
#
# Expected: a float of the TLV format has 4 or 8 bytes, an integer 1, 2, 4 or 8; the instances of a resource have the
# resource's type, so that the power sources 1 and 5 of a device are 86 06 41 00 01 41 01 05; decode() of JSON gives
# what encode() wrote (OMA LwM2M 1.0, 6.4.3, with this example, and 6.4.4).
# Seen: of 8 bytes the first four are read as a number: 21.5 becomes 2.8359375. The sources are written as the texts "1"
# and "5", by the type of resource 0, the manufacturer, and read so. In JSON the second instance is lost. The integers
# 128 to 255, 32768 to 65535 and -129 to -255 raise ERR_OUT_OF_RANGE, since bits of numbers without a sign are counted,
# and -5 in 8 bytes becomes -8589934597.
#
# Version: lwm2m-codec 0.1.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit lwm2m-codec@0.1.1 >/dev/null
echo "lwm2m-codec 0.1.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { decode, encode } = require('lwm2m-codec');

const show = (name, action) => {
    try {
        const result = action();
        console.log(name, Buffer.isBuffer(result) ? result.toString('hex') : JSON.stringify(result));
    } catch (error) {
        console.log(name, error.code);
    }
};
const bytes = (text, write) => {
    const value = Buffer.alloc(8);
    write(value);
    return Buffer.concat([Buffer.from(text, 'hex'), value]);
};
show('21.5 as a float:', () => decode('tlv', '/3303/0', Buffer.from('e4164441ac0000', 'hex')));
show('21.5 as a double:', () => decode('tlv', '/3303/0', bytes('e8164408', (value) => value.writeDoubleBE(21.5))));
show('-5 in 8 bytes:', () => decode('tlv', '/3/0', bytes('c80a08', (value) => value.writeBigInt64BE(-5n))));
show('power sources:', () => encode('tlv', '/3/0/6', { 0: 1, 1: 5 }));
show('of 8606410001410105:', () => decode('tlv', '/3/0/6', Buffer.from('8606410001410105', 'hex')));
show('JSON:', () => decode('json', '/3/0', encode('json', '/3/0', { 6: { 0: 1, 1: 5 }, 9: 100 })));
for (const free of [127, 200, 256, 40000, -200]) {
    show(`free memory ${free}:`, () => encode('tlv', '/3/0/10', free));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '21.5 as a float: {"sensorValue":21.5}
21.5 as a double: {"sensorValue":2.8359375}
-5 in 8 bytes: {"memFree":-8589934597}
power sources: 8606410031410135
of 8606410001410105: {"0":"\u0001","1":"\u0005"}
JSON: {"availPwrSrc":{"0":1},"battLevel":100}
free memory 127: c10a7f
free memory 200: ERR_OUT_OF_RANGE
free memory 256: c20a0100
free memory 40000: ERR_OUT_OF_RANGE
free memory -200: ERR_OUT_OF_RANGE' ]; then
    echo "changed: values are written or read in another way" >&2
    exit 1
fi
