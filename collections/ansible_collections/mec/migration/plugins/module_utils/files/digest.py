# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that tell which blocks of a file changed, quick enough for the frozen window.

XXH3 with 128 bits reads as fast as memory can be read; cryptographic digests take ten times as long. Who
could find two blocks with one digest would have to know the seed, which differs after each boot of the host.
The library is part of every Debian, for its package manager is linked to it; where it is missing, SHA-256 or
BLAKE2 does, whichever the processor is quicker at.

Source of the interface: xxhash.h, ``XXH3_128bits_withSeed``; of the format, canonical or not, nothing is
assumed: digests are compared with digests of the same host only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
from collections.abc import Callable

DIGEST_BYTES = 16
BOOT_ID = "/proc/sys/kernel/random/boot_id"

BlockDigests = Callable[[bytes, int], bytes]


class _Hash128(ctypes.Structure):
    """``XXH128_hash_t``."""

    _fields_ = (("low64", ctypes.c_uint64), ("high64", ctypes.c_uint64))


def by_xxhash(library: ctypes.CDLL, seed: int) -> BlockDigests:
    """Digests by libxxhash.

    :raises AttributeError: it is older than 0.8.
    """
    one = library.XXH3_128bits_withSeed
    one.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
    one.restype = _Hash128

    def digests(data: bytes, block_bytes: int) -> bytes:
        start = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        size = len(data)
        return b"".join(
            bytes(one(start + at, min(block_bytes, size - at), seed))
            for at in range(0, max(size, 1), block_bytes)
        )

    return digests


def by_hashlib(name: str) -> BlockDigests:
    """Digests by a cryptographic function, cut to the same length."""

    def digests(data: bytes, block_bytes: int) -> bytes:
        view = memoryview(data)
        return b"".join(
            hashlib.new(name, view[at : at + block_bytes]).digest()[:DIGEST_BYTES]
            for at in range(0, max(len(view), 1), block_bytes)
        )

    return digests


def choose() -> BlockDigests:
    """The quickest that this host has."""
    with open(BOOT_ID, encoding="ascii") as boot_id:
        seed = int(boot_id.read().strip().replace("-", "")[:16], 16)
    try:
        return by_xxhash(ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0"), seed)
    except (OSError, AttributeError):
        pass
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        text = lines.read(1 << 14)
    return by_hashlib("sha256" if " sha_ni" in text or " sha2" in text else "blake2b")


_chosen: list[BlockDigests] = []


def block_digests(data: bytes, block_bytes: int) -> bytes:
    """Of each block of *data*, the last of which may be shorter, DIGEST_BYTES, back to back.

    No data is one block: an empty file has a digest, too.
    """
    if not _chosen:
        _chosen.append(choose())
    return _chosen[0](data, block_bytes)
