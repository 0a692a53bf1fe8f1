# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bodies of messages travel as zstd frames: those for which that was measured to pay."""

from __future__ import annotations

import time
from typing import NamedTuple, Union

from ..base.errors import TransferError
from . import zstd

MAX_BODY_BYTES = 256 << 20
MIN_COMPRESS_BYTES = 512

Body = Union[bytes, bytearray, memoryview]


class Packed(NamedTuple):
    """A body that is a zstd frame already; ``size_bytes`` unpacked. By the dictionary, or without one."""

    frame: bytes
    size_bytes: int
    by_dictionary: bool = False


class LookAway:
    """Leaves out what lately did not pay: one message, then two, four and so on up to *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = 0
        self._next = 1

    def now(self) -> bool:
        """Whether to leave out the message at hand."""
        if self._left:
            self._left -= 1
            return True
        return False

    def learn(self, paid: bool) -> None:
        """Whether the last message that was tried was worth it."""
        if paid:
            self._next = 1
        else:
            self._left = self._next
            self._next = min(self._most, self._next * 2)


class _Rate:
    """Seconds a byte of something that is done again and again; the recent past counts most."""

    WEIGHT = 0.25

    def __init__(self) -> None:
        self.s_per_byte = 0.0

    def observe(self, size_bytes: int, seconds: float) -> None:
        seen = seconds / size_bytes
        self.s_per_byte += (seen - self.s_per_byte) * (self.WEIGHT if self.s_per_byte else 1.0)


class Compression:
    """Decides per message whether zstd pays, from what it just saw.

    On a link that takes far longer to send a message than zstd to try, each is tried, and a small gain
    is welcome. On a faster one, bodies that did not shrink make it look away from up to four messages, so
    that incompressible memory costs little, and what follows it is still seen; of a large message it takes
    samples even then.
    """

    # Nearly as fast as 1, and 2 to 3 % smaller.
    LEVEL = 3
    # Some 2 % smaller still, and so many times as slow.
    SLOW_LEVEL, SLOWER = 9, 15
    MIN_GAIN = 0.07
    # Parts of the time that sending takes. The kernel sends on meanwhile, but the processor is the service's.
    CHEAP, CHEAP_SLOW = 0.5, 0.1
    UNPACK_S_PER_BYTE = 1e-9
    SAMPLES, SAMPLE_BYTES = 4, 16 << 10

    def __init__(self, library: zstd.Zstd | None) -> None:
        self._zstd = library
        self._look_away = LookAway(4)
        self._sending = _Rate()
        self._trying = _Rate()
        self.dictionary: zstd.Dictionary | None = None

    def sent(self, size_bytes: int, seconds: float) -> None:
        """How long the connection took for a large message: what a byte less would have saved."""
        self._sending.observe(size_bytes, seconds)

    def encode(self, body: Body) -> bytes | None:
        """The compressed body, or None where it should travel as it is."""
        if self._zstd is None or len(body) < MIN_COMPRESS_BYTES:
            return None
        cheap = 0 < self._trying.s_per_byte < self._sending.s_per_byte * self.CHEAP
        if not cheap and self._look_away.now() and not self._samples_shrink(body):
            return None
        slow = cheap and self._trying.s_per_byte * self.SLOWER < self._sending.s_per_byte * self.CHEAP_SLOW
        start = time.monotonic()
        packed = self._zstd.compress(bytes(body), self.SLOW_LEVEL if slow else self.LEVEL)
        took = time.monotonic() - start
        self._trying.observe(len(body), took / self.SLOWER if slow else took)
        gain = self.MIN_GAIN
        if cheap:
            gain = min(gain, self.UNPACK_S_PER_BYTE / self._sending.s_per_byte)
        paid = len(packed) <= len(body) * (1 - gain)
        self._look_away.learn(paid)
        return packed if paid else None

    def _samples_shrink(self, body: Body) -> bool:
        """Whether enough comes of a few parts of it, if they are few beside the whole."""
        step = len(body) // self.SAMPLES
        if self._zstd is None or step < 8 * self.SAMPLE_BYTES:
            return False
        starts = range(0, step * self.SAMPLES, step)
        samples = b"".join(bytes(body[start : start + self.SAMPLE_BYTES]) for start in starts)
        return len(self._zstd.compress(samples, self.LEVEL)) <= len(samples) * (1 - self.MIN_GAIN)

    def pack(self, body: Body) -> bytes:
        """*body* as a frame, whether that pays or not."""
        if self._zstd is None:
            raise TransferError("a body was to be packed, but this host has no libzstd.so.1; install libzstd")
        return self._zstd.compress(bytes(body), self.LEVEL)

    def use_dictionary(self, data: bytes) -> None:
        """What both sides hold."""
        if self._zstd is not None:
            self.dictionary = self._zstd.dictionary(data)

    def decode(self, body: bytes, size_bytes: int, *, by_dictionary: bool = False) -> bytes:
        if self._zstd is None:
            raise TransferError(
                "the peer sent a zstd body but this host has no libzstd.so.1; install libzstd"
            )
        if size_bytes > MAX_BODY_BYTES:
            raise TransferError(f"a body of {size_bytes} bytes is over the limit")
        unpack = self.dictionary if by_dictionary else self._zstd
        try:
            if unpack is None:
                raise ValueError("it was packed by a dictionary that never came")
            return unpack.decompress(body, size_bytes)
        except ValueError as error:
            raise TransferError(f"a message arrived damaged: {error}") from error
