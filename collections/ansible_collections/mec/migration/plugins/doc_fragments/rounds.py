# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that modules which make rounds have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  memory:
    description:
      - How much memory the move may take on both hosts.
      - With V(full) the source keeps what was sent, so that pages which changed a little travel as what
        changed in them. It takes as much memory there as the service has, and as much again on the target
        until its memory is filled.
      - With V(lean) the source keeps 16 bytes for each page, and the target gives back each page of the
        images as soon as it is the service's. Pages that changed travel whole. It needs a lazy restore.
      - V(auto) is what the preflight chose, V(full) where both hosts have the room. Without a preflight it is
        V(full).
    type: str
    choices: [auto, full, lean]
    default: auto
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
  postcopy:
    description:
      - Whether pages that change faster than the link sends them may be left on the source, for the target to
        fetch once the service runs there. A page that the service touches before it has come is fetched
        first; the service waits for it.
      - Until all have come both hosts and the link between them are needed. Should the link break, the
        service waits, up to five minutes. Should a host or its agent end meanwhile, the copy on the target
        ends. The service is still frozen on the source then, as it was at the hand-over; what clients have
        written since is lost, so that the playbook C(mec.migration.resolve) asks for a word. A restart of
        Docker's daemon without its C(live-restore) ends containers, and with them what the source had left.
      - With V(when_needed) that is done where the last pages would keep the service frozen for longer than
        O(downtime_ms) and a tenth of a second; with V(always) in every move. The service is not slowed down
        then, whatever O(throttle) says.
    type: str
    choices: [never, when_needed, always]
    default: never
  log_mib:
    description:
      - So many MiB of the newest part of what C(docker logs) shows go along, with the drivers V(json-file)
        and V(local), and of the copy that Docker keeps for drivers that it cannot read from. V(0) moves none
        of it, V(1024) is the most.
    type: int
    default: 16
"""
