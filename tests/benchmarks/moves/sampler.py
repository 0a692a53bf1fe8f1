#!/usr/bin/env python3
"""Runs on a host while a service moves; when its input ends it prints what it has seen.

One line per sample: the monotonic clock, bytes sent by the interface, bytes of memory
in use (anonymous and tmpfs, without what Linux merely caches; 0: not looked at).
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Iterable
from pathlib import Path

SENT = Path("/sys/class/net/eth0/statistics/tx_bytes")
PERIOD_S = 0.005
MEMORY_EVERY = 40
# cgroup v1 and v2: the host is a container, so these are its own.
MEMORY = (
    (Path("/sys/fs/cgroup/memory/memory.stat"), ("total_rss", "total_shmem")),
    (Path("/sys/fs/cgroup/memory.stat"), ("anon", "shmem")),
)


def in_use(lines: Iterable[str], keys: tuple[str, ...]) -> int:
    """The sum of these keys' values."""
    words = (line.split() for line in lines)
    return sum(int(word[1]) for word in words if word[0] in keys)


def memory() -> int:
    for path, keys in MEMORY:
        with contextlib.suppress(OSError):
            return in_use(path.read_text().splitlines(), keys)
    return 0


def main() -> None:
    samples: list[tuple[float, int, int]] = []
    while not select.select([sys.stdin], [], [], PERIOD_S)[0]:
        used = 0 if len(samples) % MEMORY_EVERY else memory()
        samples.append((time.monotonic(), int(SENT.read_text()), used))
    for moment, sent, used in samples:
        print(f"{moment:.6f} {sent} {used}")


if __name__ == "__main__":
    main()
