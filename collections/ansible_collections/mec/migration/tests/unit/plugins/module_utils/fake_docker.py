# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon with an overlay2 store in a directory: enough of it to move images."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.mec.migration.plugins.module_utils.image.store import chain_ids


class NotFound(Exception):
    class response:
        status_code = 404


def tar_of(files: dict[str, bytes], *, pax: bool = False) -> bytes:
    """A layer's tar; a name that ends in a slash is a directory."""
    out = io.BytesIO()
    kind = tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class FakeDocker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "image" / "overlay2"
        self.images: dict[str, list[str]] = {}
        self.references: dict[str, str] = {}
        self.loaded_layers: list[str] = []
        (root / "tmp").mkdir(parents=True)

    def build(self, reference: str, layers: Iterable[bytes]) -> str:
        """An image of these layers (tars), bottom first; returns its id."""
        tars = list(layers)
        diff_ids = [sha256(tar) for tar in tars]
        for tar, chain_id in zip(tars, chain_ids(diff_ids)):
            self._register(chain_id, tar)
        config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        return self._create(config.encode(), [reference])

    def _create(self, config: bytes, references: Iterable[str]) -> str:
        image_id = sha256(config)
        path = self.store / "imagedb" / "content" / "sha256" / image_id[7:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(config)
        self.images[image_id] = json.loads(config)["rootfs"]["diff_ids"]
        for reference in references:
            self.references[reference] = image_id
        return image_id

    def _register(self, chain_id: str, tar: bytes) -> None:
        directory = self.store / "layerdb" / "sha256" / chain_id[7:]
        if directory.exists():
            return
        directory.mkdir(parents=True)
        cache_id = f"cache-{chain_id[7:19]}"
        diff = self.root / "overlay2" / cache_id / "diff"
        diff.mkdir(parents=True)
        entries: list[dict[str, Any]] = []

        def segment(content: bytes) -> None:
            if content:
                payload = base64.b64encode(content).decode()
                entries.append({"type": 2, "payload": payload, "position": len(entries)})

        at = size = 0
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive:
                if member.isdir():
                    (diff / member.name).mkdir(parents=True, exist_ok=True)
                if not member.isreg():
                    continue
                path = diff / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar[member.offset_data : member.offset_data + member.size]
                path.write_bytes(content)
                segment(tar[at : member.offset_data])
                raw = os.fsencode(member.name)
                entry: dict[str, Any] = {"type": 1, "payload": "AAAAAAAAAAA="}
                try:
                    entry["name"] = raw.decode()
                except UnicodeDecodeError:
                    entry["name_raw"] = base64.b64encode(raw).decode()
                if member.size:
                    entry["size"] = member.size
                entries.append(dict(entry, position=len(entries)))
                at = member.offset_data + member.size
                size += member.size
        segment(tar[at:])
        with gzip.open(directory / "tar-split.json.gz", "wt") as lines:
            for entry in entries:
                lines.write(json.dumps(entry) + "\n")
        (directory / "cache-id").write_text(cache_id)
        (directory / "diff").write_text(sha256(tar))
        (directory / "size").write_text(str(size))

    def diff_dir(self, tar: bytes) -> Path:
        """Where the files of a bottom layer are."""
        return self.root / "overlay2" / f"cache-{sha256(tar)[7:19]}" / "diff"

    # -- docker.APIClient ----------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        return {
            "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", "extfs"]],
            "DockerRootDir": str(self.root),
            "ServerVersion": "26.1.5",
        }

    def inspect_image(self, name: str) -> dict[str, Any]:
        image_id = self.references.get(name, name)
        if image_id not in self.images:
            raise NotFound(name)
        return {
            "Id": image_id,
            "RepoTags": [key for key, value in self.references.items() if value == image_id],
            "RootFS": {"Layers": self.images[image_id]},
        }

    def tag(self, image: str, repository: str, tag: str, force: bool = False) -> None:
        assert image in self.images
        self.references[f"{repository}:{tag}"] = image

    def load_image(self, data: Iterable[bytes]) -> list[dict[str, str]]:
        """As moby: a layer's file is opened only where its chain id is absent."""
        members = {}
        with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as archive:
            for member in archive:
                content = archive.extractfile(member)
                assert content is not None
                members[member.name] = content.read()
        for item in json.loads(members["manifest.json"]):
            config = members[item["Config"]]
            diff_ids = json.loads(config)["rootfs"]["diff_ids"]
            for diff_id, chain_id, name in zip(diff_ids, chain_ids(diff_ids), item["Layers"]):
                if (self.store / "layerdb" / "sha256" / chain_id[7:]).exists():
                    continue
                if name not in members:
                    return [{"error": f"open {name}: no such file or directory"}]
                assert sha256(members[name]) == diff_id
                self._register(chain_id, members[name])
                self.loaded_layers.append(diff_id)
            self._create(config, item["RepoTags"])
        return [{"stream": "Loaded image"}]

    def get_image(self, name: str) -> Iterable[bytes]:
        """``docker save``: it knows the layers as they were built, whatever lies on disk now."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for number, tar in enumerate(self.saved):
                member = tarfile.TarInfo(f"{number}/layer.tar")
                member.size = len(tar)
                archive.addfile(member, io.BytesIO(tar))
        content = out.getvalue()
        return (content[at : at + 5000] for at in range(0, len(content), 5000))

    saved: tuple[bytes, ...] = ()
