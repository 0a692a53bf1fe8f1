"""On a host with containerd's image store: images as builders make them, out of one that is there.

    make_image.py KIND BASE NAME

``buildx``: an index with an attestation and a platform that is absent; layers packed in three ways.
``many``: 61 layers. ``plain``: layers that are not packed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYERS_OF_MANY = 61


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tar_of(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def pack(tar: bytes, kind: str, number: int) -> tuple[bytes, str]:
    """A layer as a blob, and its media type."""
    way = number % 3 if kind == "buildx" else 2
    if way == 0:
        half = len(tar) // 2
        return gzip.compress(tar[:half], 1) + gzip.compress(tar[half:], 1), LAYER + "+gzip"
    if way == 1:
        done = subprocess.run(["zstd", "-q", "-c"], input=tar, stdout=subprocess.PIPE, check=True)
        return done.stdout, LAYER + "+zstd"
    return tar, LAYER


def saved(image: str) -> tuple[dict[str, Any], list[bytes]]:
    """The configuration and the unpacked layers of an image."""
    archive = subprocess.run(["docker", "save", image], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:

        def read(name: str) -> bytes:
            stream = members.extractfile(name)
            assert stream is not None
            return stream.read()

        (entry,) = json.loads(read("manifest.json"))
        blobs = [read(name) for name in entry["Layers"]]
        config: dict[str, Any] = json.loads(read(entry["Config"]))
    return config, [gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob for blob in blobs]


def main(kind: str, base: str, name: str) -> None:
    config, tars = saved(base)
    tars.append(tar_of("made", kind.encode()))
    if kind == "many":
        tars += [tar_of(f"layer-{n}", b"%d" % n) for n in range(LAYERS_OF_MANY - len(tars))]
    config["rootfs"]["diff_ids"] = [digest_of(tar) for tar in tars]
    config["history"] = [{"created_by": f"layer {n}"} for n in range(len(tars))]
    blobs: dict[str, bytes] = {}

    def described(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        blobs[digest_of(content)] = content
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}

    configured = described(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    layers = [described(*pack(tar, kind, number)) for number, tar in enumerate(tars)]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": configured, "layers": layers}
    top = described(json.dumps(manifest).encode(), MANIFEST)
    if kind == "buildx":
        statement = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(b"{}", "application/vnd.oci.image.config.v1+json"),
            "layers": [described(b'{"_type":"statement"}', "application/vnd.in-toto+json")],
        }
        attestation = described(
            json.dumps(statement).encode(),
            MANIFEST,
            platform={"architecture": "unknown", "os": "unknown"},
            annotations={
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": top["digest"],
            },
        )
        other = {"mediaType": MANIFEST, "digest": digest_of(b"arm64"), "size": 5}
        children = [
            dict(other, platform={"architecture": "arm64", "os": "linux"}),
            dict(top, platform={"architecture": config["architecture"], "os": "linux"}),
            attestation,
        ]
        index_type = "application/vnd.oci.image.index.v1+json"
        index = {"schemaVersion": 2, "mediaType": index_type, "manifests": children}
        top = described(json.dumps(index).encode(), index_type)
    named = dict(top, annotations={"io.containerd.image.name": f"docker.io/library/{name}"})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
        files.update({f"blobs/sha256/{digest[7:]}": content for digest, content in blobs.items()})
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    subprocess.run(["docker", "load"], input=out.getvalue(), check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
