# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's image archives: one that leaves out present layers, and layers out of ``docker save``.

``docker load`` opens the file of a layer only where the layer's chain id is absent, but its
``manifest.json`` must list every layer (moby: image/tarexport/load.go).
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..base.errors import MigrationError

READ_BYTES = 1 << 20


def partial_archive(
    config: bytes, references: Sequence[str], diff_ids: Sequence[str], layers: Mapping[str, str]
) -> Iterator[bytes]:
    """An archive of one image for ``docker load``.

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
        size_bytes = os.path.getsize(path)
        yield _header(_blob(diff_id), size_bytes)
        with open(path, "rb") as stream:
            while True:
                data = stream.read(READ_BYTES)
                if not data:
                    break
                yield data
        yield _padding(size_bytes)
    yield bytes(2 * tarfile.BLOCKSIZE)


def load(client: Any, archive: Iterable[bytes]) -> None:
    """``docker load``.

    :raises MigrationError: Docker refused the archive.
    """
    for answer in client.load_image(archive) or ():
        if isinstance(answer, dict) and answer.get("error"):
            raise MigrationError(f"docker load failed on the target: {answer['error']}", phase="image")


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
                    while True:
                        data = content.read(READ_BYTES)
                        if not data:
                            break
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
