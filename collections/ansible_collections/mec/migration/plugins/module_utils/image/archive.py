# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's image archives: those that leave out present layers, and layers out of ``docker save``.

A store of the storage drivers opens the file of a layer only where the layer's chain id is absent, but
``manifest.json`` must list every layer (moby: image/tarexport/load.go). containerd's store needs every
layer that ``manifest.json`` lists, so it gets an OCI layout instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..base.errors import MigrationError

READ_BYTES = 1 << 20
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"


def partial_archive(
    config: bytes, diff_ids: Sequence[str], layers: Mapping[str, str], references: Sequence[str] = ()
) -> Iterator[bytes]:
    """An archive of one image for ``docker load`` into a store of the storage drivers.

    :param layers: path of the tar of each layer that the archive brings, by diff id.
    """
    config_name = f"blobs/sha256/{hashlib.sha256(config).hexdigest()}"
    manifest = [
        {
            "Config": config_name,
            "RepoTags": list(references),
            "Layers": [_blob(diff_id) for diff_id in diff_ids],
        }
    ]
    yield from _member("manifest.json", json.dumps(manifest).encode())
    yield from _member(config_name, config)
    for diff_id, path in layers.items():
        yield from _file(_blob(diff_id), path)
    yield bytes(2 * tarfile.BLOCKSIZE)


class Descriptor(NamedTuple):
    """What a manifest says of a blob (OCI image specification, descriptor.md)."""

    media_type: str
    digest: str
    size_bytes: int

    def json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}


def image_manifest(config: bytes, layers: Sequence[Descriptor]) -> bytes:
    """A manifest for an image whose own one did not come along (OCI image specification, manifest.md)."""
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Descriptor(OCI_CONFIG, digest, len(config)).json(),
            "layers": [layer.json() for layer in layers],
        },
        separators=(",", ":"),
    ).encode()


def oci_layout(
    config: bytes, manifest: bytes, index: bytes, layers: Mapping[str, str], media_types: tuple[str, str]
) -> Iterator[bytes]:
    """An archive of one image without a name for ``docker load`` into containerd's store.

    Unlike in an archive with ``manifest.json``, any blob that the store has may be left out (OCI image
    specification, image-layout.md; containerd: core/images/archive/importer.go).

    :param index: the index above the manifest, or no bytes.
    :param layers: path of each blob that the archive brings, by digest.
    :param media_types: of the manifest and of the index.
    """
    top = index or manifest
    digest = f"sha256:{hashlib.sha256(top).hexdigest()}"
    descriptor = Descriptor(media_types[1] if index else media_types[0], digest, len(top))
    entries = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor.json()]}
    yield from _member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield from _member("index.json", json.dumps(entries).encode())
    for content in (index, manifest, config):
        if content:
            yield from _member(f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content)
    for blob, path in layers.items():
        yield from _file(_blob(blob), path)
    yield bytes(2 * tarfile.BLOCKSIZE)


def saved_layers(client: Any, image_id: str, diff_ids: Iterable[str], directory: str) -> dict[str, str]:
    """Layers out of ``docker save``, by digest, for a store whose layers cannot be read directly.

    :returns: path of a temporary file in *directory* by diff id; the caller removes them.
    :raises MigrationError: Docker does not save the image.
    """
    wanted = set(diff_ids)
    found: dict[str, str] = {}
    try:
        stream = _Chunks(client.get_image(image_id))
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or not wanted:
                    continue
                digest = hashlib.sha256()
                with tempfile.NamedTemporaryFile(dir=directory, prefix="saved-", delete=False) as out:
                    while data := content.read(READ_BYTES):
                        digest.update(data)
                        out.write(data)
                diff_id = f"sha256:{digest.hexdigest()}"
                # Recognised by content: the names differ between Docker's versions.
                if diff_id in wanted:
                    wanted.discard(diff_id)
                    found[diff_id] = out.name
                else:
                    os.unlink(out.name)
    except (tarfile.TarError, OSError) as error:
        raise MigrationError(f"docker save of {image_id} failed: {error}", phase="image") from error
    return found


class _Chunks:
    """A file to read from, over an iterator of bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts = [self._rest]
        length = len(self._rest)
        while length < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def _blob(diff_id: str) -> str:
    return "blobs/" + diff_id.replace(":", "/")


def _file(name: str, path: str) -> Iterator[bytes]:
    """A member with the content of the file at *path*, which nobody changes meanwhile."""
    size_bytes = os.path.getsize(path)
    yield _header(name, size_bytes)
    with open(path, "rb") as stream:
        while data := stream.read(READ_BYTES):
            yield data
    yield _padding(size_bytes)


def _member(name: str, content: bytes) -> Iterator[bytes]:
    yield _header(name, len(content))
    yield content
    yield _padding(len(content))


def _header(name: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    member.mode = 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % tarfile.BLOCKSIZE)
