#!/usr/bin/env bash
# usng.js: UTM coordinates of Sydney, read back, are in Kamchatka.
#
# Expected: UTMUPStoLL() reads what LLtoUTMUPS() wrote, as text or as an object, as the README shows for both. In the
# south northings count from 10,000,000 m at the equator downwards, and the text has an S for it.
# Seen: for Sydney LLtoUTMUPS() gives 56S 334416mE 6251925mN, which is right, and UTMUPStoLL() of it 56.38 north, 150.32
# east: the northing is taken as one of the north, whatever the text or northPole of the object says. All places of the
# southern hemisphere between the equator and 80 degrees are off by some 10,000 km. Near the poles, and in the north,
# all is right. That LLtoUTM() has negative northings in the south is known (usng.js#12, #25).
#
# Version: usng.js 0.4.5, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit usng.js@0.4.5 >/dev/null
echo "usng.js 0.4.5, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const converter = new (require('usng.js').Converter)();

const places = { Munich: [48.14, 11.58], Sydney: [-33.86, 151.21], Rio: [-22.91, -43.2], 'near the pole': [-85, 20] };
for (const [name, place] of Object.entries(places)) {
    const text = converter.LLtoUTMUPS(...place);
    const again = [converter.UTMUPStoLL(text), converter.UTMUPStoLL(converter.LLtoUTMUPSObject(...place))];
    console.log(name, place.join(' '), text, ...again.map(({ lat, lon }) => `${lat.toFixed(2)} ${lon.toFixed(2)}`));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'Munich 48.14 11.58 32N 691928mE 5335080mN 48.14 11.58 48.14 11.58
Sydney -33.86 151.21 56S 334416mE 6251925mN 56.38 150.32 56.38 150.32
Rio -22.91 -43.2 23S 684610mE 7465314mN 67.25 -40.72 67.25 -40.72
near the pole -85 20 B 2189977mE 2521957mN -85.00 20.00 -85.00 20.00' ]; then
    echo "changed: southern coordinates are read in another way" >&2
    exit 1
fi
