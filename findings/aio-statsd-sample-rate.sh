#!/usr/bin/env bash
# aio-statsd: at a sample rate of 0.1 nine of ten counts are sent, so that the server sees nine times as many.
#
# Expected: "gorets:1|c|@0.1 tells StatsD that this counter is being sent sampled every 1/10th of the time", and the
# server multiplies it by ten (StatsD, docs/metric_types.md, "Counting").
# Seen: a count is sent where a random number is above the rate instead of below: 90 % at 0.1, each marked @0.1, and
# 10 % at 0.9. Only 0.5 and 1 give the right sums. The client for DogStatsD does the same.
#
# Version: aio-statsd 0.2.9. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aio-statsd==0.2.9
echo "aio-statsd 0.2.9, $(python3 --version)"
cat >run.py <<'PYTHON'
import asyncio
import random

from aio_statsd import DogStatsdClient, StatsdClient


async def main():
    for client in (StatsdClient(), DogStatsdClient()):
        count = client.counter if isinstance(client, StatsdClient) else client.increment
        for rate in (0.1, 0.5, 0.9):
            sent = []
            client.send = sent.append
            random.seed(1)
            for _ in range(10_000):
                count("handover", 1, sample_rate=rate)
            seen = round(len(sent) / rate)
            print(f"{type(client).__name__}: {len(sent)} of 10000 sent as {sent[0]}, the server counts {seen}")


asyncio.run(main())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'StatsdClient: 8959 of 10000 sent as handover:1|c|@0.1, the server counts 89590
StatsdClient: 4977 of 10000 sent as handover:1|c|@0.5, the server counts 9954
StatsdClient: 1033 of 10000 sent as handover:1|c|@0.9, the server counts 1148
DogStatsdClient: 8959 of 10000 sent as handover:1|c|@0.1, the server counts 89590
DogStatsdClient: 4977 of 10000 sent as handover:1|c|@0.5, the server counts 9954
DogStatsdClient: 1033 of 10000 sent as handover:1|c|@0.9, the server counts 1148' ]; then
    echo "changed: counts are sampled in another way" >&2
    exit 1
fi
