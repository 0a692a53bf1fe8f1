# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's side of an image's way: ask what is there, send what is missing, have it loaded."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, NamedTuple

from ..base.errors import MigrationError, PreflightError, TransferError
from ..base.threads import InThread
from ..transport.wire import Channel
from .archive import saved_layers
from .delta import STATUS_HELD, STATUS_SIMILAR, Offer, pack_chunks
from .layers import describe, layer_diff, sync_reason
from .opened import open_store
from .store import OVERLAY2, ExactImage, ImageStore, LayerContent, StoredImage, read_at

DATA_BYTES = 1 << 20
MIN_OFFER_BYTES = 256 << 10
"""Below this a layer goes over whole: asking what can be reused would take as long."""
PROGRESS_S = 2.0

Progress = Callable[[dict[str, Any]], None]


def sync_image(
    client: Any,
    channel: Channel,
    name: str,
    *,
    check_mode: bool = False,
    reuse: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring the image *name* of this host to the target, layers that it lacks only.

    :param client: ``docker.APIClient`` of this host.
    :param name: a reference, which is the one that arrives; or an id, with which all its
        references do.
    :param reuse: whether to look into the target's layers for files of a missing one.
    :param progress: gets ``{"diff_id", "sent_bytes", "bytes_per_s", "layers", "layers_left"}`` first
        of all, every PROGRESS_S or so, and after each layer.
    :returns: ``changed``, ``reason``, ``image_info``, ``layers_missing``, ``layers_present`` (diff
        ids), ``layer_bytes`` (of missing layers; their files' bytes in check mode, else of their
        tars), ``sent_bytes``, ``reused_bytes``, ``exact`` and ``exact_reason`` (whether the image keeps
        its manifest, and why not).
    :raises MigrationError: no such image, no space, or it did not arrive as it was.
    """
    store = open_store(client)
    stored = store.image(name)
    image = describe(store, stored)
    for reference in (name, f"{name}:latest"):
        if reference in image["references"]:
            image["references"] = [reference]
    exact = store.exact(stored)
    sent_before = channel.sent_bytes
    have = channel.request(
        "layers.have",
        image_id=image["id"],
        references=image["references"],
        layers=image["layers"],
        blobs=list(exact.blobs) if exact else [],
    ).fields
    try:
        difference = layer_diff(image, have["diff_ids"], have["references"])
        reason = sync_reason(image, difference, has_image=have["has_image"])
        against_exact = _against_exact(exact, stored, have)
        absent_chain_ids = set(have["absent_chain_ids"])
    except (KeyError, TypeError) as error:
        raise TransferError(f"the target's answer about its layers is not one: {error!r}") from error
    missing = [layer["diff_id"] for layer in difference["missing_layers"]]
    absent = [layer["diff_id"] for layer in image["layers"] if layer["chain_id"] in absent_chain_ids]
    transfer = _Transfer(channel, store, stored, image["references"], progress)
    if reason:
        if not have["has_image"]:
            _check_space(have, difference["missing_bytes"])
        if not check_mode:
            # A host without layers has nothing to reuse.
            reuse = reuse and bool(have["diff_ids"])
            transfer.run(missing, absent, reuse=reuse, exact=None if against_exact else exact)
    loaded = bool(reason) and not have["has_image"]
    return {
        "changed": bool(reason),
        "reason": reason,
        "image_info": image,
        "layers_missing": missing,
        "layers_present": [layer["diff_id"] for layer in difference["present_layers"]],
        "layer_bytes": transfer.layer_bytes or difference["missing_bytes"],
        "sent_bytes": channel.sent_bytes - sent_before,
        "reused_bytes": transfer.reused_bytes,
        "exact": loaded and exact is not None and not against_exact,
        "exact_reason": against_exact if loaded else "",
    }


def _against_exact(exact: ExactImage | None, image: StoredImage, have: dict[str, Any]) -> str:
    """Why the image cannot keep its manifest without more bytes on the wire; empty if it can, or has none.

    A manifest names blobs as they are packed. One that is an uncompressed tar travels as every layer
    does; a compressed one would have to travel beside what the target can make of its own layers.
    """
    if (exact is None) != (have["store"] == OVERLAY2):
        return "only containerd's image store keeps manifests, and one of the hosts has another"
    if exact is None:
        return ""
    there, held = set(have["blobs"]), set(have["diff_ids"])
    for blob, diff_id in zip(exact.blobs, image.diff_ids):
        if blob not in there and (blob != diff_id or diff_id in held):
            return (
                f"the target does not have layer {diff_id} packed as blob {blob}; layers travel unpacked, "
                "so there the image gets a manifest, an id and a digest of its own"
            )
    return ""


def _check_space(have: dict[str, Any], missing_bytes: int) -> None:
    """Once to verify the layers, and twice for Docker.

    overlay2: ``docker load`` keeps the archive beside what it unpacks. containerd keeps every layer as a
    blob and as files.
    """
    need = {"docker": 2 * missing_bytes, "staging": missing_bytes}
    if have["same_file_system"]:
        need["docker"] += need.pop("staging")
    for place, need_bytes in need.items():
        free_bytes = have["free_bytes"][place]
        if need_bytes > free_bytes:
            raise PreflightError(
                f"the target has {free_bytes} bytes free in {have['directories'][place]}, the missing "
                f"layers need {need_bytes}. Free some there (`docker image prune`) and try again.",
                phase="image",
            )


class _Prepared(NamedTuple):
    """A layer that is ready to be sent; with its offer, if files of it may be on the target."""

    layer: LayerContent | None
    offer: Offer | None

    def close(self) -> None:
        if self.layer is not None:
            self.layer.close()


class _Transfer:
    """One image on its way."""

    def __init__(
        self,
        channel: Channel,
        store: ImageStore,
        image: StoredImage,
        references: Sequence[str],
        progress: Progress | None,
    ) -> None:
        self._channel = channel
        self._store = store
        self._image = image
        self._references = list(references)
        self._progress = progress
        self._layers = self._layers_left = 0
        self._sent_before = channel.sent_bytes
        self._started = self._reported = time.monotonic()
        self.layer_bytes = 0
        self.reused_bytes = 0

    def run(
        self, missing: list[str], absent: Iterable[str], *, reuse: bool, exact: ExactImage | None
    ) -> None:
        """Send what is missing and have the image loaded.

        :param missing: diff ids; gains those of layers that the target cannot rebuild.
        :param absent: diff ids of the layers that Docker there must be given.
        """
        wanted: list[str] = []
        for diff_id in absent:
            if diff_id not in wanted:
                wanted.append(diff_id)
                # Held above another parent: the target can make its tar itself.
                if diff_id not in missing and not self._rebuilt(diff_id):
                    missing.append(diff_id)
        self._send_layers([diff_id for diff_id in wanted if diff_id in missing], reuse=reuse)
        vanished = self._load(exact)
        if vanished:
            # Whoever removed an image there meanwhile took layers of this one along.
            missing += [diff_id for diff_id in vanished if diff_id not in missing]
            self._send_layers(vanished, reuse=reuse)
            vanished = self._load(None)
        if vanished:
            raise MigrationError(
                f"{len(vanished)} layers of image {self._image.id} vanished twice from the target while it "
                "was sent. Does something remove images there (`docker image prune`)? Try again.",
                phase="image",
            )

    def _load(self, exact: ExactImage | None) -> list[str]:
        """Have the image loaded; returns the diff ids of layers that have vanished from the target."""
        config = self._store.config(self._image)
        manifest, index = (exact.manifest_content, exact.index_content) if exact else (b"", b"")
        answer = self._channel.request(
            "layers.load",
            config + manifest + index,
            sizes=[len(config), len(manifest), len(index)],
            image_id=self._image.id,
            references=self._references,
        )
        vanished = answer.fields.get("vanished") or []
        return [diff_id for diff_id in self._image.diff_ids if diff_id in vanished]

    def _rebuilt(self, diff_id: str) -> bool:
        return bool(self._channel.request("layers.rebuild", diff_id=diff_id).fields["rebuilt"])

    # -- layers --------------------------------------------------------------------------------

    def _send_layers(self, diff_ids: list[str], *, reuse: bool) -> None:
        """Send layers in turn; while one is sent, the next is read and taken apart."""
        diff_ids = list(dict.fromkeys(diff_ids))
        self._layers = self._layers_left = len(diff_ids)
        self._report("")
        unread: list[str] = []
        coming: list[InThread[_Prepared]] = []
        try:
            for place, diff_id in enumerate(diff_ids):
                current = coming.pop() if coming else self._begin(diff_id, reuse)
                prepared = current.result()
                if place + 1 < len(diff_ids):
                    coming.append(self._begin(diff_ids[place + 1], reuse))
                try:
                    sent = self._send_layer(diff_id, prepared)
                finally:
                    prepared.close()
                if sent:
                    self._layers_left -= 1
                    self._report(diff_id)
                else:
                    unread.append(diff_id)
        finally:
            for one in coming:
                with contextlib.suppress(Exception):
                    one.result().close()
        if unread:
            self._send_saved(unread)

    def _begin(self, diff_id: str, reuse: bool) -> InThread[_Prepared]:
        return InThread(lambda: self._prepare(self._image.diff_ids.index(diff_id), reuse))

    def _prepare(self, number: int, reuse: bool) -> _Prepared:
        layer = self._store.layer(self._image, number)
        if layer is not None and reuse and layer.size_bytes >= MIN_OFFER_BYTES:
            # Without room for it to be unpacked, or damaged: what can be read is sent as a whole.
            with contextlib.suppress(OSError, ValueError):
                return _Prepared(layer, Offer(layer))
        return _Prepared(layer, None)

    def _send_layer(self, diff_id: str, prepared: _Prepared) -> bool:
        """Send one layer out of the store; False where what the store has is not that layer."""
        layer, offer = prepared
        if layer is None:
            return False
        # Files or records of the layer may be gone or damaged; `docker save` may know more.
        with contextlib.suppress(OSError, ValueError):
            if offer is not None and self._send_offer(offer):
                self.layer_bytes += offer.tar_bytes
                return True
        with contextlib.suppress(OSError, ValueError):
            return self._send_whole(diff_id, layer.tar())
        return False

    def _send_whole(self, diff_id: str, content: Iterable[bytes]) -> bool:
        """Send a tar whose size is known only at its end."""
        self._channel.send("layers.whole", diff_id=diff_id)
        size_bytes = 0

        def counted() -> Iterator[bytes]:
            nonlocal size_bytes
            for piece in content:
                size_bytes += len(piece)
                yield piece

        arrived = self._send_data(diff_id, counted())
        if arrived:
            self.layer_bytes += size_bytes
        return arrived

    def _send_offer(self, offer: Offer) -> bool:
        """Send a layer as its skeleton plus what the target lacks of its files."""
        skeleton = memoryview(offer.skeleton)
        for at in range(0, max(1, len(skeleton)), DATA_BYTES):
            self._channel.send("layers.skeleton", skeleton[at : at + DATA_BYTES], first=at == 0)
        diff_id = offer.layer.diff_id
        statuses = self._channel.request("layers.offer", offer.table(), diff_id=diff_id).body
        chunk_lists = {
            number: offer.chunks(number) for number, status in enumerate(statuses) if status == STATUS_SIMILAR
        }
        chunk_statuses = b""
        if chunk_lists:
            chunk_statuses = self._channel.request("layers.chunks", pack_chunks(chunk_lists.values())).body
        if len(statuses) != len(offer.files) or len(chunk_statuses) != sum(map(len, chunk_lists.values())):
            raise TransferError("the target's answer does not fit the files of a layer", phase="image")
        following = iter(chunk_statuses)
        reused_bytes = 0
        pieces: list[tuple[int, int, int]] = []
        for number, file in enumerate(offer.files):
            if statuses[number] == STATUS_HELD:
                reused_bytes += file.size_bytes
            elif number in chunk_lists:
                for chunk in chunk_lists[number]:
                    if next(following) == STATUS_HELD:
                        reused_bytes += chunk.length
                    else:
                        pieces.append((number, chunk.offset, chunk.length))
            else:
                pieces.append((number, 0, file.size_bytes))
        arrived = self._send_data(diff_id, offer.contents(pieces))
        if arrived:
            self.reused_bytes += reused_bytes
        return arrived

    def _send_data(self, diff_id: str, content: Iterable[bytes]) -> bool:
        """Send *content* and have the layer verified; False where its digest was not *diff_id*."""
        buffer = bytearray()
        for part in content:
            buffer += part
            if len(buffer) >= DATA_BYTES:
                self._send_part(diff_id, buffer)
                buffer = bytearray()
        if buffer:
            self._send_part(diff_id, buffer)
        answer = self._channel.request("layers.end", diff_id=diff_id)
        return bool(answer.fields["verified"])

    def _send_part(self, diff_id: str, data: bytearray) -> None:
        self._channel.send("layers.data", data)
        if time.monotonic() - self._reported > PROGRESS_S:
            self._report(diff_id)

    def _report(self, diff_id: str) -> None:
        self._reported = time.monotonic()
        if self._progress is None:
            return
        sent_bytes = self._channel.sent_bytes - self._sent_before
        self._progress(
            {
                "diff_id": diff_id,
                "sent_bytes": sent_bytes,
                "bytes_per_s": sent_bytes / max(1e-3, self._reported - self._started),
                "layers": self._layers,
                "layers_left": self._layers_left,
            }
        )

    def _send_saved(self, diff_ids: list[str]) -> None:
        """Send layers out of ``docker save``, which for overlay2 may read what cannot be read here."""
        with tempfile.TemporaryDirectory(dir=self._store.scratch_dir, prefix="mec-migration-") as directory:
            paths: dict[str, str] = {}
            if self._store.kind == OVERLAY2:
                paths = saved_layers(self._store.client, self._image.local_id, diff_ids, directory)
            for diff_id in diff_ids:
                if diff_id not in paths:
                    raise MigrationError(
                        f"layer {diff_id} of image {self._image.id} is damaged on this host: neither what "
                        "its store has nor `docker save` has that digest. Pull or load the image again.",
                        phase="image",
                    )
                if not self._send_whole(diff_id, _file(paths[diff_id])):
                    raise TransferError(f"layer {diff_id} did not arrive as it was sent", phase="image")
                self._layers_left -= 1
                self._report(diff_id)


def _file(path: str) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from read_at(fd, 0, os.fstat(fd).st_size)
    finally:
        os.close(fd)
