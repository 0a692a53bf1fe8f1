# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's side of an image's way: say what is here, take layers, verify and load them."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Callable

from ..base.errors import MigrationError
from ..transport.wire import Channel, Message
from .content import exact_image
from .delta import (
    MAX_INLINE_BYTES,
    STATUS_HELD,
    STATUS_MISSING,
    STATUS_SIMILAR,
    Assembly,
    Copy,
    HeldFiles,
    OfferedFile,
    Receive,
    checked_length,
    unpack_chunks,
    unpack_table,
)
from .opened import open_store
from .store import DIGEST, MAX_LAYERS, ExactImage, HeldFile, ImageStore, StoredImage, chain_ids, sha256_of

SKELETON = "skeleton"
# What a peer's message that is not one may raise, and what this host's disk may.
DAMAGED = (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

Steps = list[Any]


class LayerReceiver:
    """Takes the layers of one image at a time.

    :param client: ``docker.APIClient`` of this host.
    :param staging_dir: directory for layers until Docker has loaded them; made here, and wiped
        whenever an image was loaded, a transfer failed, or another begins.

    Messages without an answer of their own (``whole``, ``skeleton``, ``data``) never fail: what went
    wrong is the answer to the next one that has one.
    """

    def __init__(self, client: Any, staging_dir: str) -> None:
        self._client = client
        self._staging_dir = staging_dir
        self._opened: ImageStore | None = None
        self._held: HeldFiles | None = None
        self._staged: dict[str, str] = {}
        self._diff_ids: list[str] = []
        self._assembly: Assembly | None = None
        self._diff_id = ""
        self._files: list[OfferedFile] = []
        self._matches: list[HeldFile | None] = []
        self._similar: list[int] = []
        self._failure: MigrationError | None = None
        self.handlers: dict[str, Callable[[Message, Channel], None]] = {
            "layers.have": self._guarded(self._on_have),
            "layers.rebuild": self._guarded(self._on_rebuild),
            "layers.whole": self._latched(self._on_whole),
            "layers.skeleton": self._latched(self._on_skeleton),
            "layers.offer": self._guarded(self._on_offer),
            "layers.chunks": self._guarded(self._on_chunks),
            "layers.data": self._latched(self._on_data),
            "layers.end": self._guarded(self._on_end),
            "layers.load": self._guarded(self._on_load),
        }

    def close(self) -> None:
        """Wipe what was staged."""
        if self._assembly is not None:
            self._assembly.close()
            self._assembly = None
        if self._held is not None:
            self._held.close()
            self._held = None
        self._staged = {}
        shutil.rmtree(self._staging_dir, ignore_errors=True)

    def _latched(self, handler: Callable[[Message], None]) -> Callable[[Message, Channel], None]:
        def handle(message: Message, _channel: Channel) -> None:
            if self._failure is not None:
                return
            try:
                handler(message)
            except MigrationError as error:
                self._failure = error
            except DAMAGED as error:
                self._failure = self._failed(error)
            if self._failure is not None:
                # Room for others at once; the source hears of it with the next answer.
                self.close()

        return handle

    def _guarded(self, handler: Callable[[Message, Channel], None]) -> Callable[[Message, Channel], None]:
        def handle(message: Message, channel: Channel) -> None:
            if message.kind == "layers.have":
                self._failure = None
            try:
                if self._failure is not None:
                    raise self._failure
                handler(message, channel)
            except MigrationError:
                self.close()
                raise
            except DAMAGED as error:
                self.close()
                raise self._failed(error) from error

        return handle

    def _failed(self, error: Exception) -> MigrationError:
        if isinstance(error, OSError):
            return MigrationError(
                f"receiving a layer into {self._staging_dir} failed on the target: {error}",
                phase="image",
            )
        # Not a TransferError, on which the receiver ends the connection without an answer.
        return MigrationError(f"a message about layers is not one: {error!r}", phase="image")

    @property
    def _store(self) -> ImageStore:
        if self._opened is None:
            self._opened = open_store(self._client)
        return self._opened

    # -- what is here ------------------------------------------------------------------------------

    def _on_have(self, message: Message, channel: Channel) -> None:
        self.close()
        layers = message.fields["layers"]
        if len(layers) > MAX_LAYERS:
            raise ValueError(f"an image of {len(layers)} layers")
        self._diff_ids = [_checked_digest(layer["diff_id"]) for layer in layers]
        store = self._store
        os.makedirs(self._staging_dir, mode=0o700)
        held = store.held()
        directories = {"docker": store.root, "staging": self._staging_dir}
        space = {place: os.statvfs(path) for place, path in directories.items()}
        channel.send(
            "ok",
            store=store.kind,
            has_image=store.find(str(message.fields["image_id"])) is not None,
            references={name: store.image_id_of(str(name)) for name in message.fields["references"]},
            diff_ids=sorted(set(held.values())),
            absent_chain_ids=store.absent(self._diff_ids),
            blobs=[blob for blob in message.fields.get("blobs") or () if store.has_blob(str(blob))],
            free_bytes={place: s.f_bavail * s.f_frsize for place, s in space.items()},
            directories=directories,
            same_file_system=len({os.stat(path).st_dev for path in directories.values()}) == 1,
        )

    def _on_rebuild(self, message: Message, channel: Channel) -> None:
        """Make the tar of a layer that is held above another parent."""
        diff_id = _checked_digest(message.fields["diff_id"])
        assembly = Assembly(self._path(diff_id), ())
        rebuilt = False
        with contextlib.suppress(OSError, ValueError, KeyError):
            for part in self._store.rebuild(diff_id):
                assembly.write(part)
            rebuilt = assembly.finish() == diff_id
        assembly.close()
        if rebuilt:
            self._staged[diff_id] = self._path(diff_id)
        channel.send("ok", rebuilt=rebuilt)

    # -- a layer -----------------------------------------------------------------------------------

    def _path(self, diff_id: str) -> str:
        """Where a layer is staged; its diff id becomes a file name, so it must be nothing else."""
        return os.path.join(self._staging_dir, _checked_digest(diff_id).rpartition(":")[2])

    def _begin(self, diff_id: str, steps: Steps) -> None:
        if self._assembly is not None:
            self._assembly.close()
        self._assembly = Assembly(self._path(diff_id), steps)

    def _on_whole(self, message: Message) -> None:
        self._begin(message.fields["diff_id"], [Receive(None)])

    def _on_skeleton(self, message: Message) -> None:
        mode = "wb" if message.fields["first"] else "ab"
        with open(os.path.join(self._staging_dir, SKELETON), mode) as stream:
            stream.write(message.body)

    def _on_offer(self, message: Message, channel: Channel) -> None:
        self._files = unpack_table(message.body)
        if self._held is None:
            self._held = HeldFiles(self._store.held_files(MAX_INLINE_BYTES))
        self._diff_id = str(message.fields["diff_id"])
        self._matches = [self._held.same(file) for file in self._files]
        statuses = bytearray()
        self._similar = []
        for number, (file, match) in enumerate(zip(self._files, self._matches)):
            if match is not None:
                statuses.append(STATUS_HELD)
            elif self._held.similar(file):
                statuses.append(STATUS_SIMILAR)
                self._similar.append(number)
            else:
                statuses.append(STATUS_MISSING)
        if not self._similar:
            self._begin(self._diff_id, self._steps({}))
        channel.send("ok", bytes(statuses))

    def _on_chunks(self, message: Message, channel: Channel) -> None:
        lists = unpack_chunks(message.body)
        if self._held is None or len(lists) != len(self._similar):
            raise MigrationError("chunks of other files than were asked for", phase="image")
        statuses = bytearray()
        chunk_steps: dict[int, Steps] = {}
        for number, wanted in zip(self._similar, lists):
            if sum(chunk.length for chunk in wanted) != self._files[number].size_bytes:
                raise MigrationError("the chunks of a file are not all of it", phase="image")
            steps: Steps = [self._held.find(self._files[number], chunk) for chunk in wanted]
            statuses += bytes(STATUS_HELD if isinstance(s, Copy) else STATUS_MISSING for s in steps)
            chunk_steps[number] = steps
        self._begin(self._diff_id, self._steps(chunk_steps))
        channel.send("ok", bytes(statuses))

    def _steps(self, chunk_steps: dict[int, Steps]) -> Steps:
        """The whole tar: skeleton and files in turn."""
        steps: Steps = []
        at = 0
        for number, (file, match) in enumerate(zip(self._files, self._matches)):
            steps.append(Copy(self._staging_dir, SKELETON, at, file.gap_bytes))
            at += file.gap_bytes
            if match is not None:
                steps.append(Copy(match.diff_dir, match.name, 0, match.size_bytes))
            elif number in chunk_steps:
                steps += chunk_steps[number]
            else:
                steps.append(Receive(file.size_bytes))
        rest_bytes = os.path.getsize(os.path.join(self._staging_dir, SKELETON)) - at
        if rest_bytes < 0:
            raise MigrationError(f"a layer's skeleton is {-rest_bytes} bytes too short", phase="image")
        steps.append(Copy(self._staging_dir, SKELETON, at, rest_bytes))
        return steps

    def _on_data(self, message: Message) -> None:
        if self._assembly is None:
            raise MigrationError("data of no layer", phase="image")
        self._assembly.feed(message.body)

    def _on_end(self, message: Message, channel: Channel) -> None:
        """Count the layer only if its sha256 is its diff id."""
        diff_id = _checked_digest(message.fields["diff_id"])
        if self._assembly is None:
            raise MigrationError("the end of no layer", phase="image")
        verified = self._assembly.finish() == diff_id
        self._assembly = None
        if verified:
            self._staged[diff_id] = self._path(diff_id)
        else:
            os.unlink(self._path(diff_id))
        channel.send("ok", verified=verified)

    # -- the image ---------------------------------------------------------------------------------

    def _on_load(self, message: Message, channel: Channel) -> None:
        """Load the image, or only name it where it is here; or say which layers have vanished meanwhile."""
        image_id = str(message.fields["image_id"])
        config, manifest, index = _split(message.body, message.fields["sizes"])
        digest = sha256_of(config)
        if digest != image_id:
            raise MigrationError(
                f"the configuration of image {image_id} arrived with digest {digest}", phase="image"
            )
        exact = exact_image(manifest, index, image_id) if manifest else None
        image = self._store.find(image_id)
        if image is None:
            vanished = self._vanished(exact)
            if not vanished:
                image, vanished = self._load(image_id, config, exact)
            if image is None:
                channel.send("ok", image_id=image_id, vanished=vanished)
                return
        for name in map(str, message.fields["references"]):
            if self._store.image_id_of(name) != image_id:
                self._store.tag(image, name)
            named = self._store.image_id_of(name)
            if named != image_id:
                raise MigrationError(
                    f"after docker load {name} is {named} on the target, not {image_id}", phase="image"
                )
        self.close()
        channel.send("ok", image_id=image_id, vanished=[])

    def _load(
        self, image_id: str, config: bytes, exact: ExactImage | None
    ) -> tuple[StoredImage | None, list[str]]:
        """The image; or None, and the layers that were removed while Docker loaded it."""
        try:
            self._store.load(self._store.archive(config, self._diff_ids, self._staged, exact))
        except (MigrationError, KeyError):
            vanished = self._vanished(exact)
            if vanished:
                return None, vanished
            raise
        image = self._store.find(image_id)
        if image is not None:
            return image, []
        vanished = self._vanished(exact)
        if not vanished:
            raise MigrationError(
                f"docker load succeeded on the target, but image {image_id} is not complete there. "
                "Look into the logs of Docker and containerd there.",
                phase="image",
            )
        return None, vanished

    def _vanished(self, exact: ExactImage | None) -> list[str]:
        """Diff ids of layers that are neither here nor staged."""
        if exact is not None and len(exact.blobs) == len(self._diff_ids):
            return [
                diff_id
                for diff_id, blob in zip(self._diff_ids, exact.blobs)
                if blob not in self._staged and not self._store.has_blob(blob)
            ]
        absent = set(self._store.absent(self._diff_ids))
        return [
            diff_id
            for diff_id, chain_id in zip(self._diff_ids, chain_ids(self._diff_ids))
            if chain_id in absent and diff_id not in self._staged
        ]


def _checked_digest(value: object) -> str:
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise MigrationError(f"{value!r} is no diff id", phase="image")
    return value


def _split(body: bytes, sizes: Any) -> list[bytes]:
    """*body* cut into three parts of these sizes.

    :raises ValueError: the sizes are not those of the body.
    """
    lengths = [checked_length(size) for size in sizes]
    if len(lengths) != 3 or sum(lengths) != len(body):
        raise ValueError(f"parts of {sizes!r} bytes in a body of {len(body)}")
    parts, at = [], 0
    for length in lengths:
        parts.append(body[at : at + length])
        at += length
    return parts
