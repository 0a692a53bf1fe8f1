# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images where containerd keeps them for Docker.

Layout (containerd: plugins/content/local, plugins/snapshots/overlay): blobs as they came, compressed or
not, in ``io.containerd.content.v1.content/blobs/sha256/<hex>``; the files of unpacked layers and the
writable layers of containers in ``io.containerd.snapshotter.v1.overlayfs/snapshots/<number>/fs``. Which
snapshot is which layer stands in a database that containerd keeps locked; it is not needed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..base.errors import PreflightError
from ..kernel.mountinfo import upper_dirs
from .archive import OCI_INDEX, OCI_LAYER_TAR, OCI_MANIFEST, Descriptor, image_manifest, oci_layout
from .content import CONTENT_DIR, Blobs, Manifest
from .decompress import is_packed, read_ahead, unpacked
from .store import (
    CONTAINERD,
    DIGEST,
    ExactImage,
    HeldFile,
    ImageStore,
    LayerContent,
    StoredImage,
    TarFile,
    TarPart,
    chain_ids,
    no_image,
    read_at,
)
from .tarscan import tar_parts

SNAPSHOTS_DIR = "io.containerd.snapshotter.v1.overlayfs/snapshots"
# As `docker info` and OCI call the same machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}


class BlobLayer(LayerContent):
    """A layer as its blob. A compressed one is unpacked into scratch space when it is taken apart."""

    def __init__(self, diff_id: str, path: str, size_bytes: int, scratch_dir: str) -> None:
        super().__init__(diff_id, size_bytes)
        self._path = path
        self._scratch_dir = scratch_dir
        self._fd = -1

    def _opened(self) -> int:
        """A descriptor of the tar."""
        if self._fd >= 0:
            return self._fd
        if not is_packed(self._path):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return self._fd
        digest = hashlib.sha256()
        with tempfile.TemporaryFile(dir=self._scratch_dir) as scratch:
            for piece in read_ahead(unpacked(self._path)):
                digest.update(piece)
                scratch.write(piece)
            scratch.flush()
            if f"sha256:{digest.hexdigest()}" != self.diff_id:
                raise ValueError(f"{self._path} is not layer {self.diff_id}")
            self._fd = os.dup(scratch.fileno())
        return self._fd

    def parts(self) -> Iterator[TarPart]:
        fd = self._opened()
        return tar_parts(fd, os.fstat(fd).st_size)

    def read(self, file: TarFile, offset: int, length: int) -> Iterator[bytes]:
        return read_at(self._opened(), file.offset + offset, length)

    def open(self, file: TarFile) -> tuple[int, int]:
        return os.dup(self._opened()), file.offset

    def tar(self) -> Iterator[bytes]:
        if self._fd >= 0:
            return read_at(self._fd, 0, os.fstat(self._fd).st_size)
        return read_ahead(unpacked(self._path))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ContainerdStore(ImageStore):
    """What containerd keeps for Docker below *root*.

    :param info: the answer to ``GET /info``.
    """

    kind = CONTAINERD

    def __init__(self, client: Any, info: Mapping[str, Any], root: str) -> None:
        super().__init__(client)
        self.root = root
        self.scratch_dir = os.path.join(str(info["DockerRootDir"]), "tmp")
        architecture = str(info.get("Architecture") or "")
        self._blobs = Blobs(
            os.path.join(root, CONTENT_DIR),
            ARCHITECTURES.get(architecture, architecture),
        )

    # -- images --------------------------------------------------------------------------------

    def _listed(self) -> list[tuple[str, tuple[str, ...]]]:
        """Docker's id and the names of every image here, also of those without a name."""
        return [
            (str(one["Id"]), tuple(name for name in one.get("RepoTags") or () if _is_name(name)))
            for one in self.client.images(all=True)
        ]

    def image(self, name: str) -> StoredImage:
        if DIGEST.fullmatch(name):
            found = self._by_configuration(name)
            if found:
                return self._complete(found, name)
        inspected = self.inspect_image(name)
        if inspected is None:
            raise no_image(name)
        local_id = str(inspected["Id"])
        manifest = self._blobs.manifest(local_id)
        if manifest is None:
            raise PreflightError(
                f"image {name} ({local_id}) has no manifest for this host in {self._blobs.directory}. "
                "Pull or load the image again.",
                phase="image",
            )
        image = self._by_configuration(manifest.config_digest) or []
        # The one that was asked for comes first.
        image.sort(key=lambda one: one[0] != local_id)
        return self._complete(image or [(local_id, manifest, ())], name)

    def _by_configuration(self, image_id: str) -> list[tuple[str, Manifest, tuple[str, ...]]]:
        """Docker's id, manifest and names of all images with that configuration, complete ones first."""
        found = []
        for local_id, names in self._listed():
            manifest = self._blobs.manifest(local_id)
            if manifest is not None and manifest.config_digest == image_id:
                found.append((local_id, manifest, names))
        return sorted(found, key=lambda one: bool(self._blobs.missing(one[1])))

    def _complete(self, found: list[tuple[str, Manifest, tuple[str, ...]]], name: str) -> StoredImage:
        manifest = found[0][1]
        missing = self._blobs.missing(manifest)
        if missing:
            raise PreflightError(
                f"image {name} is not complete on this host: {len(missing)} of its blobs are missing in "
                f"{self._blobs.directory}, the first is {missing[0]}. Pull or load the image again.",
                phase="image",
            )
        return self._stored(found)

    def _stored(self, found: list[tuple[str, Manifest, tuple[str, ...]]]) -> StoredImage:
        local_id, manifest, _names = found[0]
        references = sorted({reference for _id, _manifest, names in found for reference in names})
        return StoredImage(manifest.config_digest, local_id, tuple(references), manifest.diff_ids)

    def find(self, image_id: str) -> StoredImage | None:
        found = self._by_configuration(image_id)
        if not found or self._blobs.missing(found[0][1]):
            return None
        return self._stored(found)

    def image_id_of(self, reference: str) -> str | None:
        inspected = self.inspect_image(reference)
        manifest = None if inspected is None else self._blobs.manifest(str(inspected["Id"]))
        return None if manifest is None else manifest.config_digest

    def _manifest(self, image: StoredImage) -> Manifest:
        manifest = self._blobs.manifest(image.local_id)
        if manifest is None:
            raise PreflightError(
                f"image {image.local_id} has just been removed from this host, and must stay until the "
                "service has moved (`docker image prune`?). Start the move again",
                phase="image",
            )
        return manifest

    def config(self, image: StoredImage) -> bytes:
        try:
            return self._blobs.read(image.id)
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"cannot read the configuration of image {image.id}: {error}. Pull or load the image again.",
                phase="image",
            ) from error

    def layer_sizes(self, image: StoredImage) -> list[int]:
        """As ``docker history`` tells them; where it does not, the sizes of the blobs."""
        manifest = self._manifest(image)
        try:
            sizes = [int(one["Size"]) for one in reversed(self.client.history(image.local_id))]
        except Exception:
            # A question of cost, not of whether the image can be moved.
            sizes = []
        if len(sizes) == len(manifest.history):
            filled = [size for size, empty in zip(sizes, manifest.history) if not empty]
            if len(filled) == len(image.diff_ids):
                return [max(0, size) for size in filled]
        return [layer.size_bytes for layer in manifest.layers]

    # -- layers --------------------------------------------------------------------------------

    def layer(self, image: StoredImage, number: int) -> LayerContent | None:
        manifest = self._manifest(image)
        blob = manifest.layers[number]
        if not self.has_blob(blob.digest):
            return None
        path = self._blobs.path(blob.digest)
        return BlobLayer(image.diff_ids[number], path, blob.size_bytes, self.scratch_dir)

    def _held_blobs(self) -> dict[str, Descriptor]:
        """A blob of each layer by diff id, of images that are complete. A snapshot alone is not enough."""
        held: dict[str, Descriptor] = {}
        for manifest in self._manifests():
            held.update(zip(manifest.diff_ids, manifest.layers))
        return held

    def _manifests(self) -> Iterator[Manifest]:
        for local_id, _names in self._listed():
            for manifest in self._blobs.manifests(local_id):
                if not self._blobs.missing(manifest):
                    yield manifest

    def held(self) -> dict[str, str]:
        return {
            chain_id: diff_id
            for manifest in self._manifests()
            for chain_id, diff_id in zip(chain_ids(manifest.diff_ids), manifest.diff_ids)
        }

    def absent(self, diff_ids: Sequence[str]) -> list[str]:
        held = self._held_blobs()
        return [chain_id for chain_id, diff_id in zip(chain_ids(diff_ids), diff_ids) if diff_id not in held]

    def rebuild(self, diff_id: str) -> Iterator[bytes]:
        return unpacked(self._blobs.path(self._held_blobs()[diff_id].digest))

    def held_files(self, min_bytes: int) -> Iterator[HeldFile]:
        snapshots = os.path.join(self.root, SNAPSHOTS_DIR)
        # What a container writes to now is no layer.
        written = upper_dirs()
        try:
            numbers = sorted(os.listdir(snapshots))
        except FileNotFoundError:
            return
        for number in numbers:
            directory = os.path.join(snapshots, number, "fs")
            if directory not in written:
                yield from _files_below(directory, min_bytes)

    # -- loading -------------------------------------------------------------------------------

    def archive(
        self, config: bytes, diff_ids: Sequence[str], staged: Mapping[str, str], exact: ExactImage | None
    ) -> Iterator[bytes]:
        if exact is not None:
            brought = {digest: path for digest, path in staged.items() if not self.has_blob(digest)}
            types = (
                _media_type(exact.manifest_content, OCI_MANIFEST),
                _media_type(exact.index_content, OCI_INDEX),
            )
            return oci_layout(config, exact.manifest_content, exact.index_content, brought, types)
        held = self._held_blobs()
        layers = []
        for diff_id in diff_ids:
            if diff_id in staged:
                size_bytes = os.path.getsize(staged[diff_id])
                layers.append(Descriptor(OCI_LAYER_TAR, diff_id, size_bytes))
            else:
                layers.append(held[diff_id])
        return oci_layout(config, image_manifest(config, layers), b"", staged, (OCI_MANIFEST, OCI_INDEX))

    # -- the image's own manifest ---------------------------------------------------------------

    def exact(self, image: StoredImage) -> ExactImage | None:
        manifest = self._manifest(image)
        try:
            index = b"" if image.local_id == manifest.digest else self._blobs.read(image.local_id)
            blobs = tuple(layer.digest for layer in manifest.layers)
            return ExactImage(self._blobs.read(manifest.digest), index, blobs)
        except (OSError, ValueError):
            return None

    def has_blob(self, digest: str) -> bool:
        return self._blobs.has(digest)


def _is_name(reference: str) -> bool:
    return reference != "<none>:<none>"


def _media_type(content: bytes, default: str) -> str:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(content)
        if isinstance(found, dict) and isinstance(found.get("mediaType"), str):
            return str(found["mediaType"])
    return default


def _files_below(directory: str, min_bytes: int) -> Iterator[HeldFile]:
    """The regular files of a tree, whose directories may vanish meanwhile."""
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(os.path.join(directory, below)) as entries:
                for entry in entries:
                    name = os.path.join(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        size_bytes = entry.stat(follow_symlinks=False).st_size
                        if size_bytes > min_bytes:
                            yield HeldFile(directory, name, size_bytes)
        except OSError:
            continue
