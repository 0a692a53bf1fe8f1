# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that the kernel keeps for programs (keyrings(7))."""

from __future__ import annotations

import contextlib


def session_keys(container_id: str) -> int:
    """How many keys there are in the session keyring that runc gives each container, by the name of its id.

    Keyrings of threads, processes and users have no such name, so that nobody can tell whose they are.
    """
    found = 0
    # ID Flags Usage Timeout Permissions UID GID Type Description, of a keyring `name: keys`, or `name: empty`
    with contextlib.suppress(OSError), open("/proc/keys", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            # Several where `docker exec` could not join the first one.
            if words[7:9] == ["keyring", f"_ses.{container_id}:"] and words[9:] and words[9].isdigit():
                found += int(words[9])
    return found
