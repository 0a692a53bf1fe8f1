# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the target's kernel allow as much as the service has? Its limits (sysctl) beside what is needed."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.kernel_limits import ASYNCHRONOUS_IO, ASYNCHRONOUS_IO_USED, MAPPINGS
from .pair import Pair

# What CRIU itself maps in a process before it has put everything in its place; three were seen to be enough.
MAPPINGS_OF_RESTORE = 16


def limit_problems(pair: Pair) -> Iterator[str]:
    target, limits = pair.target, pair.target["limits"]
    for need in pair.container.inventory.needs:
        if need.limit not in limits:
            continue
        count, used = need.amount, 0
        if need.limit == MAPPINGS:
            count += MAPPINGS_OF_RESTORE
        elif need.limit == ASYNCHRONOUS_IO:
            used = limits.get(ASYNCHRONOUS_IO_USED, 0)
        if used + count > limits[need.limit]:
            enough = max(used + count, pair.source["limits"].get(need.limit, 0))
            yield (
                f"{need.holder} {need.what}, and {target['hostname']} allows {limits[need.limit]} "
                f"({need.limit}{f', of which others use {used}' if used else ''}). Raise it there: "
                f"`sysctl -w {need.limit}={enough}`, and a line in /etc/sysctl.d for later boots"
            )
