#!/usr/bin/env bash
# earfcn: four of ten LTE channels come back as the one below, and all of band 22 are 10 MHz off.
#
# Expected: a downlink channel has the frequency F_low + 0.1 MHz * (N - N_offs), and band 22 begins with 3510 MHz at
# channel 6600 (3GPP TS 36.104, 5.7.3, table 5.7.3-1; nrarfcn has the same table). freq2earfcn() gives the channel of a
# frequency, so that a way there and back ends at the same channel.
# Seen: freq2earfcn() cuts instead of rounding, so that of the 600 channels of band 1 240 come back as N - 1, and 2110.1
# MHz is channel 0. Band 22 begins with 3500 MHz. Numbers between the bands and those of uplinks are no error but a
# frequency above the band before them: channel 18000, 1920 MHz of uplink in band 1, is 2260 MHz in band 32, which ends
# at 1496 MHz.
#
# Versions: earfcn 0.0.3 with nrarfcn 2.6.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check earfcn==0.0.3 nrarfcn==2.6.0
echo "earfcn 0.0.3, nrarfcn 2.6.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from earfcn.convert import earfcn2band, earfcn2freq, freq2earfcn
from nrarfcn import get_frequency_by_lte_earfcn

lost = [channel for channel in range(600) if dict(freq2earfcn(earfcn2freq(channel)))[1] != channel]
print(f"band 1: {len(lost)} of 600 channels come back as others; 2110.1 MHz is {freq2earfcn(2110.1)[0]}")
for channel in (1200, 6600, 18000):
    here, there = earfcn2freq(channel), get_frequency_by_lte_earfcn(channel)
    print(f"channel {channel}: {here:.1f} MHz in band {earfcn2band(channel)}, by nrarfcn {there:.1f} MHz")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'band 1: 240 of 600 channels come back as others; 2110.1 MHz is (1, 0)
channel 1200: 1805.0 MHz in band 3, by nrarfcn 1805.0 MHz
channel 6600: 3500.0 MHz in band 22, by nrarfcn 3510.0 MHz
channel 18000: 2260.0 MHz in band 32, by nrarfcn 1920.0 MHz' ]; then
    echo "changed: channels are converted in another way" >&2
    exit 1
fi
