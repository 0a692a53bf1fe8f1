# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mdp_decision
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Whether, when and where to migrate a service, by a Markov decision process
description:
  - Answers for one service whose user moves about whether it should stay on its edge host or move,
    to which host, what each host is expected to cost, and why.
  - The state is the user's cell, the last direction of movement and the host of the service; the
    action is a host. A move costs once, a host far from its user costs in every slot of time. The
    answer weighs the two over all that may still come, by the Bellman equation.
  - What a move and a slot cost, how users move and which strategy decides stand in a I(policy), a YAML file.
    The file C(docs/decision.md) of this collection explains its keys.
  - The first decision with a policy and a set of hosts solves the policy (milliseconds to seconds)
    and stores it in O(cache_dir). Every later one, in any process, reads two rows of that file, which
    takes about a millisecond.
  - The lookup changes nothing on any host. Decide once, keep the answer with
    P(ansible.builtin.set_fact#module), then act on it, because a lookup runs again wherever it is named.
options:
  _terms:
    description:
      - Name of the service, only used in the answer.
      - Or a dictionary for a service that has its own place, with the key V(name) and any of V(user_cell),
        V(user_position), V(heading), V(dwell_slots), V(route), V(route_trust), V(now) and V(current_host),
        which win over the options.
        Give a list of these to C(query) to decide for many services at once.
    required: true
  policy:
    description:
      - Name of the policy, looked for as C(<name>.yml) in these places, in this order. First, the
        directories in O(policy_path). Second, C(policies) beside the playbook. Third, C(policies) in the
        directory above the playbook. Fourth, C(policies) in the directory in which Ansible was started.
        Fifth, the policies that come with the collection, where V(default) is one.
      - A value that has a C(/) or ends in C(.yml) or C(.yaml) is the path of a file, counted from the
        directory of the playbook or, where it is not there, from the one in which Ansible was started.
    type: str
    default: default
  policy_path:
    description: Directories to look for policies in before all others, or a policy file itself.
    type: list
    elements: path
    default: []
    ini:
      - section: mec_migration
        key: policy_path
    env:
      - name: MEC_MIGRATION_POLICY_PATH
    vars:
      - name: mec_policy_path
  data_dir:
    description:
      - Where the relative names of data files in the policy (cell table, trace) count from.
      - The directory of the policy file if this is not set.
    type: path
    vars:
      - name: mec_data_dir
  user_cell:
    description:
      - The cell the user is in, as the policy's map names it.
      - One of O(user_cell) and O(user_position) is needed. O(user_cell) wins.
    type: raw
  user_position:
    description: Where the user is. The map must have an origin or a cell table.
    type: dict
    suboptions:
      latitude:
        description: Degrees, north is positive.
        type: float
        required: true
      longitude:
        description: Degrees, east is positive.
        type: float
        required: true
  heading:
    description:
      - Direction of the last movement in degrees, clockwise from north.
      - Leave it out for a user who has not moved yet.
    type: float
  dwell_slots:
    description: How many slots the user has been in the cell. Matters only where the policy has
      C(dwell_levels).
    type: int
    default: 0
  route:
    description:
      - Where the user will be, as a list of points. Or a dictionary with C(points), C(source) (whose
        routes they are), and C(announced) (a moment) or C(announced_seconds_ago).
      - A point has C(in_seconds), counted from the announcement, or C(time), which is ISO 8601 (UTC if it
        names no zone) or seconds since 1970. It also has a place, which is a C(cell), or C(latitude) and
        C(longitude), with a
        C(probability) (1 if it is left out); or C(alternatives), a list of such places. A probability is
        that of the place if the route held until then. What is missing to 1 goes by the mobility of the
        policy.
      - The last point may have V(leaves=true) in place of a place, where the user stops using the service.
      - Between two points the user stays where the first one says. After the last one the value of the
        Markov decision process counts.
      - A route is used as far as it holds. It holds until it leaves the map or jumps, and not at all
        where it puts the user elsewhere now. RV(_raw[].reason) says so.
      - Used by the strategies V(mdp_exact) and V(mdp_direction).
    type: raw
  route_trust:
    description:
      - How much a route counts against the mobility of the policy in each slot, if it held until then, from 0
        to 1, by the age of the announcement in slots, from 1 slot on.
      - A list, or a dictionary with C(steps), a list for each of four classes of steps (to stay, up to 2, up
        to 6 usual distances of cells, more), and C(leaves), a list for where the user says that they leave.
      - M(mec.migration.migration_plan) learns it. If it is left out, routes are believed.
    type: raw
  now:
    description:
      - The moment that times in O(route) are compared with, ISO 8601 or seconds since 1970. That of the
        clock if it is left out.
    type: raw
  current_host:
    description: Inventory name of the host that the service runs on now.
    type: str
  candidates:
    description:
      - Inventory names of the hosts that the service may move to. The current host always belongs to them.
      - The variables C(mec_cell), or C(mec_latitude) and C(mec_longitude), of each say where it is.
        C(mec_cell) wins over the position. C(mec_capacity) says how many services
        it may hold. Without C(mec_capacity) there is no limit.
    type: list
    elements: str
    required: true
  services:
    description:
      - How many services each host holds now, by inventory name. A host that holds C(mec_capacity)
        services or more
        is no target. Hosts that are left out hold none.
    type: dict
    default: {}
  measured_costs:
    description:
      - What a move costs for each pair of hosts, as C({source host, {target host, cost}}). Takes
        the place of the table
        in the policy, for policies whose migration cost is of the family V(measured).
      - Giving it for a policy of another family is an error.
    type: dict
    vars:
      - name: mec_measured_costs
  active_users:
    description: Users in the system now, for costs of the family V(load_dependent).
    type: float
    default: 0
  cache_dir:
    description:
      - Directory of solved policies. It is made with mode 0700. It may be deleted at any time.
      - Files in it that are damaged, were solved from other inputs or belong to another user are not used.
    type: path
    default: ~/.cache/mec-migration
    ini:
      - section: mec_migration
        key: cache_dir
    env:
      - name: MEC_MIGRATION_CACHE_DIR
    vars:
      - name: mec_cache_dir
requirements:
  - numpy >= 1.26 on the controller, to solve a policy
  - jsonschema >= 4.20 on the controller, to check one
notes:
  - Runs on the controller, with Python 3.11 or later.
  - A full host stays out of this decision only. The expected costs still count on all hosts being free later.
seealso:
  - plugin: mec.migration.rescore
    plugin_type: filter
  - module: mec.migration.decision_evaluation
"""

EXAMPLES = r"""
# inventory.yml, what the lookup reads of each edge host:
#   edge:
#     hosts:
#       edge-a: {mec_cell: 0, mec_capacity: 20}
#       edge-b: {mec_latitude: 37.7793, mec_longitude: -122.4193}

- name: Decide for one service, whose user is in cell 12 and moves east
  ansible.builtin.set_fact:
    decision: >-
      {{ lookup('mec.migration.mdp_decision', 'redis-42', user_cell=12, heading=90,
                current_host='edge-a', candidates=groups['edge_hosts']) }}

- name: Say why
  ansible.builtin.debug:
    msg: "{{ decision.reason }}"

- name: Act on it
  ansible.builtin.include_role:
    name: mec.migration.migrate
  when: decision.migrate

- name: Decide by a user's position, with a policy of one's own and full hosts left out
  ansible.builtin.debug:
    msg: >-
      {{ lookup('mec.migration.mdp_decision', 'redis-42', policy='taxi',
                user_position={'latitude': 37.78, 'longitude': -122.42},
                current_host='edge-a', candidates=groups['edge_hosts'], services={'edge-b': 20}) }}

- name: Decide for many services in one go
  ansible.builtin.set_fact:
    decisions: >-
      {{ query('mec.migration.mdp_decision',
               {'name': 'redis-1', 'user_cell': 3, 'current_host': 'edge-a'},
               {'name': 'redis-2', 'user_cell': 9, 'current_host': 'edge-b', 'heading': 180},
               candidates=groups['edge_hosts']) }}
"""

RETURN = r"""
_raw:
  description: One dictionary a service, in the order of the terms.
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    current_host:
      description: Host that the service runs on now.
      type: str
    migrate:
      description: Whether to move.
      type: bool
    target:
      description: Host to be on, the current one where RV(_raw[].migrate) is false.
      type: str
    current_cost:
      description: Expected cost, from now on and discounted, of staying in this slot. Cost units
        of the policy.
      type: float
    expected_costs:
      description: The same for each candidate, the move included. By inventory name.
      type: dict
    migration_costs:
      description: What the move to each candidate costs, part of RV(_raw[].expected_costs).
      type: dict
    slot_costs:
      description: What a slot of use costs on each candidate with the user where they are now.
      type: dict
    advantage:
      description: What RV(_raw[].target) saves over staying. Cost units, 0 for a stay.
      type: float
    reason:
      description: The decision in a sentence.
      type: str
      sample: >-
        mdp_direction: moving to edge-b is expected to cost 7.784, 1.590 of it for the move;
        staying on edge-a is expected to cost 8.074
    route:
      description:
        - What the route did, where one was given.
        - C(slots) is how many slots it tells, C(believed) how far, C(changed) whether the decision would be
          another one
          without it, C(target_without) which one, C(problems) a list of sentences.
      type: dict
      returned: when a route was given
    user_cell:
      description: Cell that the user was taken to be in.
      type: str
    full_hosts:
      description: Candidates that were left out because they hold as many services as they may.
      type: list
      elements: str
    strategy:
      description: Strategy of the policy that decided.
      type: str
    policy_hash:
      description: SHA-256 of all that the solved policy was computed from. The name of its file in the cache.
      type: str
    error_bound:
      description:
        - Proven bound, in cost units. Each expected cost is at most this far from its true value,
          and a strategy
          V(mdp_exact) or V(mdp_direction) loses at most this against the optimum.
      type: float
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.base.requirements import require_numpy
from ..plugin_utils.decision.decision import decide, solved_policy
from ..plugin_utils.decision.request import (
    active_users_of,
    hosts_for,
    measured_costs_for,
    services_of,
    user_of,
)
from ..plugin_utils.decision.setting import Setting
from ..plugin_utils.inputs.policy import policy_for

USER_KEYS = ("user_cell", "user_position", "heading", "dwell_slots", "route", "route_trust", "now")
# From so many routes on, loading numpy saves more time than it takes.
MANY_ROUTES = 30


class LookupModule(LookupBase):
    """Decides for each term; everything else is in plugin_utils."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One decision a term."""
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return self.decide_all(terms, variables or {})
        except DecisionError as error:
            raise AnsibleLookupError(f"mec.migration.mdp_decision: {error}") from None

    def decide_all(self, terms: list[Any], variables: dict[str, Any]) -> list[dict[str, Any]]:
        """The decisions for ``terms``; raises :class:`DecisionError`."""
        options = plain(self.get_options())
        playbook = plain(variables.get("playbook_dir"))
        policy = policy_for(options["policy"], playbook, options["policy_path"], options["data_dir"])
        shared = {key: options[key] for key in (*USER_KEYS, "current_host")}
        requests = []
        for term in terms:
            own = plain(term) if isinstance(term, dict) else {"name": str(term)}
            unknown = sorted(set(own) - {"name", *shared})
            if unknown or "name" not in own:
                raise DecisionError(
                    f"term {own!r}: {'unknown key ' + unknown[0] if unknown else 'no key name'}; "
                    f"allowed: name, {', '.join(shared)}"
                )
            requests.append({**shared, **own})
        hosts = hosts_for(
            options["candidates"],
            [request["current_host"] for request in requests],
            variables.get("hostvars", {}),
        )
        setting = Setting(
            policy,
            hosts,
            services_of(options["services"], hosts),
            measured_costs_for(policy, options["measured_costs"]),
            active_users_of(options["active_users"]),
            options["cache_dir"],
        )
        solved = solved_policy(setting) if requests else None
        if sum(request["route"] is not None for request in requests) >= MANY_ROUTES:
            require_numpy()
        for sentence in solved.header["warnings"] if solved else ():
            Display().warning(f"mec.migration.mdp_decision: {sentence}")
        return [
            decide(
                setting,
                str(request["name"]),
                request["current_host"],
                user_of({key: request[key] for key in USER_KEYS}),
                solved,
            )
            for request in requests
        ]
