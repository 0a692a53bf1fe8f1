#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: decision_evaluation
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Compare migration strategies in a simulated world
description:
  - Runs the strategies of a policy over recorded or random movement, all in the same world, and writes
    C(evaluation.json), C(evaluation.csv) and one self-contained C(evaluation.html).
  - Runs on the controller as an action plugin. It touches no host.
options:
  kind:
    description:
      - V(trace) uses O(trace). Every second user is for learning and tuning, the others for the figures.
      - V(random_walk) lets users walk as the policy says.
      - V(figure_6) reproduces Fig. 6 of Wang et al. (IEEE/ACM ToN 27(3), 2019) and needs no policy. It writes
        C(figure_6.json), C(figure_6.csv) and C(figure_6.html).
      - V(figure_8) reproduces Fig. 8 of the same paper, a day of taxis with costs that depend on the load. It
        needs no policy, and O(trace), which is C(traceRealCellLocations.mat) of the authors' repository
        (reading it needs scipy) or another trace with its C(cells.csv) beside it. If that is not set, either
        is looked for in O(data_dir). It writes C(figure_8.json), C(figure_8.csv) and C(figure_8.html).
    type: str
    choices: [trace, random_walk, figure_6, figure_8]
    default: random_walk
  policy:
    description: Name or path of the policy, as for P(mec.migration.mdp_decision#lookup).
    type: str
    default: default
  policy_path:
    description: Directories to look for policies in before all others.
    type: list
    elements: path
    default: []
  data_dir:
    description: Where the relative names of data files in the policy, and O(trace), count from.
    type: path
  trace:
    description: The trace file. The one of the policy if it is not set. Needed for O(kind=trace).
    type: path
  output_dir:
    description: Where to write. It is made if it is not there.
    type: path
    required: true
  hosts:
    description: How many hosts to spread evenly over the cells. One in each cell if it is not set.
    type: int
  capacity:
    description:
      - Services that each host may hold. No limit if it is not set.
      - The offline optimum knows no limit, and starts services wherever that is best.
    type: int
  strategies:
    description: Strategies to compare, all if it is empty. The baselines and the offline optimum
      are always there.
    type: list
    elements: str
    default: []
  known_slots:
    description:
      - For O(kind=trace). Also shows what V(mdp_direction) is worth where users announce so many next slots,
        one row
        for each number. How far the announcements are trusted is learned on the way.
      - Without O(capacity), as routes are evaluated without limits of room.
    type: list
    elements: int
    default: []
  wrong_routes:
    description: With O(known_slots), the share of the users who announce where another user goes.
    type: float
    default: 0
  users:
    description: Random users, for O(kind=random_walk).
    type: int
    default: 200
  slots:
    description: Slots that each random user walks, for O(kind=random_walk).
    type: int
    default: 300
  sweep:
    description:
      - Lists of values by name. Every combination is evaluated, and C(sweep.json), C(sweep.csv) and
        C(sweep.html) are written in place of those of one evaluation.
      - Names are V(hosts), V(capacity), V(seed); V(x), the cost of a move in the figures of Wang et al.,
        where it is C(1 + x - x * 0.8^distance); or keys of the policy with dots, as V(mobility.smoothing).
    type: dict
    default: {}
  scheduler:
    description:
      - Address of a scheduler of dask.distributed, as C(tcp://127.0.0.1:8786). Settings, seeds and users are
        then spread over its workers. What they compute is the same, bit for bit, as without.
      - Needs dask.distributed (Python package C(distributed)) on the controller, of the scheduler's version.
        Workers need numpy of the controller's version, no Ansible and no files. They are sent the code.
      - Who can reach a scheduler of dask.distributed can run code on its workers. Keep it to a network that
        you trust.
    type: str
  runs:
    description: Random step probabilities a point, for O(kind=figure_6).
    type: int
    default: 50
  seed:
    description: Seed of all random numbers.
    type: int
    default: 1
notes:
  - Reports changed whenever it wrote, which is always but in check mode.
seealso:
  - plugin: mec.migration.mdp_decision
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Compare the strategies on recorded movement, with 100 hosts
  mec.migration.decision_evaluation:
    kind: trace
    policy: taxi
    data_dir: /srv/traces/sf-cabs
    hosts: 100
    output_dir: reports/taxi

- name: Compare them for many hosts and costs, on all machines of a cluster
  mec.migration.decision_evaluation:
    kind: trace
    policy: taxi
    data_dir: /srv/traces/sf-cabs
    sweep:
      hosts: [50, 100, 150]
      x: [0, 1, 2, 4]
    scheduler: tcp://127.0.0.1:8786
    output_dir: reports/sweep

- name: Compare them on random walks
  mec.migration.decision_evaluation:
    output_dir: reports/walk
"""

RETURN = r"""
files:
  description: Paths of the files that were written, by kind.
  returned: success
  type: dict
settings:
  description: What was evaluated.
  returned: success
  type: dict
strategies:
  description:
    - One row a strategy, as in the CSV file. For V(figure_6) one row a point.
    - For V(figure_8) the means of the day.
    - With O(sweep) also what is varied.
  returned: success
  type: list
  elements: dict
"""
