# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that Docker writes for each container, and whether somebody has changed them since."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

# What Docker's own libnetwork begins /etc/hosts with. It had fe00::0 before 26 and fe00:: since, and leaves
# lines out where there is no IPv6.
ALWAYS = (
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    "fe00::0 ip6-localnet",
    "fe00:: ip6-localnet",
    "ff00::0 ip6-mcastprefix",
    "ff00:: ip6-mcastprefix",
    "ff02::1 ip6-allnodes",
    "ff02::2 ip6-allrouters",
)
DOCKERS_RESOLVER = "127.0.0.11"
MOST_BYTES = 1 << 20
MOST_SHOWN = 3


def changed_files(inspected: dict[str, Any]) -> list[str]:
    """Which of them are not as Docker wrote them, and what is different, in words.

    A file that the user has mounted there is not one of Docker's.

    :param inspected: the answer of ``GET /containers/(id)/json``.
    """
    mounted = {mount["Destination"] for mount in inspected.get("Mounts") or []}
    found = []
    for path, look in (
        ("/etc/hosts", _hosts),
        ("/etc/hostname", _hostname),
        ("/etc/resolv.conf", _resolver),
    ):
        if path not in mounted:
            # Not all runtimes and states have them.
            with contextlib.suppress(OSError, ValueError):
                what = look(inspected)
                if what:
                    found.append(f"{path} ({what})")
    return found


def _hosts(inspected: dict[str, Any]) -> str:
    added = [line for line in _lines(_read(inspected["HostsPath"])) if not _is_dockers(line, inspected)]
    shown = ", ".join(f"`{line}`" for line in added[:MOST_SHOWN])
    more = f" and {len(added) - MOST_SHOWN} more" if len(added) > MOST_SHOWN else ""
    return f"lines were added: {shown}{more}" if added else ""


def _hostname(inspected: dict[str, Any]) -> str:
    name, wanted = _read(inspected["HostnamePath"]).decode().strip(), inspected["Config"]["Hostname"]
    return f"it is `{name}`, not `{wanted}`" if wanted and name != wanted else ""


def _resolver(inspected: dict[str, Any]) -> str:
    """Docker notes a digest of what it writes there first.

    On a network of the user's own it names its own resolver later, and notes no new digest.
    """
    path = inspected["ResolvConfPath"]
    content, written = _read(path), _read(f"{path}.hash").decode().strip().rpartition(":")[2]
    if not written or hashlib.sha256(content).hexdigest() == written:
        return ""
    servers = {line for line in _lines(content) if line.startswith("nameserver ")}
    return "" if servers == {f"nameserver {DOCKERS_RESOLVER}"} else "it was edited"


def _is_dockers(line: str, inspected: dict[str, Any]) -> bool:
    """Whether Docker adds *line* for this container; it adds it on the target, too, or one with the address
    there."""
    address, _space, names = line.partition(" ")
    config = inspected["HostConfig"]
    # Of "name:address", where the address can be `host-gateway`; of "/db:/web/alias".
    asked = [str(each).partition(":")[::2] for each in config.get("ExtraHosts") or []]
    linked = {str(each).rpartition("/")[2] for each in config.get("Links") or []}
    return (
        line in ALWAYS
        or any(names == name and where.strip("[]") in (address, "host-gateway") for name, where in asked)
        or names.partition(" ")[0] in linked
        or address in _own_addresses(inspected)
        # With the network of its host it gets a copy of the host's file.
        or (config.get("NetworkMode") == "host" and line in _lines(_read("/etc/hosts")))
    )


def _own_addresses(inspected: dict[str, Any]) -> set[str]:
    networks = (inspected["NetworkSettings"].get("Networks") or {}).values()
    return {str(one.get(key)) for one in networks for key in ("IPAddress", "GlobalIPv6Address")}


def _lines(content: bytes) -> Iterator[str]:
    """Those that mean something, with single spaces."""
    for line in content.decode(errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield " ".join(words)


def _read(path: str) -> bytes:
    """:raises OSError: it cannot be read, or there is none."""
    if not path:
        raise FileNotFoundError
    with open(path, "rb") as content:
        return content.read(MOST_BYTES)
