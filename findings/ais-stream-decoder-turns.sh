#!/usr/bin/env bash
# ais-stream-decoder: a turn to the left is null, and one of 71 degrees a minute to the right is 2.9.
#
# Expected: the rate of turn in a message is 4.733 times the square root of the turn, with its sign, so that 40 is 71
# degrees a minute (ITU-R M.1371-5, Annex 8, messages 1, 2, 3). pyais, which wrote the sentences here, reads 10, 71, -10
# and -71.
# Seen: the root is taken once more instead of the square: 1.8 for 10 degrees, 2.9 for 71, and for each turn to the left
# the root of a negative number, NaN, which is null in the JSON. Speed and position are right. -128, "no information",
# is null, as it should be, but by the same way, since the comparison with -128 comes behind the root.
#
# Versions: ais-stream-decoder 2.1.2, sentences of pyais 3.3.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit ais-stream-decoder@2.1.2 >/dev/null
echo "ais-stream-decoder 2.1.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const AisDecoder = require('ais-stream-decoder').default;

const sentences = {
    0: '!AIVDO,1,1,,A,139>Jh@01V0Vr?0Nu<p3RBnIP000,0*1C',
    10: '!AIVDO,1,1,,A,139>Jh@3iV0Vr?0Nu<p3RBnIP000,0*47',
    71: '!AIVDO,1,1,,A,139>Jh@:1V0Vr?0Nu<p3RBnIP000,0*16',
    '-10': '!AIVDO,1,1,,A,139>Jh@tAV0Vr?0Nu<p3RBnIP000,0*28',
    '-71': '!AIVDO,1,1,,A,139>Jh@n1V0Vr?0Nu<p3RBnIP000,0*42',
};
const decoder = new AisDecoder();
let turn;
decoder.on('data', (text) => {
    const { rateOfTurn, speedOverGround, lon, lat } = JSON.parse(text);
    console.log('turn', turn, 'is', rateOfTurn && rateOfTurn.toFixed(2), 'at', speedOverGround, lon, lat);
});
decoder.on('error', (error) => console.log(error.message));
for (turn of ['0', '10', '71', '-10', '-71']) {
    decoder.write(sentences[turn]);
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'turn 0 is 0 at 10.2 8.5 54.1
turn 10 is 1.78 at 10.2 8.5 54.1
turn 71 is 2.91 at 10.2 8.5 54.1
turn -10 is null at 10.2 8.5 54.1
turn -71 is null at 10.2 8.5 54.1' ]; then
    echo "changed: turns are read in another way" >&2
    exit 1
fi
