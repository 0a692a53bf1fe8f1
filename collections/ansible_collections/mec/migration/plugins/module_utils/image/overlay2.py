# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images where the overlay2 storage driver keeps them.

Layout (moby: layer/filestore.go, graphdriver/overlay2): ``image/overlay2/layerdb/sha256/<chain id>``
holds ``diff``, ``parent``, ``cache-id``, ``size`` and ``tar-split.json.gz``; the files lie in
``overlay2/<cache id>/diff``; an image's configuration is ``image/overlay2/imagedb/content/sha256/<id>``.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..base.errors import PreflightError
from .archive import partial_archive
from .store import (
    DIGEST,
    OVERLAY2,
    ExactImage,
    HeldFile,
    ImageStore,
    LayerContent,
    LayerFiles,
    StoredImage,
    TarFile,
    TarPart,
    chain_ids,
    no_image,
    read_small,
    sha256_of,
)

MAX_CONFIG_BYTES = 8 << 20
MAX_ENTRY_BYTES = 64 << 20
"""Of one line of tar-split's JSON; raw bytes between two files rarely reach a kilobyte."""


class StoredLayer(NamedTuple):
    """A layer on this host. ``size_bytes`` is the sum of its files' sizes, as Docker counts it."""

    chain_id: str
    diff_id: str
    size_bytes: int
    diff_dir: str
    tar_split_path: str


class Overlay2Layer(LayerContent):
    """A layer as its files, and tar-split's record of what lay between them in the tar."""

    def __init__(self, stored: StoredLayer) -> None:
        super().__init__(stored.diff_id, stored.size_bytes)
        self._stored = stored
        self._files = LayerFiles()

    def parts(self) -> Iterator[TarPart]:
        return tar_parts(self._stored)

    def read(self, file: TarFile, offset: int, length: int) -> Iterator[bytes]:
        return self._files.read(self._stored.diff_dir, file.name, offset, length)

    def open(self, file: TarFile) -> tuple[int, int]:
        return self._files.open(self._stored.diff_dir, file.name), 0

    def close(self) -> None:
        self._files.close()


class Overlay2Store(ImageStore):
    """What the overlay2 storage driver holds below *docker_root_dir*."""

    kind = OVERLAY2

    def __init__(self, client: Any, docker_root_dir: str) -> None:
        super().__init__(client)
        self.root = docker_root_dir
        self.scratch_dir = os.path.join(docker_root_dir, "tmp")
        self._images = os.path.join(docker_root_dir, "image", "overlay2")

    # -- images --------------------------------------------------------------------------------

    def image(self, name: str) -> StoredImage:
        inspected = self.inspect_image(name)
        if inspected is None:
            raise no_image(name)
        image_id = str(inspected["Id"])
        diff_ids = tuple((inspected.get("RootFS") or {}).get("Layers") or ())
        return StoredImage(image_id, image_id, tuple(sorted(inspected.get("RepoTags") or ())), diff_ids)

    def find(self, image_id: str) -> StoredImage | None:
        if not DIGEST.fullmatch(image_id) or self.inspect_image(image_id) is None:
            return None
        return self.image(image_id)

    def image_id_of(self, reference: str) -> str | None:
        inspected = self.inspect_image(reference)
        return None if inspected is None else str(inspected["Id"])

    def config(self, image: StoredImage) -> bytes:
        name = image.id.rpartition(":")[2]
        path = os.path.join(self._images, "imagedb", "content", "sha256", name)
        try:
            config = read_small(path, MAX_CONFIG_BYTES)
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"cannot read the configuration of image {image.id}: {error}", phase="image"
            ) from error
        if sha256_of(config) != image.id:
            raise PreflightError(
                f"{path} is damaged: its sha256 is not {name}. Pull or load the image again.",
                phase="image",
            )
        return config

    def layer_sizes(self, image: StoredImage) -> list[int]:
        stored = [self.stored(chain_id) for chain_id in chain_ids(image.diff_ids)]
        return [layer.size_bytes if layer else 0 for layer in stored]

    # -- layers --------------------------------------------------------------------------------

    def layers(self) -> dict[str, StoredLayer]:
        """All layers by chain id."""
        directory = os.path.join(self._images, "layerdb", "sha256")
        found: dict[str, StoredLayer] = {}
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            return found
        for name in names:
            layer = self.stored(f"sha256:{name}")
            if layer is not None:
                found[layer.chain_id] = layer
        return found

    def stored(self, chain_id: str) -> StoredLayer | None:
        """One layer, None where it is not there or is being added or removed."""
        directory = os.path.join(self._images, "layerdb", "sha256", chain_id.rpartition(":")[2])
        try:
            cache_id, diff_id = _text(directory, "cache-id"), _text(directory, "diff")
            if "/" in cache_id or cache_id.startswith(".") or not DIGEST.fullmatch(diff_id):
                return None
            return StoredLayer(
                chain_id,
                diff_id,
                max(0, int(_text(directory, "size"))),
                os.path.join(self.root, "overlay2", cache_id, "diff"),
                os.path.join(directory, "tar-split.json.gz"),
            )
        except (OSError, ValueError):
            return None

    def layer(self, image: StoredImage, number: int) -> LayerContent | None:
        stored = self.stored(chain_ids(image.diff_ids[: number + 1])[-1])
        return None if stored is None else Overlay2Layer(stored)

    def held(self) -> dict[str, str]:
        return {chain_id: layer.diff_id for chain_id, layer in self.layers().items()}

    def absent(self, diff_ids: Sequence[str]) -> list[str]:
        return [chain_id for chain_id in chain_ids(diff_ids) if self.stored(chain_id) is None]

    def rebuild(self, diff_id: str) -> Iterator[bytes]:
        stored = next((layer for layer in self.layers().values() if layer.diff_id == diff_id), None)
        if stored is None:
            raise FileNotFoundError(2, "no layer has this diff id", diff_id)
        with contextlib.closing(Overlay2Layer(stored)) as layer:
            yield from layer.tar()

    def held_files(self, min_bytes: int) -> Iterator[HeldFile]:
        for layer in self.layers().values():
            # A layer that is damaged helps nobody, and must not hide the others.
            with contextlib.suppress(OSError, ValueError):
                for part in tar_parts(layer):
                    if isinstance(part, TarFile) and part.size_bytes > min_bytes:
                        yield HeldFile(layer.diff_dir, part.name, part.size_bytes)

    # -- loading -------------------------------------------------------------------------------

    def archive(
        self, config: bytes, diff_ids: Sequence[str], staged: Mapping[str, str], exact: ExactImage | None
    ) -> Iterator[bytes]:
        return partial_archive(config, diff_ids, staged)


def tar_parts(layer: StoredLayer) -> Iterator[TarPart]:
    """A layer's tar: its raw bytes (headers, padding) with files between them.

    Each line of tar-split's JSON is an entry: type 2 with raw bytes, type 1 with a file's name and
    size (vbatts/tar-split: tar/storage/entry.go). The crc64 of files is not looked at, because the
    whole is verified by its sha256.

    :raises OSError: the layer has no readable tar-split data.
    :raises ValueError: the data is damaged.
    """
    try:
        with gzip.open(layer.tar_split_path, "rb") as lines:
            while line := lines.readline(MAX_ENTRY_BYTES):
                yield from _tar_part(json.loads(line))
    except (EOFError, zlib.error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{layer.tar_split_path} is damaged: {error!r}") from error


def _tar_part(entry: Any) -> Iterator[TarPart]:
    if entry["type"] == 2:
        yield base64.b64decode(entry["payload"])
        return
    size_bytes = entry.get("size") or 0
    if not isinstance(size_bytes, int) or size_bytes < 0:
        raise ValueError(f"a file of {size_bytes!r} bytes in tar-split data")
    if size_bytes:
        if entry.get("name_raw"):
            name = os.fsdecode(base64.b64decode(entry["name_raw"]))
        else:
            name = str(entry["name"])
        yield TarFile(os.path.normpath(name).lstrip("/"), size_bytes)


def _text(directory: str, name: str) -> str:
    return read_small(os.path.join(directory, name), 4096).decode("ascii").strip()
