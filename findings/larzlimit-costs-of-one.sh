#!/usr/bin/env bash
# larzlimit and fluxrate: whatever an event costs counts as one, and all keys share one limit.
#
# Expected: in larzlimit hit(key, cost) takes the cost from what is left, as with the strategy "token"; in
# fluxrate RateLimiter.consume() with 60 takes as much as TokenBucket.consume(60), and allow("user_123"), as
# its README has it, limits each user apart.
# Seen: larzlimit's other strategies, one of which is the default, ignore the cost: three events of 60 fit
# into a limit of 100 and leave 97. In fluxrate the arguments of allow() and consume() are only handed to
# key_func, which is not set by default: three times 60 of 100 are taken as three, and after the first user
# the second is refused with a limit of one.
#
# Versions: larzlimit 0.1.0 and fluxrate 0.4.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check larzlimit==0.1.0 fluxrate==0.4.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import fluxrate
import larzlimit

print("larzlimit", version("larzlimit"), "fluxrate", version("fluxrate"))
left = {}
for strategy in ("token", "sliding", "fixed"):
    limiter = larzlimit.RateLimiter(100, 60, strategy=strategy)
    hits = [limiter.hit("a", 60, now=90.0) for _ in range(3)]
    left[strategy] = [(hit.allowed, hit.remaining) for hit in hits]
    print(f"larzlimit, {strategy}: allowed and left after each of three events of 60:", left[strategy])

bucket = fluxrate.TokenBucket(rate=0.001, capacity=100)
limiter = fluxrate.RateLimiter(calls=100, period=86400)
taken = [[each.consume(60) for _ in range(3)] for each in (bucket, limiter)]
print("fluxrate, three times 60 of 100, TokenBucket and RateLimiter:", taken)
single = fluxrate.RateLimiter(calls=1, period=86400)
users = [single.allow(user) for user in ("user_123", "user_124")]
print("fluxrate, one call each of two users:", users)

whole = [(True, 99), (True, 98), (True, 97)]
tokens = [(True, 40), (False, 0), (False, 0)]
if left != {"token": tokens, "sliding": whole, "fixed": whole}:
    sys.exit("changed: larzlimit counts in another way")
if taken != [[True, False, False], [True, True, True]] or users != [True, False]:
    sys.exit("changed: fluxrate counts in another way")
PYTHON
venv/bin/python run.py
