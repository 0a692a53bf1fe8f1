# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers on a Docker host, read where the overlay2 storage driver keeps them.

Layout (moby: layer/filestore.go, graphdriver/overlay2): ``image/overlay2/layerdb/sha256/<chain id>``
holds ``diff``, ``parent``, ``cache-id``, ``size`` and ``tar-split.json.gz``; the files lie in
``overlay2/<cache id>/diff``; an image's configuration is ``image/overlay2/imagedb/content/sha256/<id>``.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Union

from ..base.errors import PreflightError
from ..kernel.rooted import Root

READ_BYTES = 1 << 20


class StoredLayer(NamedTuple):
    """A layer on this host. ``size_bytes`` is the sum of its files' sizes, as Docker counts it."""

    chain_id: str
    diff_id: str
    size_bytes: int
    diff_dir: str
    tar_split_path: str


class TarFile(NamedTuple):
    """Where in a layer's tar the content of a file goes; ``name`` is relative to the diff directory."""

    name: str
    size_bytes: int


TarPart = Union[bytes, TarFile]


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The chain id of each layer, bottom first (OCI image specification, config.md)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            text = f"{chain[-1]} {diff_id}"
            chain.append("sha256:" + hashlib.sha256(text.encode()).hexdigest())
        else:
            chain.append(diff_id)
    return chain


class LayerStore:
    """What the overlay2 storage driver holds below *docker_root_dir*."""

    def __init__(self, docker_root_dir: str) -> None:
        self.docker_root_dir = docker_root_dir
        self._images = os.path.join(docker_root_dir, "image", "overlay2")

    @classmethod
    def of(cls, client: Any) -> LayerStore:
        """The store of the daemon that *client* (``docker.APIClient``) talks to.

        :raises PreflightError: the daemon keeps its images in another way.
        """
        info = client.info()
        kind = store_type(info)
        if kind != "overlay2":
            raise PreflightError(
                f"Docker on this host keeps its images in {kind}; layers can be moved between "
                "overlay2 stores only. Set "
                '{"storage-driver": "overlay2", "features": {"containerd-snapshotter": false}} '
                "in /etc/docker/daemon.json, restart Docker and load the images again.",
                phase="image",
            )
        return cls(info["DockerRootDir"])

    def layers(self) -> dict[str, StoredLayer]:
        """All layers by chain id."""
        directory = os.path.join(self._images, "layerdb", "sha256")
        found: dict[str, StoredLayer] = {}
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            return found
        for name in names:
            layer = self.layer(f"sha256:{name}")
            if layer is not None:
                found[layer.chain_id] = layer
        return found

    def layer(self, chain_id: str) -> StoredLayer | None:
        """One layer, None where it is not there or is being added or removed."""
        directory = os.path.join(self._images, "layerdb", "sha256", chain_id.rpartition(":")[2])
        try:
            cache_id = _text(directory, "cache-id")
            return StoredLayer(
                chain_id,
                _text(directory, "diff"),
                int(_text(directory, "size")),
                os.path.join(self.docker_root_dir, "overlay2", cache_id, "diff"),
                os.path.join(directory, "tar-split.json.gz"),
            )
        except (OSError, ValueError):
            return None

    def config(self, image_id: str) -> bytes:
        """The configuration of an image, byte for byte: its sha256 is the image's id.

        :raises PreflightError: there is none, or it is damaged.
        """
        name = image_id.rpartition(":")[2]
        path = os.path.join(self._images, "imagedb", "content", "sha256", name)
        try:
            with open(path, "rb") as stream:
                config = stream.read()
        except OSError as error:
            raise PreflightError(
                f"cannot read the configuration of image {image_id}: {error}", phase="image"
            ) from error
        if hashlib.sha256(config).hexdigest() != name:
            raise PreflightError(
                f"{path} is damaged: its sha256 is not {name}. Pull or load the image again.",
                phase="image",
            )
        return config


def store_type(info: dict[str, Any]) -> str:
    """``overlay2``, ``containerd (NAME)``, or the name of another storage driver."""
    for key, value in info.get("DriverStatus") or ():
        if key == "driver-type" and "snapshotter" in str(value):
            return f"containerd ({info.get('Driver')})"
    return str(info.get("Driver"))


def tar_parts(layer: StoredLayer) -> Iterator[TarPart]:
    """A layer's tar: its raw bytes (headers, padding) with files between them.

    Each line of tar-split's JSON is an entry: type 2 with raw bytes, type 1 with a file's name and
    size (vbatts/tar-split: tar/storage/entry.go). The crc64 of files is not looked at, because the
    whole is verified by its sha256.

    :raises OSError: the layer has no readable tar-split data.
    """
    with gzip.open(layer.tar_split_path, "rb") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["type"] == 2:
                yield base64.b64decode(entry["payload"])
            elif entry.get("size"):
                if entry.get("name_raw"):
                    name = os.fsdecode(base64.b64decode(entry["name_raw"]))
                else:
                    name = entry["name"]
                yield TarFile(os.path.normpath(name).lstrip("/"), entry["size"])


def tar_size_bytes(layer: StoredLayer) -> int:
    return sum(part.size_bytes if isinstance(part, TarFile) else len(part) for part in tar_parts(layer))


class LayerFiles:
    """Reads files below a few directories, which stay open between calls."""

    MAX_ROOTS = 16

    def __init__(self) -> None:
        self._roots: dict[str, Root] = {}

    def open(self, diff_dir: str, name: str) -> int:
        """A descriptor of a file, which the caller closes.

        :raises OSError: it is not there.
        """
        root = self._roots.get(diff_dir)
        if root is None:
            if len(self._roots) >= self.MAX_ROOTS:
                self.close()
            root = self._roots[diff_dir] = Root(diff_dir)
        return root.open_file(name)

    def read(self, diff_dir: str, name: str, offset: int, length: int) -> Iterator[bytes]:
        """*length* bytes from *offset* on.

        :raises OSError: the file is not there, or ends before.
        """
        fd = self.open(diff_dir, name)
        try:
            while length:
                data = os.pread(fd, min(READ_BYTES, length), offset)
                if not data:
                    raise OSError(5, "the file of a layer is shorter than its tar says", name)
                yield data
                offset += len(data)
                length -= len(data)
        finally:
            os.close(fd)

    def close(self) -> None:
        for root in self._roots.values():
            root.close()
        self._roots = {}


def layer_tar(layer: StoredLayer) -> Iterator[bytes]:
    """The bytes of a layer's tar, whose sha256 is its diff id unless the store is damaged.

    :raises OSError: a file, or the tar-split data, is missing.
    """
    with contextlib.closing(LayerFiles()) as files:
        for part in tar_parts(layer):
            if isinstance(part, TarFile):
                yield from files.read(layer.diff_dir, part.name, 0, part.size_bytes)
            else:
                yield part


def _text(directory: str, name: str) -> str:
    with open(os.path.join(directory, name), encoding="ascii") as stream:
        return stream.read().strip()
