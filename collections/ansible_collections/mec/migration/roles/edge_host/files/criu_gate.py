# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `runc restore` starts as `criu`: the real one, but a restore waits at the gate first.

runc's request waits in the socket meanwhile. It asks for the version and for features through the same
door, so we look at what is asked (criu_req.type, the first field of images/rpc.proto) without taking it.
"""

import os
import socket
import sys

RESTORE = b"\x08\x02"

if __name__ == "__main__":
    # The first in MEC_PATH is the real one: this directory is not in it.
    os.environ["PATH"] = os.environ.pop("MEC_PATH", os.defpath)
    gate_path = os.environ.pop("MEC_GATE", "")
    if sys.argv[1:2] == ["swrk"] and gate_path:
        with socket.socket(fileno=os.dup(int(sys.argv[2]))) as request:
            wanted = request.recv(2, socket.MSG_PEEK)
        if wanted == RESTORE:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gate:
                gate.connect(gate_path)
                if not gate.recv(1):
                    sys.exit("the migration was given up")
    os.execvp("criu", ["criu", *sys.argv[1:]])  # noqa: S606
