# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `runc restore` starts as `criu`: the real one, but a restore waits at the gate first.

runc's request waits in the socket meanwhile. It asks for the version and for features through the same
door, so we look at what is asked (criu_req.type, the first field of images/rpc.proto) without taking it.

Meanwhile it makes pages of shared memory: it is in the container's cgroup, to which they are charged so.
Lines of JSON say which; an empty line lets the restore begin.

CRIU inherits open files from here and takes them for those of certain names: eventfds that it would not make
as they were (criu/eventfds.py of the collection's module_utils), and shared memory that is filled already
(criu/given_segments.py).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import sys
from typing import Any

RESTORE = b"\x08\x02"
EFD_SEMAPHORE, EFD_NONBLOCK = 1, os.O_NONBLOCK


def listed(images: str, name: str) -> list[list[Any]]:
    """What was listed under this name beside the images; nothing if there is no such list."""
    try:
        with open(os.path.join(images, name), encoding="utf-8") as lines:
            return list(json.load(lines))
    except FileNotFoundError:
        return []


def configure(criu_config: str, line: str) -> None:
    """Add a line to CRIU's configuration."""
    with open(criu_config, "a", encoding="utf-8") as config:
        config.write(f"{line}\n")


def make_eventfds(images: str, criu_config: str) -> None:
    """Make those that the source lists, and name them in CRIU's configuration."""
    for file, counter, flags, semaphore in listed(images, "eventfds.json"):
        made = ctypes.CDLL(None).eventfd(0, EFD_NONBLOCK | (EFD_SEMAPHORE if semaphore else 0))
        if made < 0:
            sys.exit("no eventfd could be made")
        if counter:
            os.write(made, counter.to_bytes(8, sys.byteorder))
        fcntl.fcntl(made, fcntl.F_SETFL, flags)
        configure(criu_config, f"inherit-fd fd[{made:d}]:mec-eventfd-{file:d}")


def open_segments(images: str, criu_config: str) -> None:
    """Open the shared memory that the target lists, and name it in CRIU's configuration."""
    for path, name, flags, position in listed(images, "given_segments.json"):
        opened = os.open(path, flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK))
        os.lseek(opened, position, os.SEEK_SET)
        os.set_inheritable(opened, True)
        configure(criu_config, f"inherit-fd fd[{opened:d}]:/memfd:{name}")


def have_called(images: str, criu_config: str) -> None:
    """Have CRIU call what fills System V's shared memory, and the agent, if the target asks for that."""
    lists = {"MEC_SYSTEM_V": "system_v.json", "MEC_BEFORE_RESUME": "before_resume"}
    found = {name: os.path.join(images, file) for name, file in lists.items()}
    found = {name: path for name, path in found.items() if os.path.exists(path)}
    if found:
        os.environ.update(found)
        configure(criu_config, f"action-script {os.path.dirname(os.path.realpath(__file__))}/criu_actions")


def allocate(segments: list[tuple[str, list[tuple[int, int]]]]) -> str:
    """Make pages of shared memory; returns why it could not, or nothing.

    :param segments: path of each, and pairs of start and end.
    """
    try:
        for path, ranges in segments:
            opened = os.open(path, os.O_RDWR)
            try:
                for start, end in ranges:
                    os.posix_fallocate(opened, start, end - start)
            finally:
                os.close(opened)
    except OSError as error:
        return str(error)
    return ""


def wait_at(gate: socket.socket) -> None:
    """Until the restore may begin."""
    with gate.makefile("rw", encoding="utf-8") as stream:
        for line in stream:
            if not line.strip():
                return
            stream.write(allocate(json.loads(line)) + "\n")
            stream.flush()
    sys.exit("the migration was given up")


if __name__ == "__main__":
    # The first in MEC_PATH is the real one: this directory is not in it.
    os.environ["PATH"] = os.environ.pop("MEC_PATH", os.defpath)
    gate_path = os.environ.pop("MEC_GATE", "")
    images_dir, config_path = os.environ.pop("MEC_IMAGES", ""), os.environ.pop("MEC_CRIU_CONFIG", "")
    if sys.argv[1:2] == ["swrk"] and gate_path:
        with socket.socket(fileno=os.dup(int(sys.argv[2]))) as request:
            wanted = request.recv(2, socket.MSG_PEEK)
        if wanted == RESTORE:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gate:
                gate.connect(gate_path)
                wait_at(gate)
            make_eventfds(images_dir, config_path)
            open_segments(images_dir, config_path)
            have_called(images_dir, config_path)
    os.execvp("criu", ["criu", *sys.argv[1:]])  # noqa: S606
