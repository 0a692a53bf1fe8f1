# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options by which a module on the source finds the target's agent."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  migration_id:
    description:
      - Name of the migration, the same in every task of it, which nothing else has ever had.
      - Letters, digits, dash, underscore and dot.
    type: str
    required: true
  peer:
    description:
      - The target's agent, as M(mec.migration.migration_receiver) reports it.
      - Needed in the first task of a migration that speaks to the target; the source's agent then knows it.
    type: dict
    suboptions:
      address:
        description: Address of the target that this host can reach.
        type: str
        required: true
      port:
        description: Port of the receiver.
        type: int
        required: true
      silence_timeout_s:
        description: How long the receiver may keep this side waiting before the connection counts as cut.
        type: float
        default: 10
      bandwidth_limit_mbit:
        description:
          - Send no faster than this, in Mbit/s, while the service runs; V(0) for no limit.
          - What M(mec.migration.criu_handover) sends in the frozen window is not limited.
        type: float
        default: 0
      certificate:
        description: This side's certificate (PEM).
        type: str
        required: true
      peer_certificate:
        description: The one certificate (PEM) that the receiver must show.
        type: str
        required: true
  key:
    description: This side's private key (PEM), made for this one migration. Needed with O(peer).
    type: str
  compress:
    description: Compress with zstd where it is seen to pay. Needs libzstd on both hosts, else it is left out.
    type: bool
    default: true
  progress_file:
    description:
      - File on the host to which a JSON line is appended for each round. The module then goes on in the
        background, and the last line has its result.
      - Set by the action plugin, which shows the lines while the module runs.
    type: path
"""
