# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd through the system's libzstd: one-shot frames, with or without a dictionary, and streams.

An edge host has libzstd (its package manager links it) but, below Python 3.14, no binding in the
standard library. A few functions of the stable API (zstd.h, "Simple API", "Bulk processing dictionary API",
"Streaming decompression - HowTo") are all that is needed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterable, Iterator


class _Buffer(ctypes.Structure):
    """``ZSTD_inBuffer`` and ``ZSTD_outBuffer``, which are laid out alike."""

    _fields_ = (("content", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


class Zstd:
    """libzstd, loaded. Use :func:`load`, which answers None where the library is missing."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
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

    def decompressed(self, pieces: Iterable[bytes], out_bytes: int) -> Iterator[bytes]:
        """The content of a stream of frames, in pieces of at most *out_bytes*.

        :raises ValueError: the stream is damaged, or ends in the middle of a frame.
        """
        library, size_t, pointer = self._library, ctypes.c_size_t, ctypes.c_void_p
        buffers = ctypes.POINTER(_Buffer)
        library.ZSTD_createDCtx.argtypes, library.ZSTD_createDCtx.restype = [], pointer
        library.ZSTD_freeDCtx.argtypes, library.ZSTD_freeDCtx.restype = [pointer], size_t
        library.ZSTD_decompressStream.argtypes = [pointer, buffers, buffers]
        library.ZSTD_decompressStream.restype = size_t
        context = pointer(library.ZSTD_createDCtx())
        space = ctypes.create_string_buffer(out_bytes)
        left = 0
        try:
            for piece in pieces:
                source = _Buffer(ctypes.cast(ctypes.c_char_p(piece), pointer), len(piece), 0)
                full = False
                # A full output buffer may leave more behind, also without further input.
                while source.pos < source.size or (full and left):
                    target = _Buffer(ctypes.addressof(space), out_bytes, 0)
                    left = library.ZSTD_decompressStream(context, ctypes.byref(target), ctypes.byref(source))
                    if self._is_error(left):
                        raise ValueError("a zstd stream is damaged")
                    full = target.pos == out_bytes
                    if target.pos:
                        yield ctypes.string_at(space, target.pos)
            if left:
                raise ValueError("a zstd stream ends too early")
        finally:
            library.ZSTD_freeDCtx(context)

    def dictionary(self, data: bytes) -> Dictionary:
        """For frames of what resembles *data*, which both sides hold."""
        return Dictionary(self._library, data)


class Dictionary:
    """Frames that only point to what the dictionary holds. Indexed once, so that a frame is quick."""

    LEVEL = 3

    def __init__(self, library: ctypes.CDLL, data: bytes) -> None:
        self._library = library
        pointer, size_t = ctypes.c_void_p, ctypes.c_size_t
        for name, arguments, result in (
            ("createCCtx", [], pointer),
            ("createDCtx", [], pointer),
            ("createCDict", [pointer, size_t, ctypes.c_int], pointer),
            ("createDDict", [pointer, size_t], pointer),
            ("compress_usingCDict", [pointer, pointer, size_t, pointer, size_t, pointer], size_t),
            ("decompress_usingDDict", [pointer, pointer, size_t, pointer, size_t, pointer], size_t),
            ("freeCCtx", [pointer], size_t),
            ("freeDCtx", [pointer], size_t),
            ("freeCDict", [pointer], size_t),
            ("freeDDict", [pointer], size_t),
        ):
            function = getattr(library, f"ZSTD_{name}")
            function.argtypes, function.restype = arguments, result
        self._packing = library.ZSTD_createCDict(data, len(data), self.LEVEL)
        self._unpacking = library.ZSTD_createDDict(data, len(data))
        self._packer = library.ZSTD_createCCtx()
        self._unpacker = library.ZSTD_createDCtx()

    def __del__(self) -> None:
        self._library.ZSTD_freeCDict(self._packing)
        self._library.ZSTD_freeDDict(self._unpacking)
        self._library.ZSTD_freeCCtx(self._packer)
        self._library.ZSTD_freeDCtx(self._unpacker)

    def compress(self, data: bytes) -> bytes:
        bound = self._library.ZSTD_compressBound(len(data))
        out = ctypes.create_string_buffer(bound)
        written = self._library.ZSTD_compress_usingCDict(
            self._packer, out, bound, data, len(data), self._packing
        )
        if self._library.ZSTD_isError(written):
            raise ValueError(f"zstd could not compress {len(data)} bytes")
        return ctypes.string_at(out, written)

    def decompress(self, frame: bytes, size_bytes: int) -> bytes:
        """The content of *frame*, which must be exactly *size_bytes* long.

        :raises ValueError: the frame is damaged, of another size, or was made with another dictionary.
        """
        out = ctypes.create_string_buffer(max(1, size_bytes))
        written = self._library.ZSTD_decompress_usingDDict(
            self._unpacker, out, size_bytes, frame, len(frame), self._unpacking
        )
        if self._library.ZSTD_isError(written) or written != size_bytes:
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
