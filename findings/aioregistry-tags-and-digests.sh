#!/usr/bin/env bash
# aioregistry: app:1.2@sha256:... is asked for as the tag "1.2@sha256:...", and docker.io/debian is not found.
#
# Expected: a reference may have a tag and a digest, of which the digest counts (distribution's reference grammar;
# Compose and Renovate write such). docker.io/debian is docker.io/library/debian, as Docker itself writes it.
# Seen: all behind the first colon is one reference, so that the path is .../manifests/1.2@sha256:..., which no
# registry has. "library/" is put in front of debian:12, and not of docker.io/debian:12. Tags or digests alone are
# read rightly; as a text only seven digits of a digest are left.
#
# Version: aioregistry 0.7.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aioregistry==0.7.3

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from aioregistry.parsing import parse_image_name

print("aioregistry", version("aioregistry"))
digest = "sha256:" + "a" * 64
seen = []
for name in (
    "debian:12",
    "docker.io/debian:12",
    f"registry.example/app@{digest}",
    f"registry.example/app:1.2@{digest}",
):
    read = parse_image_name(name)
    seen.append((read.url.replace(digest, "DIGEST"), str(read).replace(digest, "DIGEST")))
    print(name.replace(digest, "DIGEST"), "->", *seen[-1])

if seen != [
    ("v2/library/debian/manifests/12", "library/debian:12"),
    ("v2/debian/manifests/12", "docker.io/debian:12"),
    ("v2/app/manifests/DIGEST", "registry.example/app@aaaaaaa"),
    ("v2/app/manifests/1.2@DIGEST", "registry.example/app:1.2@DIGEST"),
]:
    sys.exit("changed: references are read in another way")
PYTHON
venv/bin/python run.py
