#!/usr/bin/env bash
# ntp-packet-parser: a clock with the precision 2^-23 has 2^233, and the reason for which a server refuses is a number.
#
# Expected: poll and precision are signed exponents of two (RFC 5905, 7.3: "8-bit signed integer representing the
# precision of the system clock, in log2 seconds"); root delay and root dispersion are lengths of time; the reference
# ID of stratum 0 is a kiss code of four letters (7.4), that of stratum 2 and above over IPv4 the address of the server.
# Seen: -23, 0.1 microseconds, is read as 233. A root delay of 50 ms is the moment 1900-01-01T00:00:00.050Z. The kiss
# code RATE, "reduce the rate of requests", is 1380013125, and 192.0.2.1 is 3221225985. Stratum 1 is right.
#
# Version: ntp-packet-parser 0.5.0, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit ntp-packet-parser@0.5.0 >/dev/null
echo "ntp-packet-parser 0.5.0, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const { NtpPacketParser } = require('ntp-packet-parser');

function answer(stratum, reference) {
  const packet = Buffer.alloc(48);
  packet[0] = (4 << 3) | 4; // version 4, server
  packet[1] = stratum;
  packet.writeInt8(6, 2);
  packet.writeInt8(-23, 3);
  packet.writeUInt32BE(Math.round(0.05 * 65536), 4);
  reference.copy(packet, 12);
  return NtpPacketParser.parse(packet);
}

const references = [[0, Buffer.from('RATE')], [1, Buffer.from('GPS\0')], [2, Buffer.from([192, 0, 2, 1])]];
for (const [stratum, reference] of references) {
  const { precision, rootDelay, referenceId } = answer(stratum, reference);
  console.log(`stratum ${stratum}: ${referenceId}, precision ${precision}, delay ${rootDelay.toISOString()}`);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'stratum 0: 1380013125, precision 233, delay 1900-01-01T00:00:00.050Z
stratum 1: GPS, precision 233, delay 1900-01-01T00:00:00.050Z
stratum 2: 3221225985, precision 233, delay 1900-01-01T00:00:00.050Z' ]; then
    echo "changed: answers are read in another way" >&2
    exit 1
fi
