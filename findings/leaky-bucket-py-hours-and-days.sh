#!/usr/bin/env bash
# leaky-bucket-py: the limit of an hour counts events, not amounts, that of a day counts nothing, and the
# short form fails.
#
# Expected: a storage takes a rate and the limits max_hourly_level and max_daily_level; acquire(amount) takes
# the amount from all of them. direct_rate_limit() makes storage and bucket in one call.
# Seen: with the storage in memory each event counts as 1 in the hour, whatever its amount: with 1000 an hour,
# twenty events of 100 leave room for another. The limit of a day is kept and never looked at: with 5 a day
# ten events pass. direct_rate_limit() hands over rate and period by position, which the storage does not
# take: "TypeError: InMemoryLeakyBucketStorage.__init__() takes 1 positional argument but 3 were given".
#
# Versions: leaky-bucket-py 0.1.3 with redis 5.2.1 (imported, not used). Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check leaky-bucket-py==0.1.3 redis==5.2.1

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from leakybucket import LeakyBucket, direct_rate_limit
from leakybucket.persistence.memory import InMemoryLeakyBucketStorage

print("leaky-bucket-py", version("leaky-bucket-py"))
FAST = {"max_rate": 1e9, "time_period": 1}


def passed(amount, events, **limits):
    storage = InMemoryLeakyBucketStorage(**FAST, **limits)
    bucket = LeakyBucket(storage)
    for number in range(events):
        if not storage.has_capacity(amount):
            return number
        bucket.acquire(amount)
    return events


seen = {
    "1000 an hour, amounts of 100": passed(100, 20, max_hourly_level=1000),
    "5 an hour, amounts of 1": passed(1, 20, max_hourly_level=5),
    "5 a day, amounts of 1": passed(1, 10, max_daily_level=5),
}
for name, number in seen.items():
    print(f"{name}: {number} events pass")
try:
    direct_rate_limit(3, 1, storage_cls=InMemoryLeakyBucketStorage)
    short = None
except TypeError as error:
    short = str(error)
print("direct_rate_limit():", short)

if list(seen.values()) != [20, 5, 10] or short is None or "3 were given" not in short:
    sys.exit("changed: amounts or limits are counted in another way")
PYTHON
venv/bin/python run.py
