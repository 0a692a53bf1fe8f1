# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings below /proc/sys/net of a process's network that are not as in a new one.

What is there depends on the network namespace of the thread that looks. Settings of single interfaces and
neighbours are left out, so are the packet filter's, most of which are counters.
"""

from __future__ import annotations

import contextlib
import os

from .namespaces import asked_in, asked_in_new

ROOT = "/proc/sys/net"
DIRECTORIES = ("core", "ipv4", "ipv6", "unix")


def changed_settings(pid: int, given: dict[str, str]) -> list[str]:
    """Names, such as ``net.ipv4.ip_forward``, of what differs from a new network and from what was *given*.

    :param given: what the container engine sets, by those names.
    :raises OSError: the process is gone, or this host lets nobody look.
    """
    here = asked_in(pid, "net", _read)
    fresh = asked_in_new("net", _read)
    return sorted(
        name for name, value in here.items() if name in fresh and value not in (fresh[name], given.get(name))
    )


def _read() -> dict[str, str]:
    found = {}
    for directory in DIRECTORIES:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"{ROOT}/{directory}"):
                # Some can be written only, or hold a secret that is another one each time.
                if entry.is_file() and not entry.name.endswith("_key"):
                    with contextlib.suppress(OSError), open(entry.path, encoding="ascii") as value:
                        found[f"net.{directory}.{entry.name}"] = " ".join(value.read().split())
    return found
