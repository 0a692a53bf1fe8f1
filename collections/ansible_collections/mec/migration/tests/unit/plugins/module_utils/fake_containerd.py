# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon with containerd's image store in a directory: enough of it to move images.

As Docker 28.5.2 and containerd 2.1.9 were seen to behave: an image's id is the digest of its manifest or
index, a load takes an OCI layout from which blobs are left out, and says neither that blobs are missing
nor (but in passing) that it could not unpack a layer.
"""

from __future__ import annotations

import ctypes
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible_collections.mec.migration.plugins.module_utils.transport import zstd
from fake_docker import NotFound, sha256

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def pack_zstd(tar: bytes) -> bytes:
    """In two frames, as some builders write them."""
    library = zstd.load()
    assert library is not None
    return library.compress(tar[: len(tar) // 2]) + library.compress(tar[len(tar) // 2 :])


def pack_gzip(tar: bytes) -> bytes:
    """In two members, as estargz does."""
    return gzip.compress(tar[: len(tar) // 2], 1) + gzip.compress(tar[len(tar) // 2 :], 1)


PACKERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "tar": (bytes, LAYER),
    "gzip": (pack_gzip, LAYER + "+gzip"),
    "zstd": (pack_zstd, LAYER + "+zstd"),
}


class FakeContainerd:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.containerd = root / "containerd" / "daemon"
        self.blobs = self.containerd / "io.containerd.content.v1.content" / "blobs" / "sha256"
        self.snapshots = self.containerd / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
        self.names: dict[str, str] = {}
        self.loads: list[list[str]] = []
        self.before_load: Any = None
        self.snapshotter = "overlayfs"
        for directory in (self.blobs, self.snapshots, root / "tmp"):
            directory.mkdir(parents=True)
        (self.containerd / "io.containerd.metadata.v1.bolt").mkdir()

    def put(self, content: bytes) -> str:
        digest = sha256(content)
        (self.blobs / digest[7:]).write_bytes(content)
        return digest

    def get(self, digest: str) -> bytes:
        return (self.blobs / digest[7:]).read_bytes()

    def has(self, digest: str) -> bool:
        return (self.blobs / digest[7:]).exists()

    def descriptor(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.put(content), "size": len(content), **more}

    def build(self, reference: str, tars: Iterable[bytes], pack: str = "gzip", index: bool = False) -> str:
        """An image of these layers; returns the digest of its configuration.

        :param index: as buildx makes it: an index with an attestation, and another platform that is absent.
        """
        tars = list(tars)
        packer, media_type = PACKERS[pack]
        layers = [self.descriptor(packer(tar), media_type) for tar in tars]
        config: dict[str, Any] = {
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
        }
        config["history"] = [{"created_by": "ADD"} for _tar in tars] + [{"empty_layer": True}]
        return self._register(reference, config, layers, tars, index)

    def _register(
        self, reference: str, config: Any, layers: list[dict[str, Any]], tars: list[bytes], index: bool
    ) -> str:
        described = self.descriptor(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
        ).encode()
        target = self.put(manifest)
        if index:
            absent = {"mediaType": MANIFEST, "digest": sha256(b"another platform"), "size": 16}
            attestation = {
                "schemaVersion": 2,
                "config": self.descriptor(b"{}", "application/vnd.oci.image.config.v1+json"),
                "layers": [self.descriptor(b"{...}", "application/vnd.in-toto+json")],
            }
            children = [
                dict(absent, platform={"os": "linux", "architecture": "arm64"}),
                self.descriptor(
                    json.dumps(attestation).encode(),
                    MANIFEST,
                    annotations={"vnd.docker.reference.type": "attestation-manifest"},
                    platform={"os": "unknown", "architecture": "unknown"},
                ),
                self.descriptor(manifest, MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            ]
            target = self.put(json.dumps({"mediaType": INDEX, "manifests": children}).encode())
        self.names[reference] = target
        for tar in tars:
            self._unpack(tar)
        return str(described["digest"])

    def _unpack(self, tar: bytes) -> None:
        directory = self.snapshots / str(len(list(self.snapshots.iterdir())) + 1) / "fs"
        directory.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            archive.extractall(directory, filter="fully_trusted")

    def remove(self, reference: str) -> None:
        """``docker rmi``: blobs that no other image has go at once."""
        del self.names[reference]
        kept: set[str] = set()
        for target in self.names.values():
            kept |= self._below(target)
        for blob in list(self.blobs.iterdir()):
            if f"sha256:{blob.name}" not in kept:
                blob.unlink()

    def _below(self, digest: str) -> set[str]:
        found = {digest}
        if self.has(digest):
            parsed = json.loads(self.get(digest))
            for child in parsed.get("manifests", []):
                found |= self._below(child["digest"])
            for part in [parsed.get("config"), *parsed.get("layers", [])]:
                if part:
                    found.add(part["digest"])
        return found

    def _manifest(self, target: str) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.get(target))
        for child in parsed.get("manifests", []):
            if child.get("platform", {}).get("architecture") == "amd64" or len(parsed["manifests"]) == 1:
                return self._manifest(child["digest"])
        return parsed

    # -- docker.APIClient ----------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        return {
            "Driver": self.snapshotter,
            "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
            "DockerRootDir": str(self.root),
            "Architecture": "x86_64",
            "ServerVersion": "28.5.2",
            "Containerd": {"Address": str(self.root / "absent.sock")},
        }

    def images(self, all: bool = False) -> list[dict[str, Any]]:
        targets = dict.fromkeys(self.names.values())
        return [
            {"Id": target, "RepoTags": [n for n, t in self.names.items() if t == target and "@" not in n]}
            for target in targets
        ]

    def inspect_image(self, name: str) -> dict[str, Any]:
        target = self.names.get(name, name)
        if target not in self.names.values():
            raise NotFound(name)
        return {"Id": target, "RepoTags": [n for n, t in self.names.items() if t == target]}

    def history(self, name: str) -> list[dict[str, Any]]:
        config = json.loads(self.get(self._manifest(self.names.get(name, name))["config"]["digest"]))
        empty = [{"Size": 0}]
        return empty + [{"Size": 1000 + n} for n in reversed(range(len(config["rootfs"]["diff_ids"])))]

    def tag(self, image: str, repository: str, tag: str, force: bool = False) -> None:
        assert image in self.names.values()
        self.names.pop(f"moby-dangling@{image}", None)
        self.names[f"{repository}:{tag}"] = image

    def load_image(self, data: Iterable[bytes]) -> list[dict[str, Any]]:
        members: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                assert stream is not None
                members[member.name] = stream.read()
        assert "oci-layout" in members, "this store needs every layer that manifest.json lists"
        self.loads.append([name for name in members if name.startswith("blobs/")])
        if self.before_load:
            self.before_load()
        for name, content in members.items():
            if name.startswith("blobs/"):
                assert self.put(content) == "sha256:" + name.rpartition("/")[2]
        (entry,) = json.loads(members["index.json"])["manifests"]
        self.names[f"moby-dangling@{entry['digest']}"] = entry["digest"]
        manifest = self._manifest(entry["digest"])
        if not all(self.has(layer["digest"]) for layer in manifest["layers"]):
            return [{"stream": "Loaded image"}]
        config = json.loads(self.get(manifest["config"]["digest"]))
        for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"]):
            tar = self._tar(self.get(layer["digest"]))
            if sha256(tar) != diff_id:
                return [{"stream": f"Error unpacking image {entry['digest']}: wrong diff id"}]
            self._unpack(tar)
        return [{"stream": "Loaded image"}]

    @staticmethod
    def _tar(blob: bytes) -> bytes:
        if blob.startswith(b"\x1f\x8b"):
            return gzip.decompress(blob)
        library = ctypes.CDLL("libzstd.so.1")
        if library.ZSTD_isFrame(blob, ctypes.c_size_t(len(blob))):
            loaded = zstd.load()
            assert loaded is not None
            return b"".join(loaded.decompressed([blob], 1 << 20))
        return blob
