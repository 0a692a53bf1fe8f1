# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of modules that start the source's agent if there is none."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  container:
    description: Name of the container.
    type: str
    required: true
  move_binds:
    description: Destinations of bind mounts whose content moves, too.
    type: list
    elements: str
    default: []
  started_by:
    description: Who moves it, for others who want to, if this starts the source's agent.
    type: str
    default: ""
  begin:
    description:
      - Start the source's agent if there is none. With V(false) the migration must have been begun, see
        M(mec.migration.migration), and not have been cancelled since.
    type: bool
    default: true
  idle_timeout_s:
    description:
      - The migration is given up if nothing was asked of the source's agent for so long before the hand-over;
        for an agent that this starts.
    type: float
    default: 300
"""
