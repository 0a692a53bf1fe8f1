# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image store a Docker daemon has, and where it is."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from ..base.errors import PreflightError
from ..kernel.processes import descriptors
from .containerd import ContainerdStore
from .overlay2 import Overlay2Store
from .store import OVERLAY2, ImageStore, keeps_in_containerd

SNAPSHOTTER = "overlayfs"
METADATA = "/io.containerd.metadata.v1.bolt/meta.db"
CREDENTIALS = struct.Struct("3i")


def open_store(client: Any) -> ImageStore:
    """The store of the daemon that *client* (``docker.APIClient``) talks to.

    :raises PreflightError: the daemon keeps its images in a way that is not supported, or not here.
    """
    info = client.info()
    by_containerd = keeps_in_containerd(info)
    problem = store_problem(str(info.get("Driver")), by_containerd=by_containerd)
    if problem:
        raise PreflightError(f"Docker on this host {problem}", phase="image")
    if not by_containerd:
        return Overlay2Store(client, info["DockerRootDir"])
    root = containerd_root(info)
    if root is None:
        raise PreflightError(
            "Docker on this host keeps its images in containerd, but no content store is to be seen on this "
            f"host: tried {', '.join(_roots(info))}. Is this the host that the daemon runs on "
            "(DOCKER_HOST), and does this user run as root?",
            phase="image",
        )
    return ContainerdStore(client, info, root)


def store_problem(driver: str, *, by_containerd: bool) -> str:
    """Why images of a daemon cannot be moved, as the rest of a sentence; empty where they can.

    :param driver: Docker's storage driver, or with *by_containerd* containerd's snapshotter.
    """
    if driver == (SNAPSHOTTER if by_containerd else OVERLAY2):
        return ""
    if by_containerd and driver == OVERLAY2:
        return (
            "keeps its images in containerd and was told to use storage driver overlay2, which containerd "
            'does not have. Take "storage-driver" out of /etc/docker/daemon.json (and --storage-driver out '
            "of its options) and restart Docker"
        )
    if by_containerd:
        return (
            f"keeps its images in containerd ({driver}); of containerd's snapshotters {SNAPSHOTTER} is "
            f'supported. Set "storage-driver": "{SNAPSHOTTER}" in /etc/docker/daemon.json, restart Docker '
            "and load the images again"
        )
    return (
        f"uses storage driver {driver}; needed is overlay2, or containerd's image store. Set "
        '"storage-driver": "overlay2" in /etc/docker/daemon.json, restart Docker and load the images again'
    )


def containerd_root(info: Mapping[str, Any]) -> str | None:
    """The directory of the containerd that the daemon uses, None where it is not on this host."""
    for root in _roots(info):
        # The directory of blobs is not there before the first image has come.
        if os.path.isdir(root + os.path.dirname(METADATA)):
            return root
    return None


def _roots(info: Mapping[str, Any]) -> list[str]:
    address = str((info.get("Containerd") or {}).get("Address") or "")
    return [
        *_roots_of_server(address),
        os.path.join(str(info.get("DockerRootDir") or "/var/lib/docker"), "containerd", "daemon"),
        "/var/lib/containerd",
    ]


def _roots_of_server(address: str) -> Iterator[str]:
    """The directory whose database the process behind a socket has open."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(address)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        for _number, path in descriptors(CREDENTIALS.unpack(credentials)[0]):
            if path.endswith(METADATA):
                yield path[: -len(METADATA)]
