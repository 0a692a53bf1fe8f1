# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the same for all decisions of one play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..base.errors import DecisionError
from ..inputs.hosts import Host
from ..inputs.policy import Policy, check, file_digest
from .solved_policy import DEFAULT_DIRECTORY, key_of

EVALUATION_ERROR = 1e-6


@dataclass(frozen=True)
class Setting:
    """What is the same for all services of one play: policy, hosts and what the solved policy
    depends on.

    ``services``: services each host holds now, for capacities; the service itself counts where it
    is. ``measured_costs``: ``{source: {target: cost}}``. ``active_users``: for the load-dependent
    cost family.
    """

    policy: Policy
    hosts: Sequence[Host]
    services: Mapping[str, int] = field(default_factory=dict)
    measured_costs: Mapping[str, Mapping[str, float]] | None = None
    active_users: float = 0.0
    cache_directory: str = DEFAULT_DIRECTORY

    def key(self) -> str:
        """The policy hash: of everything that the solved policy is computed from."""
        names = {host.name for host in self.hosts}
        measured = None
        if self.measured_costs is not None:
            measured = {
                source: {target: cost for target, cost in row.items() if target in names}
                for source, row in self.measured_costs.items()
                if source in names
            }
        try:
            return key_of(
                {
                    "policy": {
                        name: part for name, part in self.policy.document.items() if name != "description"
                    },
                    "data": [file_digest(path) for path in self.policy.data_files()],
                    "hosts": [host.place() for host in self.hosts],
                    "measured_costs": measured,
                    "active_users": self.active_users,
                }
            )
        except (ValueError, TypeError, AttributeError, DecisionError):
            # A policy that cannot even be hashed is wrong; the check says where.
            check(self.policy)
            raise
