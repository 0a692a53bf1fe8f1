# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides for many services; its documentation is in the module of this name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.utils.display import Display

from ..module_utils.base.host_load import load_per_cpu
from ..module_utils.base.units import BYTES_PER_S_OF_MBIT
from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.decision.request import policy_of_lookup
from ..plugin_utils.inputs.hosts import hosts_from_inventory
from ..plugin_utils.inputs.policy import Policy, check
from ..plugin_utils.loop.planning import Decide, cordoned_hosts, names_of, plan, positions_of
from ..plugin_utils.loop.routes import learn, map_header
from ..plugin_utils.loop.waves import Limits
from ..plugin_utils.mdp.model import build_map, build_mobility
from ..plugin_utils.prediction.cost_model import CostModel, recent_records
from ..plugin_utils.prediction.trust_store import changed

display = Display()

ARGUMENTS = {
    "services": {"type": "list", "elements": "dict", "required": True},
    "positions": {"type": "dict", "default": {"format": 1, "users": {}}},
    "loads": {"type": "dict", "required": True},
    "leave": {"type": "list", "elements": "str", "default": []},
    "policy": {"default": "default"},
    "costs_file": {"default": ""},
    "trust_file": {"default": ""},
    "bandwidth_mbit": {"type": "float", "default": 1000},
    "joint": {"type": "bool", "default": False},
    "per_host": {"type": "int", "default": 2},
    "per_link": {"type": "int", "default": 1},
    "per_source": {"type": "int", "default": 1},
}


class ActionModule(ActionBase):
    """Decides in this process, no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments, variables = plain(arguments), task_vars or {}
        try:
            return {**result, "changed": False, **self._plan(arguments, variables)}
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.migration_plan: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(
                "mec.migration.migration_plan: services need a name, loads must be results of "
                f"migration_cost_info; {error} is wrong there"
            ) from None

    def _plan(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        loads = arguments["loads"]
        records = recent_records(arguments["costs_file"], _warn)
        hosts = hosts_from_inventory(loads, variables.get("hostvars", {}))
        positions = self._with_trust(positions_of(arguments["positions"]), arguments, variables)
        policy = policy_of_lookup(self._lookup(), arguments["policy"], variables)
        made = plan(
            arguments["services"],
            positions,
            loads,
            CostModel(records, arguments["bandwidth_mbit"] * BYTES_PER_S_OF_MBIT, load_per_cpu()),
            self._decider(
                arguments["policy"],
                [host for host in loads if host not in cordoned_hosts(loads)],
                variables,
                self._active_users(policy, arguments),
            ),
            measured=self._takes_measured_costs(policy),
            leave=arguments["leave"],
            capacities={host.name: host.capacity for host in hosts if host.capacity is not None},
            limits=Limits(arguments["per_host"], arguments["per_link"], arguments["per_source"]),
            records=records,
            now_s=time.time(),
            joint=arguments["joint"],
        )
        told = {"services": made.services, "waves": made.waves}
        return told if made.joint is None else {**told, "joint": made.joint}

    def _with_trust(
        self, positions: dict[str, dict[str, Any]], arguments: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The positions, with what is known of how far routes come true; this round's are learned from.

        In check mode nothing is kept. Without a store routes are believed.
        """
        path = arguments["trust_file"]
        if not path and arguments["costs_file"]:
            path = str(Path(arguments["costs_file"]).with_suffix(".routes.json"))
        has_route = any("route" in position for position in positions.values())
        if not path or not (has_route or Path(path).exists()):
            return positions
        policy = check(policy_of_lookup(self._lookup(), arguments["policy"], variables))
        cells = build_map(policy)
        header = map_header(cells, build_mobility(policy, cells)[1])
        slot_s = float(policy.document.get("slot_seconds", 60))
        with changed(path, write=not self._task.check_mode) as store:
            partial = bool(arguments["positions"].get("partial"))
            return learn(store, positions, header, now_s=time.time(), slot_s=slot_s, partial=partial)

    @staticmethod
    def _active_users(policy: Policy, arguments: dict[str, Any]) -> int:
        """How many of the services run, each for its user; 0 where costs do not depend on that."""
        if not policy.depends_on_load():
            # The number is part of the hash of the solved policy, which need not be solved for each one.
            return 0
        running = {name for load in arguments["loads"].values() for name in load["running"]}
        return len(running.intersection(names_of(arguments["services"])))

    def _decider(
        self, policy: str, candidates: list[str], variables: dict[str, Any], active_users: int
    ) -> Decide:
        lookup = self._lookup()

        def decide(
            term: dict[str, Any], held: dict[str, int], costs: dict[str, dict[str, float]] | None
        ) -> dict[str, Any]:
            # Where all hosts are cordoned a service may stay where it is.
            offered = candidates or [term["current_host"]]
            options: dict[str, Any] = {
                "policy": policy,
                "candidates": offered,
                "services": held,
                "active_users": active_users,
            }
            if costs is not None:
                options["measured_costs"] = costs
            lookup.set_options(var_options=variables, direct=options)
            decisions: list[dict[str, Any]] = lookup.decide_all([term], variables)
            return decisions[0]

        return decide

    @staticmethod
    def _takes_measured_costs(policy: Policy) -> bool:
        costs = policy.get("costs", "migration", {})
        return isinstance(costs, dict) and costs.get("family") == "measured"

    def _lookup(self) -> Any:
        return lookup_loader.get("mec.migration.mdp_decision", loader=self._loader, templar=self._templar)


def _warn(sentence: str) -> None:
    display.warning(f"mec.migration.migration_plan: {sentence}")
