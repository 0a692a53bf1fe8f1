#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_lane
short_description: Let a play act more than once for a host at the same time
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Adds a host to the inventory in memory that stands for another one and has its variables, so that a play
    over such lanes does several things on one host at the same time.
  - C(mec_lane_of) of a lane is the name of the host, C(mec_lane) the number of the lane. The role
    P(mec.migration.migrate#role) names the host, not the lane, in what it writes down.
  - Runs on the controller as an action plugin. It touches no host.
extends_documentation_fragment:
  - mec.migration.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  host:
    description: The host that the lane stands for.
    type: str
    required: true
  number:
    description: Number of the lane, from 1; the host itself is the first one, 0.
    type: int
    required: true
  group:
    description: Group that the lane is in.
    type: str
    required: true
seealso:
  - module: ansible.builtin.add_host
"""

EXAMPLES = r"""
- name: Open three more lanes to a host
  mec.migration.migration_lane:
    host: edge-a
    number: "{{ item }}"
    group: lanes
  loop: "{{ range(1, 4) | list }}"
  run_once: true
"""

RETURN = r"""
lane:
  description: Name of the lane.
  returned: success
  type: str
"""
