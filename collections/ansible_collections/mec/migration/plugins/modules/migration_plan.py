#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Decide for many services at once, and order their moves
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Asks P(mec.migration.mdp_decision#lookup) for each service, with the cost of its move as
    P(mec.migration.migration_cost_prediction#lookup) predicts it where the policy takes measured costs.
  - One service is decided after the other, and each counts on the hosts that the ones before chose, so that
    capacities are kept.
  - Runs on the controller as an action plugin. It touches no host.
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  services:
    description: Services, each with C(name) and C(user).
    type: list
    elements: dict
    required: true
  positions:
    description:
      - >-
        Where users are, as C({"format": 1, "users": {"anna": {"cell": "3"}}}).
      - A position is a C(cell), or C(latitude) and C(longitude) in degrees; C(heading) in degrees clockwise
        from north and C(dwell_slots) may be added, and a C(route) as P(mec.migration.mdp_decision#lookup)
        takes it.
        C(time) beside C(users) is for people. Routes count from C(now) beside it, else from C(time) where it
        is a
        moment, else from the clock.
      - Users who are not named are not there, which tells whether those leave who say so.
        With V(partial=true) beside C(users) nothing is told of them.
    type: dict
    default: {"format": 1, "users": {}}
  loads:
    description: By inventory name of each host the result of M(mec.migration.migration_cost_info) there.
    type: dict
    required: true
  leave:
    description:
      - Hosts to be emptied. Only services that are there are decided for, and they move wherever it is best.
      - A service whose user nobody knows goes to the host with the fewest services.
    type: list
    elements: str
    default: []
  policy:
    description:
      - Name or path of the policy, as for P(mec.migration.mdp_decision#lookup).
      - Where its costs are of the family C(load_dependent), as many users are active as services run.
    type: str
    default: default
  costs_file:
    description: Store that M(mec.migration.migration_cost) writes; one that is not there is empty.
    type: str
    default: ""
  trust_file:
    description:
      - Store of how far routes can be trusted. Each round, what users had announced for this slot is
        compared with
        where they are, and a route counts as far as such routes came true before.
      - Beside O(costs_file), with the suffix C(.routes.json), if it is empty. Without either, routes are
        believed.
      - Not written in check mode.
    type: str
    default: ""
  bandwidth_mbit:
    description: Bandwidth where no record tells it.
    type: float
    default: 1000
  joint:
    description:
      - Decide for all services together, so that the sum of their expected costs is least with the
        capacities of the
        hosts, and never more than deciding for one after the other. A host that is full takes a service in a
        wave after another one has left it. Full hosts that only exchange
        services hold one more for as long as that takes.
      - Solved as an assignment problem with scipy. Without scipy moves are taken greedily, and RV(joint)
        says so.
    type: bool
    default: false
  per_host:
    description: In how many moves a host may take part at the same time.
    type: int
    default: 2
  per_link:
    description: How many moves there may be between two hosts at the same time.
    type: int
    default: 1
  per_source:
    description:
      - How many services may leave a host at the same time.
      - More than one needs a play that acts more than once for a host, as C(mec.migration.drain) does.
    type: int
    default: 1
    version_added: 1.0.0
seealso:
  - plugin: mec.migration.mdp_decision
    plugin_type: lookup
  - module: mec.migration.migration_cost_info
"""

EXAMPLES = r"""
- name: Decide for all
  mec.migration.migration_plan:
    services: [{name: redis, user: anna}]
    positions: {format: 1, users: {anna: {cell: "12", heading: 90}}}
    loads: "{{ dict(groups['edge_hosts'] | zip(groups['edge_hosts'] | map('extract', hostvars, 'load'))) }}"
    policy: measured
    costs_file: reports/costs.jsonl
  register: plan
"""

RETURN = r"""
services:
  description:
    - For each service C(service), C(user), C(action), which is V(move), V(stay) or V(skip), and C(reason).
    - Also C(current_host), C(target), C(decision) and C(prediction) where there are such; C(move_seconds),
      what a move between any two hosts is expected to take; and C(last_move) with C(source), C(target) and
      C(seconds_ago) where the service came to its host by a move.
  returned: success
  type: list
  elements: dict
joint:
  description:
    - For O(joint=true) what deciding together is worth, in cost units. C(cost) is the sum of expected costs,
      C(one_by_one) what it would be one by one, C(bound) what no plan can be below, C(gap) the difference to
      that, C(method) how.
    - C(contested) says whether services want more places on a host than it has. One more slot of use then
      counts in all costs, since services keep their places for longer where hosts are full.
  returned: when O(joint=true)
  type: dict
waves:
  description:
    - Lists of moves, each with C(service), C(source), C(target), C(reason) and C(prediction).
    - Those of a list may be made at the same time, one list after the other.
    - With O(joint=true) also C(after), the services that must have left the target before.
  returned: success
  type: list
  elements: list
"""
