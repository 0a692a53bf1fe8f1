#!/usr/bin/env bash
# zstandard: data behind a skippable frame is lost by two of its interfaces and refused by a third.
#
# Expected: a skippable frame (RFC 8878, 3.1.2) carries notes and is passed over. Tools write one in
# front of the data, for instance parallel and seekable compressors.
# Seen: of the four ways to decompress, stream_reader().read() gives the data behind it,
# decompressobj().decompress() and read_to_iter() give nothing, and no error either (eof is set, the
# data lies in unused_data), and decompress() fails with "decompressed 0 bytes; expected 4", 4 being
# the length of the note. pyzstd gives the data.
#
# Versions: zstandard 0.25.0 beside pyzstd 0.20.0. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zstandard==0.25.0 pyzstd==0.20.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # pyzstd recommends its successor

import pyzstd
import zstandard

print("zstandard", version("zstandard"), "pyzstd", version("pyzstd"))
note = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"note"
data = note + zstandard.compress(b"hello")
seen = {
    "pyzstd.decompress": pyzstd.decompress(data),
    "stream_reader": zstandard.ZstdDecompressor().stream_reader(data).read(),
    "decompressobj": zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "read_to_iter": b"".join(zstandard.ZstdDecompressor().read_to_iter(data)),
}
try:
    seen["decompress"] = zstandard.decompress(data)
except zstandard.ZstdError as error:
    seen["decompress"] = str(error)
for name, value in seen.items():
    print(f"{name}: {value!r}")

if seen != {
    "pyzstd.decompress": b"hello",
    "stream_reader": b"hello",
    "decompressobj": b"",
    "read_to_iter": b"",
    "decompress": "decompression error: decompressed 0 bytes; expected 4",
}:
    sys.exit("changed: skippable frames are treated in another way")
PYTHON
