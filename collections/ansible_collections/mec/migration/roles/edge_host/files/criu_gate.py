# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `runc restore` starts as `criu`: the real one, but a restore waits at the gate first.

runc's request waits in the socket meanwhile. It asks for the version and for features through the same
door, so we look at what is asked (criu_req.type, the first field of images/rpc.proto) without taking it.

Eventfds that CRIU would not make as they were (criu/eventfds.py of the collection's module_utils) are made
here: CRIU inherits them and takes them for open files of certain names.
"""

import ctypes
import fcntl
import json
import os
import socket
import sys

RESTORE = b"\x08\x02"
EFD_SEMAPHORE, EFD_NONBLOCK = 1, os.O_NONBLOCK


def make_eventfds(images: str, criu_config: str) -> None:
    """Make those that the source lists beside the images, and name them in CRIU's configuration."""
    try:
        with open(os.path.join(images, "eventfds.json"), encoding="ascii") as lines:
            listed = json.load(lines)
    except FileNotFoundError:
        return
    with open(criu_config, "a", encoding="ascii") as config:
        for file, counter, flags, semaphore in listed:
            made = ctypes.CDLL(None).eventfd(0, EFD_NONBLOCK | (EFD_SEMAPHORE if semaphore else 0))
            if made < 0:
                sys.exit("no eventfd could be made")
            if counter:
                os.write(made, counter.to_bytes(8, sys.byteorder))
            fcntl.fcntl(made, fcntl.F_SETFL, flags)
            config.write(f"inherit-fd fd[{made:d}]:mec-eventfd-{file:d}\n")


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
                if not gate.recv(1):
                    sys.exit("the migration was given up")
            make_eventfds(images_dir, config_path)
    os.execvp("criu", ["criu", *sys.argv[1:]])  # noqa: S606
