# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of Docker 29 and later, as its API's documents describe them (moby: api/docs/CHANGELOG.md)."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.docker.container_spec import (
    check_movable,
    specification,
)
from ansible_collections.mec.migration.plugins.module_utils.docker.engine import Engine, socket_path
from ansible_collections.mec.migration.plugins.module_utils.kernel import mountinfo
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import (
    Mount,
    root_upper_dir,
)
from ansible_collections.mec.migration.plugins.module_utils.service.service import upper_dir

FIXTURES = Path(__file__).parent / "fixtures"
SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"


def answer():
    return json.loads((FIXTURES / "api/container-1.52.json").read_text())


def overlay(options, point="/"):
    return Mount("0:52", "/", point, [], "overlay", "overlay", options)


def test_a_container_of_api_1_52_becomes_a_specification():
    check_movable(answer())
    spec = specification(answer())
    assert spec["name"] == "redis"
    assert spec["create"]["Image"] == "redis:8"
    assert spec["restart_policy"]["Name"] == "unless-stopped"
    assert spec["networks"] == {"bridge": {}}, "a MAC address that Docker made is not kept"


def test_no_port_binding_is_empty():
    """API 1.52 warns of an empty list, and a later one drops the port."""
    any_port = [{"HostIp": "", "HostPort": ""}]
    assert specification(answer())["create"]["HostConfig"]["PortBindings"] == {
        "6379/tcp": any_port,
        "6380/tcp": any_port,
        "6381/tcp": [{"HostIp": "", "HostPort": "6381"}],
    }


@pytest.mark.parametrize("driver", [None, {"Name": "overlayfs", "Data": None}])
def test_the_writable_layer_without_data_of_a_driver(monkeypatch, driver):
    """``lowerdir`` is shortened where there are many layers, ``upperdir`` is not."""
    inspected = answer()
    if driver is not None:
        inspected["GraphDriver"] = driver
    options = f"rw,lowerdir=104/fs:103/fs,upperdir={SNAPSHOTS}/105/fs,workdir={SNAPSHOTS}/105/work"
    seen = []
    below = overlay("rw,upperdir=/other", "/data")
    monkeypatch.setattr(mountinfo, "mounts", lambda pid: seen.append(pid) or [overlay(options), below])
    assert upper_dir(inspected, 4711) == f"{SNAPSHOTS}/105/fs"
    assert seen == [4711]


def test_overlay2_names_its_writable_layer():
    inspected = json.loads((FIXTURES / "inspect/redis.json").read_text())
    assert upper_dir(inspected, 1) == inspected["GraphDriver"]["Data"]["UpperDir"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (r"rw,upperdir=/a\040b\134c,workdir=/w", r"/a b\c"),
        (r"rw,upperdir=/a\054b", "/a,b"),
        ("ro,lowerdir=/l", ""),
    ],
)
def test_the_directory_that_an_overlay_writes_to(monkeypatch, options, expected):
    monkeypatch.setattr(mountinfo, "mounts", lambda pid: [overlay("rw,upperdir=/covered"), overlay(options)])
    assert root_upper_dir(1) == expected


def test_docker_host(monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert socket_path() == "/var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert socket_path() == "/run/other.sock"
    for elsewhere in ("tcp://10.0.0.1:2375", "ssh://root@edge-a", "npipe://x"):
        monkeypatch.setenv("DOCKER_HOST", elsewhere)
        with pytest.raises(PreflightError, match=r"UNIX socket"):
            socket_path()


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        ("500 Oops", b'{"message": "no space"}', "no space"),
        ("404 Not Found", b"[]", "/info"),
        ("200 OK", b"not json", "no answer that can be read"),
        ("200 OK", b"[" * 100_000, "no answer that can be read"),
    ],
)
def test_an_answer_that_is_none(tmp_path, status, body, word):
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            connection, _peer = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(
                    f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )

        threading.Thread(target=serve, daemon=True).start()
        engine = Engine(path)
        with pytest.raises(OSError, match=word):
            engine.get("/info")
        engine.close()
