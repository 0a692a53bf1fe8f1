#!/usr/bin/env bash
# container-inspector: a file that replaces a directory is put inside of it, and the old files stay.
#
# Expected: where a layer has a file at the path of a directory, the directory is removed and the file put in its
# place (OCI image specification, layer.md, Applying Changesets: of entries that exist only two directories
# are merged). The root file system of the image then has one file, "data".
# Seen: rebuild_rootfs() gives data/a of the lower layer and the new file as data/data, with no error. The other
# way round, a directory over a file, it stops with "Not a directory".
#
# Version: container-inspector 33.1.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check container-inspector==33.1.0

cat >run.py <<'PYTHON'
import hashlib
import io
import json
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

from container_inspector.image import Image
from container_inspector.rootfs import rebuild_rootfs


def make_tar(entries):
    """A tar of (name, content) pairs; content None makes a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if content is None:
                member.type = tarfile.DIRTYPE
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    return buffer.getvalue()


print("container-inspector", version("container-inspector"))
layers = [make_tar([("data", None), ("data/a", b"old")]), make_tar([("data", b"new")])]
names = [hashlib.sha256(layer).hexdigest() for layer in layers]
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{name}" for name in names]},
    "history": [{"created_by": "first"}, {"created_by": "second"}],
}
config = json.dumps(config).encode()
config_name = hashlib.sha256(config).hexdigest() + ".json"
manifest = [{"Config": config_name, "RepoTags": ["image:1"], "Layers": [f"{name}/layer.tar" for name in names]}]
files = [(config_name, config), ("manifest.json", json.dumps(manifest).encode())]
for name, layer in zip(names, layers, strict=True):
    files += [(name, None), (f"{name}/layer.tar", layer)]
Path("image.tar").write_bytes(make_tar(files))

(image,) = Image.get_images_from_tarball(archive_location="image.tar", extracted_location="extracted", verify=True)
rootfs = Path("rootfs")
rootfs.mkdir()
rebuild_rootfs(image, str(rootfs))
seen = {str(path.relative_to(rootfs)): path.read_text() for path in sorted(rootfs.rglob("*")) if path.is_file()}
print("files of the root file system:", seen)

if seen != {"data/a": "old", "data/data": "new"}:
    sys.exit("changed: the layers are applied in another way")
PYTHON
venv/bin/python run.py
