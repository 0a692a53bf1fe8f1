#!/usr/bin/env bash
# bsdiffhs: file_patch() to a new file ignores the window that the patch was made with.
#
# Expected: file_diff(), file_patch() and patch() take the window and the lookahead of heatshrink as
# arguments, and what the first makes the others apply if they are given the same.
# Seen: file_patch() to another path reads the patch with the default of 10 and 4 whatever it is given: with a
# window of 12, which makes the patch smaller by a third, it raises "TypeError: can't concat NoneType to
# bytes" and leaves an empty file. patch() and file_patch() onto the same path are right.
#
# Version: bsdiffhs 0.3.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check bsdiffhs==0.3.0

cat >run.py <<'PYTHON'
import random
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import bsdiffhs

print("bsdiffhs", version("bsdiffhs"))
random.seed(1)
old = random.randbytes(5000)
new = old[:2000] + b"x" * 50 + old[2500:]
Path("old").write_bytes(old)
Path("new").write_bytes(new)
seen = {}
for window, lookahead in ((10, 4), (12, 5)):
    bsdiffhs.file_diff("old", "new", "patch", window, lookahead)
    in_memory = bsdiffhs.patch(old, Path("patch").read_bytes(), window, lookahead) == new
    shutil.copy("old", "same")
    bsdiffhs.file_patch("same", "same", "patch", window, lookahead)
    try:
        bsdiffhs.file_patch("old", "other", "patch", window, lookahead)
        other = Path("other").read_bytes() == new
    except TypeError as error:
        other = f"{error}, file of {Path('other').stat().st_size} bytes"
    seen[window] = (in_memory, Path("same").read_bytes() == new, other)
    size = Path("patch").stat().st_size
    print(f"window {window}, patch of {size} bytes: in memory, in place, to a new file: {seen[window]}")

if seen != {
    10: (True, True, True),
    12: (True, True, "can't concat NoneType to bytes, file of 0 bytes"),
}:
    sys.exit("changed: patches are applied in another way")
PYTHON
venv/bin/python run.py
