# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every image store of a Docker host has in common.

Two hosts may keep their images in different ways, and each store has image ids of its own. What
both share is the digest of an image's configuration and, in it, the digest of each layer's
uncompressed tar (diff id). So an image is named by the digest of its configuration everywhere in a
migration, and layers travel as uncompressed tars by diff id.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from ..base.errors import MigrationError, PreflightError
from ..kernel.rooted import Root

READ_BYTES = 1 << 20
MAX_LAYERS = 4096
"""Docker itself stops at 127; this is only a bound for what a damaged description may say."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
OVERLAY2, CONTAINERD = "overlay2", "containerd"


class TarFile(NamedTuple):
    """A file in a layer's tar: its name without a leading slash, and where its content is.

    ``offset`` counts from the start of the tar; a store that keeps files apart leaves it 0.
    """

    name: str
    size_bytes: int
    offset: int = 0


TarPart = Union[bytes, TarFile]


class HeldFile(NamedTuple):
    """A file in a layer that this host holds."""

    diff_dir: str
    name: str
    size_bytes: int


class StoredImage(NamedTuple):
    """An image on this host.

    ``id`` is the digest of its configuration, ``local_id`` what Docker on this host calls it,
    ``references`` its names with tag.
    """

    id: str
    local_id: str
    references: tuple[str, ...]
    diff_ids: tuple[str, ...]


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


def sha256_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class LayerContent(ABC):
    """A layer's tar that can be taken apart and read in pieces."""

    def __init__(self, diff_id: str, size_bytes: int) -> None:
        self.diff_id = diff_id
        self.size_bytes = size_bytes
        """Of the layer's files, as the store tells; an estimate."""

    @abstractmethod
    def parts(self) -> Iterator[TarPart]:
        """The tar: raw bytes (headers, padding) with files between them.

        :raises OSError: a file is missing.
        :raises ValueError: what the store has is damaged.
        """

    @abstractmethod
    def read(self, file: TarFile, offset: int, length: int) -> Iterator[bytes]:
        """*length* bytes of a file, from *offset* in it on.

        :raises OSError: the file is not there, or ends before.
        """

    @abstractmethod
    def open(self, file: TarFile) -> tuple[int, int]:
        """A descriptor, which the caller closes, and the offset in it at which *file* begins.

        :raises OSError: the file is not there.
        """

    def tar(self) -> Iterator[bytes]:
        """The whole tar; its sha256 is the diff id unless the store is damaged."""
        for part in self.parts():
            if isinstance(part, TarFile):
                yield from self.read(part, 0, part.size_bytes)
            else:
                yield part

    @abstractmethod
    def close(self) -> None:
        """Release descriptors and scratch space."""


class ImageStore(ABC):
    """The images that one Docker daemon keeps.

    :param client: ``docker.APIClient`` of this host.
    """

    kind: str
    root: str
    """The directory below which a loaded image takes space."""
    scratch_dir: str
    """A directory on Docker's disk for what is needed for a moment only."""

    def __init__(self, client: Any) -> None:
        self.client = client

    # -- images --------------------------------------------------------------------------------

    @abstractmethod
    def image(self, name: str) -> StoredImage:
        """The image of a reference, of the id that Docker here gives it, or of its configuration's digest.

        :raises PreflightError: the host has no such image, or not all of it.
        """

    @abstractmethod
    def find(self, image_id: str) -> StoredImage | None:
        """The image whose configuration has the digest *image_id*; None where not all of it is here."""

    @abstractmethod
    def image_id_of(self, reference: str) -> str | None:
        """The digest of the configuration of the image that *reference* means here, None without one."""

    @abstractmethod
    def config(self, image: StoredImage) -> bytes:
        """The configuration of an image, byte for byte.

        :raises PreflightError: it is missing or damaged.
        """

    @abstractmethod
    def layer_sizes(self, image: StoredImage) -> list[int]:
        """Bytes of the files in each layer of *image*, bottom first."""

    # -- layers --------------------------------------------------------------------------------

    @abstractmethod
    def layer(self, image: StoredImage, number: int) -> LayerContent | None:
        """Layer *number* of *image*, to be closed by the caller; None where the store lacks it."""

    @abstractmethod
    def held(self) -> dict[str, str]:
        """Diff id of each layer on this host by chain id."""

    @abstractmethod
    def absent(self, diff_ids: Sequence[str]) -> list[str]:
        """Chain ids of those layers of an image that an archive for this store must bring."""

    @abstractmethod
    def rebuild(self, diff_id: str) -> Iterator[bytes]:
        """The tar of a held layer.

        :raises OSError: no layer has that diff id, or its files are missing.
        :raises ValueError: what the store has is damaged.
        """

    @abstractmethod
    def held_files(self, min_bytes: int) -> Iterator[HeldFile]:
        """The files above *min_bytes* in all layers that this host holds. What is damaged is left out."""

    # -- loading -------------------------------------------------------------------------------

    @abstractmethod
    def archive(
        self, config: bytes, diff_ids: Sequence[str], staged: Mapping[str, str], exact: ExactImage | None
    ) -> Iterator[bytes]:
        """An archive of one image without a name for ``docker load``, without what is here already.

        :param staged: path of the tar of each layer that the archive brings, by diff id.
        :param exact: the image's own manifest, for a store that keeps manifests.
        """

    def load(self, archive: Iterable[bytes]) -> None:
        """``docker load``.

        :raises MigrationError: Docker refused the archive, or could not unpack it.
        """
        problem = load_problem(self.client.load_image(archive) or ())
        if problem:
            raise MigrationError(f"docker load failed on the target: {problem}", phase="image")

    def tag(self, image: StoredImage, reference: str) -> None:
        """Give *image* the name *reference*, whatever has it now.

        :raises MigrationError: Docker refuses.
        """
        repository, _colon, tag = reference.rpartition(":")
        try:
            self.client.tag(image.local_id, repository, tag, force=True)
        except Exception as error:
            raise MigrationError(
                f"Docker did not tag {image.local_id} as {reference} on the target: {error}", phase="image"
            ) from error

    # -- the image's own manifest ---------------------------------------------------------------

    def exact(self, image: StoredImage) -> ExactImage | None:
        """The image as it came, for a store that keeps manifests; None for others."""
        return None

    def has_blob(self, digest: str) -> bool:
        """Whether this store has a blob, of any media type. One that keeps no blobs has none."""
        return False

    def inspect_image(self, name: str) -> dict[str, Any] | None:
        """What Docker says about an image, None where there is none.

        :raises PreflightError: Docker does not answer.
        """
        try:
            found: dict[str, Any] = self.client.inspect_image(name)
            return found
        except Exception as error:
            if getattr(getattr(error, "response", None), "status_code", None) in (400, 404):
                return None
            raise PreflightError(
                f"Docker does not answer about image {name}: {error}", phase="image"
            ) from error


class ExactImage(NamedTuple):
    """An image's manifest and, above it, its index (or no bytes), byte for byte; and its layers' blobs."""

    manifest_content: bytes
    index_content: bytes
    blobs: tuple[str, ...]

    @property
    def target(self) -> str:
        """The digest by which registries and containerd's store know the image."""
        return sha256_of(self.index_content or self.manifest_content)


def load_problem(answers: Iterable[Any]) -> str:
    """What went wrong in the stream of answers of ``docker load``, empty if nothing did.

    Errors are in ``errorDetail`` (``error`` is deprecated since API 1.48). containerd's store says only
    in passing that it could not unpack an image (moby: daemon/containerd/image_exporter.go).
    """
    problem = ""
    for answer in answers:
        if not isinstance(answer, dict):
            continue
        detail = answer.get("errorDetail")
        message = (detail.get("message") if isinstance(detail, dict) else "") or answer.get("error")
        stream = str(answer.get("stream") or "")
        if not message and stream.startswith("Error unpacking"):
            message = stream.strip()
        problem = problem or str(message or "")
    return problem


def keeps_in_containerd(info: Mapping[str, Any]) -> bool:
    """Whether a daemon keeps its images in containerd; ``Driver`` alone does not tell.

    :param info: the answer to ``GET /info``.
    """
    status = info.get("DriverStatus") or ()
    return any(key == "driver-type" and "snapshotter" in str(value) for key, value in status)


def store_type(info: Mapping[str, Any]) -> str:
    """``overlay2``, ``containerd (NAME OF SNAPSHOTTER)``, or the name of another storage driver."""
    driver = str(info.get("Driver"))
    return f"{CONTAINERD} ({driver})" if keeps_in_containerd(info) else driver


def no_image(name: str) -> PreflightError:
    return PreflightError(
        f"no image {name} on this host; `docker image ls` shows what there is", phase="image"
    )


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
            yield from read_at(fd, offset, length)
        finally:
            os.close(fd)

    def close(self) -> None:
        for root in self._roots.values():
            root.close()
        self._roots = {}


def read_at(fd: int, offset: int, length: int) -> Iterator[bytes]:
    """*length* bytes of an open file from *offset* on.

    :raises OSError: it ends before.
    """
    while length > 0:
        data = os.pread(fd, min(READ_BYTES, length), offset)
        if not data:
            raise OSError(5, "the file of a layer is shorter than its tar says")
        yield data
        offset += len(data)
        length -= len(data)


def read_small(path: str, max_bytes: int) -> bytes:
    """The content of a file.

    :raises OSError: it cannot be read.
    :raises ValueError: it has more than *max_bytes*.
    """
    with contextlib.closing(open(path, "rb")) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes} bytes")
    return content
