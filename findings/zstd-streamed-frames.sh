#!/usr/bin/env bash
# zstd (PyPI): a frame that was written as a stream is refused once it holds more than 128 KiB.
#
# Expected: any zstd frame can be decompressed. The content size in a frame's header is optional (RFC
# 8878, 3.1.1.1), and a writer that streams leaves it out, as the command zstd does behind a pipe.
# Seen: zstd.decompress() of such a frame works for 131,072 bytes and fails for 131,073 with "length
# mismatch -> decomp 0 != 131072"; the same data with its size in the header, and the same frame in
# zstandard, are fine. The empty frame without a size fails, too.
#
# Versions: zstd 1.5.7.2 beside zstandard 0.25.0. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zstd==1.5.7.2 zstandard==0.25.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import zstandard
import zstd

print("zstd", version("zstd"), "zstandard", version("zstandard"))


def answer(frame, size):
    assert len(zstandard.ZstdDecompressor().decompressobj().decompress(frame)) == size
    try:
        return len(zstd.decompress(frame)) == size
    except zstd.Error as error:
        return str(error)


seen = {}
for size in (131072, 131073, 1_000_000):
    stream = zstandard.ZstdCompressor().compressobj()
    streamed = stream.compress(b"a" * size) + stream.flush()
    seen[size] = (answer(streamed, size), answer(zstandard.compress(b"a" * size), size))
    print(f"{size} bytes: streamed {seen[size][0]}; with the size in the header {seen[size][1]}")
empty = answer(zstandard.ZstdCompressor(write_content_size=False).compress(b""), 0)
print("empty frame without a size:", empty)

if seen[131072] != (True, True):
    sys.exit("changed: 131,072 streamed bytes are refused")
if any(seen[n][0] is True or seen[n][1] is not True for n in (131073, 1_000_000)) or empty is True:
    sys.exit("changed: larger streamed frames, or the empty one, are decompressed now")
PYTHON
