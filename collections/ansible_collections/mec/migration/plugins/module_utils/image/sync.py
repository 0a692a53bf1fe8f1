# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's way from source to target: ask what is there, send what is missing, verify, load."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from ..base.errors import MigrationError, PreflightError, TransferError
from ..transport.wire import Channel, Message
from .archive import load, partial_archive, saved_layers
from .delta import (
    STATUS_HELD,
    STATUS_MISSING,
    STATUS_SIMILAR,
    Assembly,
    Copy,
    HeldFile,
    HeldFiles,
    Offer,
    OfferedFile,
    Receive,
    pack_chunks,
    unpack_chunks,
    unpack_table,
)
from .layers import image_info, layer_diff, sync_reason
from .store import LayerFiles, LayerStore, layer_tar, tar_size_bytes

DATA_BYTES = 1 << 20
MIN_OFFER_BYTES = 256 << 10
"""Below this a layer goes over whole: asking what can be reused would take as long."""
PROGRESS_S = 2.0
SKELETON = "skeleton"
DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}")

Progress = Callable[[dict[str, Any]], None]
Steps = list[Any]


# -- the source --------------------------------------------------------------------------------------


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
        tars), ``sent_bytes``, ``reused_bytes``.
    :raises MigrationError: no such image, no space, or it did not arrive as it was.
    """
    store = LayerStore.of(client)
    image = image_info(client, store, name)
    for reference in (name, f"{name}:latest"):
        if reference in image["references"]:
            image["references"] = [reference]
    sent_before = channel.sent_bytes
    have = channel.request(
        "layers.have",
        image_id=image["id"],
        references=image["references"],
        layers=image["layers"],
    ).fields
    difference = layer_diff(image, have["diff_ids"], have["references"])
    reason = sync_reason(image, difference, has_image=have["has_image"])
    missing = {layer["diff_id"]: layer["chain_id"] for layer in difference["missing_layers"]}
    transfer = _Transfer(client, channel, store, image, progress)
    if reason:
        _check_space(have, difference["missing_bytes"])
        if not check_mode:
            # A host without layers has nothing to reuse.
            reuse = reuse and bool(have["diff_ids"])
            transfer.run(missing, absent_chain_ids=have["absent_chain_ids"], reuse=reuse)
    return {
        "changed": bool(reason),
        "reason": reason,
        "image_info": image,
        "layers_missing": list(missing),
        "layers_present": [layer["diff_id"] for layer in difference["present_layers"]],
        "layer_bytes": transfer.layer_bytes or difference["missing_bytes"],
        "sent_bytes": channel.sent_bytes - sent_before,
        "reused_bytes": transfer.reused_bytes,
    }


def _check_space(have: dict[str, Any], missing_bytes: int) -> None:
    """Twice in Docker's directory (``docker load`` unpacks the archive first), once to verify them."""
    need = {"docker": 2 * missing_bytes, "staging": missing_bytes}
    if have["same_file_system"]:
        need["docker"] += need.pop("staging")
    for place, need_bytes in need.items():
        free_bytes = have["free_bytes"][place]
        if need_bytes > free_bytes:
            raise PreflightError(
                f"the target has {free_bytes} bytes free in {have['directories'][place]}, the "
                f"missing layers need {need_bytes}. Free some there (`docker image prune`) and try "
                "again.",
                phase="image",
            )


class _Transfer:
    """One image on its way."""

    def __init__(
        self,
        client: Any,
        channel: Channel,
        store: LayerStore,
        image: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        self._client = client
        self._channel = channel
        self._store = store
        self._image = image
        self._progress = progress
        self._layers = self._layers_left = 0
        self._sent_before = channel.sent_bytes
        self._started = self._reported = time.monotonic()
        self.layer_bytes = 0
        self.reused_bytes = 0

    def run(self, missing: dict[str, str], *, absent_chain_ids: Iterable[str], reuse: bool) -> None:
        """Send what is missing and have the image loaded.

        :param missing: chain id by diff id; gains the layers that the target cannot rebuild.
        """
        absent = set(absent_chain_ids)
        wanted: list[str] = []
        for layer in self._image["layers"]:
            diff_id = layer["diff_id"]
            if layer["chain_id"] in absent and diff_id not in wanted:
                wanted.append(diff_id)
                # Held above another parent: the target can make its tar itself.
                if diff_id not in missing and not self._rebuilt(diff_id):
                    missing[diff_id] = layer["chain_id"]
        wanted = [diff_id for diff_id in wanted if diff_id in missing]
        self._layers = self._layers_left = len(wanted)
        self._report("")
        unread = []
        for diff_id in wanted:
            if not self._send_layer(diff_id, missing[diff_id], reuse=reuse):
                unread.append(diff_id)
            else:
                self._layers_left -= 1
                self._report(diff_id)
        if unread:
            self._send_saved(unread)
        self._channel.request(
            "layers.load",
            self._store.config(self._image["id"]),
            image_id=self._image["id"],
            references=self._image["references"],
        )

    def _rebuilt(self, diff_id: str) -> bool:
        return bool(self._channel.request("layers.rebuild", diff_id=diff_id).fields["rebuilt"])

    def _send_layer(self, diff_id: str, chain_id: str, *, reuse: bool) -> bool:
        """Send one layer out of the store; False where what the store has is not that layer."""
        layer = self._store.layer(chain_id)
        if layer is None:
            return False
        # Files or tar-split data of the layer may be gone or damaged; `docker save` may know more.
        with contextlib.suppress(OSError, ValueError, KeyError):
            if reuse and layer.size_bytes >= MIN_OFFER_BYTES:
                offer = Offer(layer)
                if self._send_offer(offer):
                    self.layer_bytes += offer.tar_bytes
                    return True
            tar_bytes = tar_size_bytes(layer)
            if self._send_whole(diff_id, tar_bytes, layer_tar(layer)):
                self.layer_bytes += tar_bytes
                return True
        return False

    def _send_whole(self, diff_id: str, tar_bytes: int, content: Iterable[bytes]) -> bool:
        self._channel.send("layers.whole", diff_id=diff_id, tar_bytes=tar_bytes)
        return self._send_data(diff_id, content)

    def _send_offer(self, offer: Offer) -> bool:
        """Send a layer as its skeleton plus what the target lacks of its files."""
        skeleton = memoryview(offer.skeleton)
        for at in range(0, len(skeleton), DATA_BYTES):
            self._channel.send("layers.skeleton", skeleton[at : at + DATA_BYTES], first=at == 0)
        diff_id = offer.layer.diff_id
        answer = self._channel.request("layers.offer", offer.table(), diff_id=diff_id)
        statuses = answer.body
        chunk_lists = {
            number: offer.chunks(number) for number, status in enumerate(statuses) if status == STATUS_SIMILAR
        }
        chunk_statuses = iter(b"")
        if chunk_lists:
            answer = self._channel.request("layers.chunks", pack_chunks(chunk_lists.values()))
            chunk_statuses = iter(answer.body)
        reused_bytes = 0
        pieces: list[tuple[str, int, int]] = []
        for number, file in enumerate(offer.files):
            if statuses[number] == STATUS_HELD:
                reused_bytes += file.size_bytes
            elif number in chunk_lists:
                for chunk in chunk_lists[number]:
                    if next(chunk_statuses) == STATUS_HELD:
                        reused_bytes += chunk.length
                    else:
                        pieces.append((file.name, chunk.offset, chunk.length))
            else:
                pieces.append((file.name, 0, file.size_bytes))
        arrived = self._send_data(diff_id, _contents(offer.layer.diff_dir, pieces))
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
        """Send layers out of ``docker save``."""
        scratch = os.path.join(self._store.docker_root_dir, "tmp")
        with tempfile.TemporaryDirectory(dir=scratch, prefix="mec-migration-") as directory:
            paths = saved_layers(self._client, self._image["id"], diff_ids, directory)
            for diff_id in diff_ids:
                if diff_id not in paths:
                    raise MigrationError(
                        f"layer {diff_id} of image {self._image['id']} is damaged on this host: "
                        "neither its files nor `docker save` have that digest. Pull or load the "
                        "image again.",
                        phase="image",
                    )
                size_bytes = os.path.getsize(paths[diff_id])
                content = _contents(directory, [(os.path.basename(paths[diff_id]), 0, size_bytes)])
                if not self._send_whole(diff_id, size_bytes, content):
                    raise TransferError(f"layer {diff_id} did not arrive as it was sent", phase="image")
                self.layer_bytes += size_bytes
                self._layers_left -= 1
                self._report(diff_id)


def _contents(directory: str, pieces: Iterable[tuple[str, int, int]]) -> Iterator[bytes]:
    """Pieces of files, each given by name, offset and length."""
    with contextlib.closing(LayerFiles()) as files:
        for name, offset, length in pieces:
            yield from files.read(directory, name, offset, length)


# -- the target --------------------------------------------------------------------------------------


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
        self._store: LayerStore | None = None
        self._held: HeldFiles | None = None
        self._staged: dict[str, str] = {}
        self._layers: list[dict[str, Any]] = []
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
            except (OSError, KeyError, TypeError, ValueError) as error:
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
            except (OSError, KeyError, TypeError, ValueError) as error:
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

    def _layer_store(self) -> LayerStore:
        if self._store is None:
            self._store = LayerStore.of(self._client)
        return self._store

    # -- what is here ------------------------------------------------------------------------------

    def _on_have(self, message: Message, channel: Channel) -> None:
        self.close()
        store = self._layer_store()
        os.makedirs(self._staging_dir, mode=0o700)
        self._layers = message.fields["layers"]
        held = store.layers()
        directories = {"docker": store.docker_root_dir, "staging": self._staging_dir}
        space = {place: os.statvfs(path) for place, path in directories.items()}
        channel.send(
            "ok",
            has_image=self._image_id(message.fields["image_id"]) is not None,
            references={reference: self._image_id(reference) for reference in message.fields["references"]},
            diff_ids=sorted({layer.diff_id for layer in held.values()}),
            absent_chain_ids=[layer["chain_id"] for layer in self._layers if layer["chain_id"] not in held],
            free_bytes={place: s.f_bavail * s.f_frsize for place, s in space.items()},
            directories=directories,
            same_file_system=len({os.stat(path).st_dev for path in directories.values()}) == 1,
        )

    def _image_id(self, name: str) -> str | None:
        try:
            return str(self._client.inspect_image(name)["Id"])
        except Exception as error:
            if getattr(getattr(error, "response", None), "status_code", None) == 404:
                return None
            raise MigrationError(
                f"Docker on the target does not answer about image {name}: {error}", phase="image"
            ) from error

    def _on_rebuild(self, message: Message, channel: Channel) -> None:
        """Make the tar of a layer that is held above another parent."""
        diff_id = str(message.fields["diff_id"])
        rebuilt = False
        held = self._layer_store().layers().values()
        layer = next((layer for layer in held if layer.diff_id == diff_id), None)
        if layer is not None:
            assembly = Assembly(self._path(diff_id), ())
            with contextlib.suppress(OSError, ValueError, KeyError):
                for part in layer_tar(layer):
                    assembly.write(part)
                rebuilt = assembly.finish() == diff_id
            assembly.close()
        if rebuilt:
            self._staged[diff_id] = self._path(diff_id)
        channel.send("ok", rebuilt=rebuilt)

    # -- a layer -----------------------------------------------------------------------------------

    def _path(self, diff_id: str) -> str:
        """Where a layer is staged; its diff id becomes a file name, so it must be nothing else."""
        if not DIFF_ID.fullmatch(diff_id):
            raise MigrationError(f"{diff_id!r} is no diff id", phase="image")
        return os.path.join(self._staging_dir, diff_id.rpartition(":")[2])

    def _begin(self, diff_id: str, steps: Steps) -> None:
        if self._assembly is not None:
            self._assembly.close()
        self._assembly = Assembly(self._path(diff_id), steps)

    def _on_whole(self, message: Message) -> None:
        self._begin(message.fields["diff_id"], [Receive(int(message.fields["tar_bytes"]))])

    def _on_skeleton(self, message: Message) -> None:
        mode = "wb" if message.fields["first"] else "ab"
        with open(os.path.join(self._staging_dir, SKELETON), mode) as stream:
            stream.write(message.body)

    def _on_offer(self, message: Message, channel: Channel) -> None:
        self._files = unpack_table(message.body)
        if self._held is None:
            self._held = HeldFiles(self._layer_store().layers().values())
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
        steps.append(Copy(self._staging_dir, SKELETON, at, rest_bytes))
        return steps

    def _on_data(self, message: Message) -> None:
        if self._assembly is None:
            raise MigrationError("data of no layer", phase="image")
        self._assembly.feed(message.body)

    def _on_end(self, message: Message, channel: Channel) -> None:
        """Count the layer only if its sha256 is its diff id."""
        diff_id = str(message.fields["diff_id"])
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
        image_id, config = str(message.fields["image_id"]), message.body
        digest = "sha256:" + hashlib.sha256(config).hexdigest()
        if digest != image_id:
            raise MigrationError(
                f"the configuration of image {image_id} arrived with digest {digest}", phase="image"
            )
        references = [str(reference) for reference in message.fields["references"]]
        diff_ids = [layer["diff_id"] for layer in self._layers]
        load(self._client, partial_archive(config, references, diff_ids, self._staged))
        for name in [image_id, *references]:
            loaded = self._image_id(name)
            if loaded != image_id:
                raise MigrationError(
                    f"after docker load {name} is {loaded} on the target, not {image_id}",
                    phase="image",
                )
        self.close()
        channel.send("ok", image_id=image_id)
