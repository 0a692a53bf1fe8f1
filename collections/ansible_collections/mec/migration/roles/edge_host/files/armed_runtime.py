# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime calls of an armed container: `create` waits for the images and restores from them.

Docker has then paid its whole start path (rootfs, network, cgroup, shim) before the source is frozen.
The receiver of the migration listens on /run/mec-migration/armed/<container id>; the two speak lines
of JSON. Without a receiver, or with an abort from it, `create` fails and nothing has run.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from typing import Any

ARMED_DIR = "/run/mec-migration/armed"
OPTIONS_WITH_VALUE = ("--root", "--log", "--log-format", "--criu", "--rootless", "--bundle", "--pid-file")
CLONE_NEWNET = 0x40000000
ETH_P_ARP, SIOCGIFADDR = 0x0806, 0x8915


def parse(argv: list[str]) -> tuple[list[str], str, dict[str, str], str]:
    """Split a runtime call into global options, command, the command's options and the container's id."""
    options: list[str] = []
    command = ""
    values: dict[str, str] = {}
    index = 0
    while index < len(argv) - 1:
        word = argv[index]
        name, has_value, value = word.partition("=")
        taken = [word]
        if not word.startswith("-"):
            command = command or word
            taken = []
        elif not has_value and name in OPTIONS_WITH_VALUE:
            index += 1
            value = argv[index]
            taken.append(value)
        if command:
            if word.startswith("-"):
                values[name] = value
        else:
            options += taken
        index += 1
    return options, command, values, argv[-1]


def fail(options: list[str], message: str) -> int:
    """Tell containerd, which shows the last line of the runtime's log to the user."""
    for name, value in zip(options, options[1:]):
        if name == "--log":
            with open(value, "a", encoding="utf-8") as log:
                log.write(json.dumps({"level": "error", "msg": message}) + "\n")
    print(message, file=sys.stderr)
    return 1


def use_criu_config(bundle: str, path: str) -> None:
    """Name CRIU's configuration file in the bundle; runc hands it on (annotation org.criu.config)."""
    config_path = os.path.join(bundle, "config.json")
    with open(config_path, encoding="utf-8") as config_file:
        config = json.load(config_file)
    config["annotations"] = dict(config.get("annotations") or {}, **{"org.criu.config": path})
    with open(config_path, "w", encoding="utf-8") as config_file:
        json.dump(config, config_file)


def announce(pid: int) -> None:
    """Say in the container's network where its address is now, by a gratuitous ARP on each interface.

    Clients that tried the address before it was there have left the host with an unresolved neighbour,
    for which it would ask again only after up to a second.
    """
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        return
    for _index, name in socket.if_nameindex():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link, contextlib.suppress(OSError):
            link.bind((name, ETH_P_ARP))
            mac = link.getsockname()[4]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
                answer = fcntl.ioctl(query.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
            address = answer[20:24]
            if len(mac) == 6 and any(mac):
                head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
                link.send(head + mac + address + bytes(6) + address)


def create(options: list[str], values: dict[str, str], container_id: str) -> int:
    """Report to the receiver, wait for its word, restore."""
    bundle = values["--bundle"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.path.join(ARMED_DIR, container_id))
            stream = connection.makefile("rw", encoding="utf-8")
            stream.write(json.dumps({"event": "waiting", "bundle": bundle, "pid": os.getpid()}) + "\n")
            stream.flush()
            line = stream.readline()
        except OSError as error:
            return fail(options, f"mec-runtime: the migration's receiver is gone: {error}")
        if not line:
            return fail(options, "mec-runtime: the migration's receiver ended before the images came")
        order: dict[str, Any] = json.loads(line)
        if order.get("command") != "restore":
            return fail(options, f"mec-runtime: migration aborted: {order.get('reason', 'no reason given')}")
        use_criu_config(bundle, order["criu_config"])
        argv = ["runc", *options, "restore", "--detach", "--empty-ns", "network"]
        argv += ["--image-path", order["images"], "--work-path", order["work"]]
        if order.get("lazy"):
            argv += ["--lazy-pages"]
        argv += ["--bundle", bundle, "--pid-file", values["--pid-file"], container_id]
        # The service is frozen while this runs. CRIU gives the restored processes their own priority back.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -15)
        start = time.monotonic()
        code = subprocess.run(argv, check=False).returncode
        if code == 0:
            # Before Docker 28 the network is there by now; from 28 on Docker announces it itself.
            with (
                contextlib.suppress(OSError, ValueError),
                open(values["--pid-file"], encoding="ascii") as pid,
            ):
                announce(int(pid.read()))
        report = {"event": "restored", "code": code, "restore_ms": (time.monotonic() - start) * 1000}
        try:
            stream.write(json.dumps(report) + "\n")
            stream.flush()
        except OSError:
            # The service runs; whoever asks next finds it by looking at Docker.
            pass
        return code


def main() -> int:
    options, command, values, container_id = parse(sys.argv[1:])
    if command == "create":
        return create(options, values, container_id)
    if command == "start":
        # Restored processes run already.
        return 0
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
