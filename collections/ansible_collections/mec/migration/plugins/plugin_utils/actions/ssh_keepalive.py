# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that notice when a host has lost its power.

Nothing comes from such a host any more, not even the end of the connection. Unless ssh asks it from time to
time whether it is still there (``ServerAliveInterval``, off by default), a task waits for the kernel's own
keepalive, which takes two hours.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ansible.utils.display import Display

display = Display()

# Given up after two minutes: long enough for a network that comes back.
ASKS = "-o ServerAliveInterval=15 -o ServerAliveCountMax=8"
ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
SHARED = (
    "Tasks share connections of SSH by a control path of your own. One that another task has opened may not "
    "ask whether its host is still there: if a host loses its power in a move, that is noticed hours later. "
    f"Put `{ASKS}` into ssh_args (ansible.cfg, section ssh_connection)"
)
# What Ansible's control_path begins with, for its control_path_dir.
DIRECTORY = "%(directory)s/"


def keep_asking(connection: Any) -> None:
    """Have ssh ask the host of this task, unless the user's own arguments for ssh say how.

    :param connection: of Ansible, for a task; one of another kind than SSH is left as it is.

    Tasks share one connection to a host, and ask as the first of them said that made it. So those of this
    collection have one of their own. Where the user has said which one is shared it stays that, as it may be
    one that only a person can open, and the user is told.
    """
    if getattr(connection, "transport", "") != "ssh":
        return
    try:
        given = [connection.get_option(name) or "" for name in ARGUMENTS]
    except KeyError:
        # Somebody else's, which runs ssh in a way of its own.
        return
    words = " ".join(given).lower()
    if "serveraliveinterval" in words:
        return
    connection.set_option("ssh_common_args", f"{given[1]} {ASKS}".strip())
    named = connection.get_option("control_path")
    if re.search(r"controlpath[= ]+(?!none)", words) or (named and "controlpersist" in words):
        display.warning(SHARED)
    elif not named:
        whose = "-".join(str(connection.get_option(name)) for name in ("host", "port", "remote_user"))
        # As long as the names that Ansible gives: the path of a socket has little room.
        name = hashlib.sha256(f"mec.migration-{whose}".encode()).hexdigest()[:10]
        connection.set_option("control_path", DIRECTORY + name)
