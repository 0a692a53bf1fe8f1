# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""containerd's content store: blobs by digest, and what manifests and indexes among them say.

Formats: OCI image specification (image-index.md, manifest.md, config.md); Docker's own manifests (schema
2) have the same fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .archive import Descriptor
from .store import DIGEST, MAX_LAYERS, ExactImage, read_small, sha256_of

CONTENT_DIR = "io.containerd.content.v1.content/blobs/sha256"
MAX_JSON_BYTES = 8 << 20
"""containerd reads no larger manifest (core/images: 8 MiB)."""
MAX_INDEX_DEPTH = 3
ATTESTATION = "vnd.docker.reference.type"


class Manifest(NamedTuple):
    """A manifest for one platform, with what its configuration says.

    ``history`` holds for each step of the build whether it made no layer.
    """

    digest: str
    config_digest: str
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    history: tuple[bool, ...]


class Blobs:
    """The blobs in *directory*.

    :param architecture: of this host, as OCI calls it.
    """

    def __init__(self, directory: str, architecture: str) -> None:
        self.directory = directory
        self._architecture = architecture
        # What a digest names never changes, but it may be removed.
        self._parsed: dict[str, Any] = {}

    def path(self, digest: str) -> str:
        """:raises ValueError: *digest* is none."""
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no sha256 digest")
        return os.path.join(self.directory, digest.rpartition(":")[2])

    def has(self, digest: str) -> bool:
        return bool(DIGEST.fullmatch(digest)) and os.path.isfile(self.path(digest))

    def read(self, digest: str) -> bytes:
        """A small blob, verified.

        :raises OSError: it is not there.
        :raises ValueError: it is damaged, or too large for a description.
        """
        content = read_small(self.path(digest), MAX_JSON_BYTES)
        if sha256_of(content) != digest:
            raise ValueError(f"blob {digest} is damaged")
        return content

    def missing(self, manifest: Manifest) -> list[str]:
        """Digests of what the manifest names and the store lacks."""
        named = [manifest.config_digest, *(layer.digest for layer in manifest.layers)]
        return [digest for digest in named if not self.has(digest)]

    def manifest(self, target: str) -> Manifest | None:
        """Of all manifests below *target* the one for this host: complete before incomplete."""
        found = list(self.manifests(target))
        return min(found, key=lambda one: bool(self.missing(one)), default=None)

    def manifests(self, target: str, depth: int = MAX_INDEX_DEPTH) -> Iterator[Manifest]:
        """The manifests of images below *target*, a manifest or an index, that this store has.

        Those for this host's architecture come first. Attestations are no images; other platforms may be
        absent.
        """
        parsed = self._json(target)
        if parsed is None:
            return
        if "manifests" not in parsed:
            manifest = self._manifest(target, parsed)
            if manifest is not None:
                yield manifest
            return
        children = [one for one in _list(parsed["manifests"]) if isinstance(one, dict)]
        children.sort(key=lambda one: _dict(one.get("platform")).get("architecture") != self._architecture)
        for child in children if depth else ():
            if ATTESTATION not in _dict(child.get("annotations")):
                yield from self.manifests(str(child.get("digest")), depth - 1)

    def _manifest(self, digest: str, parsed: dict[str, Any]) -> Manifest | None:
        try:
            config_digest = str(parsed["config"]["digest"])
            layers = tuple(
                Descriptor(str(one["mediaType"]), str(one["digest"]), max(0, int(one["size"])))
                for one in parsed["layers"]
            )
            config = self._json(config_digest)
            if config is None:
                return None
            diff_ids = tuple(str(one) for one in config["rootfs"]["diff_ids"])
            history = tuple(bool(one.get("empty_layer")) for one in config.get("history") or ())
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        if len(layers) != len(diff_ids) or len(layers) > MAX_LAYERS:
            return None
        if not all(DIGEST.fullmatch(one) for one in diff_ids):
            return None
        return Manifest(digest, config_digest, layers, diff_ids, history)

    def _json(self, digest: str) -> dict[str, Any] | None:
        """A blob that is a JSON object; None where it is absent, damaged or something else."""
        if not self.has(digest):
            return None
        if digest not in self._parsed:
            try:
                parsed = json.loads(self.read(digest))
            except (OSError, ValueError, RecursionError):
                parsed = None
            self._parsed[digest] = parsed if isinstance(parsed, dict) else None
        found: dict[str, Any] | None = self._parsed[digest]
        return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def exact_image(manifest: bytes, index: bytes, config_digest: str) -> ExactImage:
    """A manifest and its index as a peer sent them.

    :raises ValueError: the manifest is not of the image with that configuration, or not below the index.
    """
    parsed = _dict(json.loads(manifest))
    if _dict(parsed.get("config")).get("digest") != config_digest:
        raise ValueError(f"a manifest of another image than {config_digest}")
    blobs = tuple(str(_dict(layer).get("digest")) for layer in _list(parsed.get("layers")))
    if not all(DIGEST.fullmatch(blob) for blob in blobs):
        raise ValueError("a manifest with layers that have no sha256 digest")
    if index:
        children = [_dict(child).get("digest") for child in _list(_dict(json.loads(index)).get("manifests"))]
        if sha256_of(manifest) not in children:
            raise ValueError("an index that does not list the manifest")
    return ExactImage(manifest, index, blobs)
