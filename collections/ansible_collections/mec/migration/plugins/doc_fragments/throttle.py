# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of modules whose rounds may slow the service down."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  throttle:
    description:
      - While rounds do not converge and the freeze would take more than half a second, lower the CPU quota of
        the container's cgroup step by step, so that the service writes less. It is put back right before the
        freeze, and whenever a move ends before.
    type: bool
    default: true
  throttle_floor_percent:
    description: The service is always left this share of what it used of the processors.
    type: float
    default: 20
"""
