# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layers an image has, which a host holds, and what one lacks of the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .opened import open_store
from .store import ImageStore, StoredImage, chain_ids, store_type


def describe(store: ImageStore, image: StoredImage) -> dict[str, Any]:
    """An image with its layers, bottom first.

    :returns: ``id`` (the digest of its configuration, the same on every host), ``local_id`` (what Docker on
        this host calls it), ``references``, ``size_bytes`` and ``layers``, each with ``diff_id``,
        ``chain_id`` and ``size_bytes`` (of its files).
    """
    sizes = store.layer_sizes(image)
    layers = [
        {"diff_id": diff_id, "chain_id": chain_id, "size_bytes": size_bytes}
        for diff_id, chain_id, size_bytes in zip(image.diff_ids, chain_ids(image.diff_ids), sizes)
    ]
    return {
        "id": image.id,
        "local_id": image.local_id,
        "references": list(image.references),
        "size_bytes": sum(sizes),
        "layers": layers,
    }


def image_info(store: ImageStore, name: str) -> dict[str, Any]:
    """As :func:`describe`, of the image that *name* means here.

    :raises PreflightError: the host has no such image.
    """
    return describe(store, store.image(name))


def host_layers_info(client: Any, names: Iterable[str]) -> dict[str, Any]:
    """What ``image_layers_info`` returns: the store, the images asked for, every layer held.

    :raises PreflightError: an image is not there, or the store is of another kind.
    """
    info = client.info()
    store = open_store(client)
    held = store.held()
    return {
        "store": store_type(info),
        "docker_version": str(info.get("ServerVersion", "")),
        "images": [image_info(store, name) for name in names],
        "diff_ids": sorted(set(held.values())),
        "chain_ids": sorted(held),
    }


def layer_diff(
    image: Mapping[str, Any], held_diff_ids: Iterable[str], held_references: Mapping[str, str]
) -> dict[str, Any]:
    """What a host that holds *held_diff_ids* lacks of *image*; no host is asked.

    :param image: as :func:`image_info` returns it.
    :param held_references: image id by reference on that host, for those references that it has.
    :returns: ``missing_layers`` and ``present_layers`` (each diff id once), ``missing_bytes``,
        ``missing_references``.
    """
    held = set(held_diff_ids)
    missing: list[Mapping[str, Any]] = []
    present: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    for layer in image["layers"]:
        if layer["diff_id"] not in seen:
            seen.add(layer["diff_id"])
            (present if layer["diff_id"] in held else missing).append(layer)
    return {
        "missing_layers": missing,
        "present_layers": present,
        "missing_bytes": sum(layer["size_bytes"] for layer in missing),
        "missing_references": [
            reference for reference in image["references"] if held_references.get(reference) != image["id"]
        ],
    }


def sync_reason(image: Mapping[str, Any], difference: Mapping[str, Any], *, has_image: bool) -> str:
    """Why the image must be synchronised, as a sentence; empty where it is there already."""
    if not has_image:
        missing, present = difference["missing_layers"], difference["present_layers"]
        return (
            f"{image['id']} is not on the target: {len(missing)} of {len(missing) + len(present)} "
            f"layers are missing, {difference['missing_bytes']} bytes"
        )
    if difference["missing_references"]:
        return f"on the target {', '.join(difference['missing_references'])} is not {image['id']}"
    return ""


def shown_difference(result: Mapping[str, Any]) -> dict[str, str]:
    """What ``--diff`` shows of an image's way: the target's layers before and after."""
    missing = set(result["layers_missing"])
    lines = {
        layer["diff_id"]: f"{layer['diff_id']} {layer['size_bytes']} bytes\n"
        for layer in result["image_info"]["layers"]
    }
    before = [line for diff_id, line in lines.items() if diff_id not in missing]
    names = f"image {result['image_info']['id']}\n" if result["changed"] else ""
    return {
        "before_header": "layers on the target",
        "after_header": f"layers on the target, {result['layer_bytes']} bytes more",
        "before": "".join(before),
        "after": "".join(lines.values()) + names,
    }
