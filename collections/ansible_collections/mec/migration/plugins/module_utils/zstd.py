# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One-shot zstd frames through the system's libzstd.

An edge host has libzstd (its package manager links it) but, below Python 3.14, no binding in the
standard library. Four functions of the stable API (zstd.h, "Simple API") are all that is needed.
"""

from __future__ import annotations

import ctypes
import ctypes.util


class Zstd:
    """libzstd, loaded. Use :func:`load`, which answers None where the library is missing."""

    def __init__(self, library: ctypes.CDLL) -> None:
        size_t = ctypes.c_size_t
        pointer = ctypes.c_void_p
        self._bound = library.ZSTD_compressBound
        self._bound.argtypes, self._bound.restype = [size_t], size_t
        self._compress = library.ZSTD_compress
        self._compress.argtypes = [pointer, size_t, pointer, size_t, ctypes.c_int]
        self._compress.restype = size_t
        self._decompress = library.ZSTD_decompress
        self._decompress.argtypes = [pointer, size_t, pointer, size_t]
        self._decompress.restype = size_t
        self._is_error = library.ZSTD_isError
        self._is_error.argtypes, self._is_error.restype = [size_t], ctypes.c_uint

    def compress(self, data: bytes, level: int = 3) -> bytes:
        """*data* as one zstd frame."""
        bound = self._bound(len(data))
        out = ctypes.create_string_buffer(bound)
        written = self._compress(out, bound, data, len(data), level)
        if self._is_error(written):
            raise ValueError(f"zstd could not compress {len(data)} bytes")
        return ctypes.string_at(out, written)

    def decompress(self, frame: bytes, size_bytes: int) -> bytes:
        """The content of *frame*, which must be exactly *size_bytes* long.

        :raises ValueError: the frame is damaged or of another size.
        """
        out = ctypes.create_string_buffer(max(1, size_bytes))
        written = self._decompress(out, size_bytes, frame, len(frame))
        if self._is_error(written) or written != size_bytes:
            raise ValueError(f"zstd frame does not decompress to {size_bytes} bytes")
        return ctypes.string_at(out, size_bytes)


def load() -> Zstd | None:
    """libzstd if this host has it, else None."""
    for name in ("libzstd.so.1", ctypes.util.find_library("zstd")):
        if name:
            try:
                return Zstd(ctypes.CDLL(name))
            except (OSError, AttributeError):
                continue
    return None
