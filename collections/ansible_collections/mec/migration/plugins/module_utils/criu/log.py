# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRIU's logs say, and what to do about it."""

from __future__ import annotations

import re

TAIL_LINES = 12
# Said where CAP_SYS_RESOURCE is missing; CRIU goes on.
HARMLESS = r"Can't setup RLIMIT_NOFILE"
# Patterns, and what to do where one is found.
REMEDIES = (
    (r"Can't get 1:16 opt", "this CRIU cannot dump TCP sockets on this kernel; install CRIU 4.2"),
    (r"io_uring", "the service uses io_uring, which CRIU cannot dump; switch it off in the service"),
    (r"has bad size|Can't open file .* on restore", "a file of the service differs on the target"),
    (r"no dirty tracking|soft-dirty", "use the tracker `compare`"),
    (r"ghost file .* too big", "the service holds a large deleted file open"),
    (r"No space left on device", "give the images directory more room (a larger tmpfs)"),
    (r"tty|pts", "containers started with `-t` cannot be moved"),
)


def log_tail(path: str) -> str:
    """The last lines of a CRIU log that say why it stopped: errors first, else simply the last ones."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            lines = log.read().splitlines()
    except OSError:
        return ""
    telling = [line for line in lines if "Error" in line and not re.search(HARMLESS, line)] or lines
    return "\n".join(telling[-TAIL_LINES:])


def explain(log: str) -> str:
    """A sentence with the remedy for what *log* shows, or where to look."""
    for pattern, remedy in REMEDIES:
        if re.search(pattern, log):
            return f"Remedy: {remedy}."
    return "See log_tail for CRIU's own words."
