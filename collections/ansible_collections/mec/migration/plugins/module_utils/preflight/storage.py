# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a container: volumes and bind mounts, and the storage that both hosts may share."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from ..docker.container_spec import device_of
from ..kernel.mountinfo import is_below
from ..kernel.storage import SHARED_KINDS, Storage
from .pair import Facts, Pair

Mount = dict[str, Any]


def create_command(mount: Mount) -> str:
    """The command that makes the same volume."""
    words = ["docker", "volume", "create"]
    if mount.get("driver") not in (None, "", "local"):
        words += ["--driver", mount["driver"]]
    for option, values in (("--opt", mount.get("options")), ("--label", mount.get("labels"))):
        for key, value in sorted((values or {}).items()):
            words += [option, f"{key}={value}"]
    return shlex.join([*words, mount["name"]])


def _volume(host: Facts, name: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = [one for one in host["docker"]["volumes"] if one["name"] == name]
    return found[0] if found else None


def _storage(host: Facts, path: str) -> Storage | None:
    fields = host.get("storage", {}).get(path)
    return Storage(**fields) if fields else None


def shared_storage(pair: Pair, mount: Mount) -> str:
    """In words, the storage of *mount* that both hosts have; empty if each has its own."""
    options = mount.get("options") or {}
    kind = str(options.get("type") or "")
    if mount["type"] == "volume" and kind in SHARED_KINDS:
        other = _volume(pair.target, mount["name"])
        same = other is None or (other.get("options") or {}) == options
        return f"{kind} {options.get('device', '')}".strip() if same else ""
    path = device_of(mount)
    here, there = _storage(pair.source, path), _storage(pair.target, path)
    if path and here is not None and there is not None and here.is_same(there):
        return f"{here.kind} {here.location}"
    return ""


def size_problems(pair: Pair) -> Iterator[str]:
    """Only overlay2 over XFS with project quotas limits the size of a writable layer."""
    options = pair.container.host_config.get("StorageOpt") or {}
    backing = pair.target["docker"].get("backing_file_system", "")
    if options.get("size") and backing and backing != "xfs":
        yield (
            f"the writable layer of container {pair.container.name} is limited to {options['size']} "
            f"(--storage-opt), for which Docker needs XFS with project quotas; on {pair.target['hostname']} "
            f"it writes to {backing}. Keep Docker's directory there on such a file system, or start the "
            "container without the limit"
        )


def mount_problems(pair: Pair) -> Iterator[str]:
    container, target = pair.container, pair.target
    # Docker makes the source of `-v`, but not of `--mount type=bind`.
    not_made = {mount["Target"] for mount in container.host_config.get("Mounts") or []}
    for mount in container.spec["mounts"]:
        moved = mount["destination"] in container.moved
        absent = target["paths"].get(mount["source"]) == "absent"
        if mount["type"] == "bind" and absent and not (moved and mount["destination"] not in not_made):
            yield (
                f"container {container.name} has {mount['source']} mounted at {mount['destination']}; "
                f"{target['hostname']} has no such path. Create it there"
                + (
                    ""
                    if moved
                    else f", or let its content move, too (`move_binds: [{mount['destination']}]`)"
                )
            )
        if mount["type"] == "volume":
            yield from _volume_problems(pair, mount)
            yield from _subpath_problems(pair, mount)


def shareable_problems(pair: Pair) -> Iterator[str]:
    """Docker mounts it from outside then, so it is no file system of the container's own."""
    container = pair.container
    if container.shareable:
        count = len(container.shareable)
        yield (
            f"container {container.name} has {count} entries in a /dev/shm that others may share "
            f"(`--ipc shareable`), for example {container.shareable[0]}; its content does not move. Start "
            "the container with `--ipc private`, or let the service put nothing there"
        )


def staying_file_problems(pair: Pair) -> Iterator[str]:
    """CRIU opens a file by its name, and takes none of other permissions or of another size."""
    there, name = pair.target["files"], pair.target["hostname"]
    binds = [mount for mount in pair.container.spec["mounts"] if mount["type"] == "bind"]
    shared = [mount["source"] for mount in binds if shared_storage(pair, mount)]
    for file in pair.container.staying_files:
        if any(is_below(file.path, source) for source in shared):
            continue
        what = (
            f"container {pair.container.name} uses {file.path}, which does not move with it (a bind mount); "
        )
        remedy = "Have the same there, or let the mount's content move, too (`move_binds`)"
        found = there.get(file.path)
        if pair.target["paths"].get(file.path) == "absent":
            yield f"{what}it is not there on {name}. {remedy}"
        elif found and found["mode"] != file.mode:
            yield f"{what}its mode is {file.mode:o} here and {found['mode']:o} on {name}. {remedy}"
        elif found and file.size_bytes not in (-1, found["size_bytes"]):
            sizes = f"{file.size_bytes} bytes here and {found['size_bytes']} on {name}"
            yield f"{what}it has {sizes}, of which CRIU would take it for another file. {remedy}"


def _subpath_problems(pair: Pair, mount: Mount) -> Iterator[str]:
    """Docker starts no container while a part of a volume is missing, and content comes after the start."""
    for wanted in pair.container.host_config.get("Mounts") or []:
        subpath = (wanted.get("VolumeOptions") or {}).get("Subpath")
        if wanted["Target"] == mount["destination"] and subpath and not shared_storage(pair, mount):
            yield (
                f"container {pair.container.name} has the part {subpath} of volume {mount['name']} mounted "
                f"at {mount['destination']} (`volume-subpath`), which is not there on "
                f"{pair.target['hostname']} when Docker starts the container that waits for its content. "
                "Mount the whole volume, or use one of its own"
            )


def _volume_problems(pair: Pair, mount: Mount) -> Iterator[str]:
    target, name = pair.target, mount["name"]
    driver = mount["driver"] or "local"
    if driver != "local" and driver not in target["docker"]["volume_plugins"]:
        yield (
            f"volume {name} of container {pair.container.name} needs the volume driver {driver}, which "
            f"{target['hostname']} does not have. Install that plugin"
        )
        return
    there = _volume(target, name)
    if there is None:
        device = device_of(mount)
        if device and target["paths"].get(device) == "absent":
            yield (
                f"volume {name} of container {pair.container.name} is {device} of its host; "
                f"{target['hostname']} has no such path. Create it there"
            )
        return
    if there["driver"] != driver:
        yield (
            f"{target['hostname']} has a volume {name} already, of driver {there['driver']}; on "
            f"{pair.source['hostname']} it is {driver}. Remove or rename it"
        )
    elif (there.get("options") or {}) != (mount.get("options") or {}):
        yield (
            f"{target['hostname']} has a volume {name} already, with other driver options "
            f"({_options(there)}) than on {pair.source['hostname']} ({_options(mount)}). Remove it, or make "
            f"it anew: `{create_command(mount)}`"
        )
    elif mount["destination"] in pair.container.moved and not shared_storage(pair, mount):
        users = _users(target, name, running=True)
        if users:
            yield (
                f"{target['hostname']} has a volume {name} already, which container {users[0]} uses there; "
                "the content would be replaced under it. Stop that container, or rename one of the volumes"
            )


def _options(volume: dict[str, Any]) -> str:
    options = volume.get("options") or {}
    return ", ".join(f"{key}={value}" for key, value in sorted(options.items())) or "none"


def _users(host: Facts, name: str, *, running: bool, but: str = "") -> list[str]:
    """Names of the containers that have the volume, or the host's path, *name* mounted."""
    return sorted(
        container["name"]
        for container in host["docker"]["containers"]
        if name in container.get("mounts", ())
        and container["id"] != but
        and (not running or container["state"] == "running")
    )


def mount_warnings(pair: Pair) -> Iterator[str]:
    """What becomes of the mounts, where that may surprise."""
    source, target, spec = pair.source, pair.target, pair.container.spec
    for mount in spec["mounts"]:
        moved = mount["destination"] in pair.container.moved
        called = f"volume {mount['name']}" if mount["type"] == "volume" else f"bind mount {mount['source']}"
        shared = shared_storage(pair, mount)
        if shared and (moved or mount["type"] == "volume"):
            yield (
                f"{called} is on storage that both hosts share ({shared}): its content is left alone, not "
                "copied"
            )
            continue
        if mount["type"] == "volume":
            yield from _volume_warnings(pair, mount, called)
        elif mount["type"] == "bind" and not moved:
            known = mount["source"] in target["paths"]
            yield (
                f"bind mount {mount['source']} does not move; what {target['hostname']} has there is used"
                + ("" if known else " (not checked: name it in `paths` of edge_host_info)")
            )
        if moved and mount["writable"]:
            name = mount["name"] if mount["type"] == "volume" else mount["source"]
            users = _users(source, name, running=True, but=spec["id"])
            if users:
                yield (
                    f"{called} is also mounted in container {users[0]} on {source['hostname']}: from the "
                    "move on each of the two has a content of its own"
                )


def _volume_warnings(pair: Pair, mount: Mount, called: str) -> Iterator[str]:
    target = pair.target
    there = _volume(target, mount["name"])
    if mount["driver"] not in ("", "local"):
        yield (
            f"{called} is of driver {mount['driver']} and is not copied: the driver on "
            f"{target['hostname']} must bring the same content"
        )
        return
    if there is None:
        return
    if mount["destination"] in pair.container.moved and there.get("entries", 0):
        yield (
            f"{called} is there on {target['hostname']} and is not empty ({there['entries']} entries); its "
            "content is replaced"
        )
    if (there.get("labels") or {}) != (mount.get("labels") or {}):
        yield f"{called} is there on {target['hostname']} with other labels, which stay as they are"
