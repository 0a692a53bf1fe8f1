#!/usr/bin/env bash
# containerimage-py: an image of a registry with a port cannot be used without a tag.
#
# Expected: registry.example:5000/app is the tag latest of it, as registry.example/app is, and debian:12 is
# docker.io/library/debian:12 (distribution's reference grammar, from which its patterns were taken).
# Seen: the references are valid, but what is behind the last colon, "5000/app", is taken for the tag:
# get_identifier() raises "Not a valid tag or digest ref", and with it all requests to the registry. Of debian:12
# the name is "debian:12/", which is refused. With a tag or a digest the port does no harm.
#
# Version: containerimage-py 1.1.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check containerimage-py==1.1.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from image.reference import ContainerImageReference

print("containerimage-py", version("containerimage-py"))
DIGEST = "sha256:" + "a" * 64


def told(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


seen = []
for text in (
    "registry.example/app",
    "registry.example:5000/app:1",
    f"registry.example:5000/app@{DIGEST}",
    "registry.example:5000/app",
    "debian:12",
):
    reference = ContainerImageReference(text)
    seen.append((told(reference.get_name), told(reference.get_identifier)))
    print(text.replace(DIGEST, "DIGEST"), "->", *(part.replace(DIGEST, "DIGEST") for part in seen[-1]), sep="  ")

if seen != [
    ("registry.example/app", "latest"),
    ("registry.example:5000/app", "1"),
    ("registry.example:5000/app", DIGEST),
    ("registry.example:5000/app", "Exception: Not a valid tag or digest ref: registry.example:5000/app"),
    ("ContainerImageError: Invalid name: debian:12/", "12"),
]:
    sys.exit("changed: references are read in another way")
PYTHON
venv/bin/python run.py
