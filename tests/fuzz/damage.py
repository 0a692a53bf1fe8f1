"""Valid input, damaged in the ways in which disks, networks and hostile peers damage it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

# Values at the edges of what readers expect.
ODD_NUMBERS = (0, -1, 1, 2, 255, 4095, 4096, *(1 << bits for bits in (31, 32, 47, 56, 63)), -(1 << 63))
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS,
    1 << 70,
    None,
    True,
    False,
    0.5,
    1e308,
    "",
    ".",
    "..",
    "/",
    "a/../b",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    [[[[]]]],
    {"a": {"b": []}},
)


def damaged_bytes(choice: random.Random, valid: bytes) -> bytes:
    """*valid* with one to four damages: bytes changed, cut out, doubled, put in, the end cut off."""
    data = bytearray(valid)
    for _damage in range(choice.randint(1, 4)):
        at = choice.randrange(len(data) + 1)
        length = choice.choice((1, 1, 2, 4, 8, 100))
        kind = choice.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << choice.randrange(8)
        elif kind == 1:
            data[at : at + length] = choice.randbytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at:at] = choice.choice((b"\xff", b"\x00", b"\x80", b"\x7f")) * length
        else:
            del data[at:]
    return bytes(data)


def damaged_value(choice: random.Random, valid: Any) -> Any:
    """A JSON value like *valid*, with something in it replaced, left out or put in."""
    if isinstance(valid, dict) and valid and choice.random() < 0.8:
        changed = dict(valid)
        key = choice.choice(sorted(changed))
        if choice.random() < 0.2:
            del changed[key]
        else:
            changed[key] = damaged_value(choice, changed[key])
        return changed
    if isinstance(valid, list) and valid and choice.random() < 0.8:
        items = list(valid)
        at = choice.randrange(len(items))
        what = choice.random()
        if what < 0.2:
            del items[at]
        elif what < 0.4:
            items.insert(at, items[at])
        else:
            items[at] = damaged_value(choice, items[at])
        return items
    if isinstance(valid, int) and not isinstance(valid, bool) and choice.random() < 0.5:
        return valid + choice.choice(ODD_NUMBERS)
    return choice.choice(ODD_VALUES)


def trials(seconds: float, least: int = 200) -> Iterator[random.Random]:
    """Sources of chance with the seeds 0, 1, 2 and so on, for *seconds* and at least *least* times."""
    end = time.monotonic() + seconds
    seed = 0
    while seed < least or time.monotonic() < end:
        yield random.Random(seed)
        seed += 1


def in_time(longest_s: float, work: Callable[[], Any]) -> Any:
    """What *work* returns.

    :raises AssertionError: it used a processor for longer than *longest_s*, or took far longer than that: on
        a busy machine it may have to wait for one.
    """
    start, began = time.process_time(), time.monotonic()
    result = work()
    used_s, took_s = time.process_time() - start, time.monotonic() - began
    assert used_s < longest_s, f"it used {used_s:.1f} s of a processor"
    assert took_s < 30 * longest_s, f"it took {took_s:.1f} s"
    return result
