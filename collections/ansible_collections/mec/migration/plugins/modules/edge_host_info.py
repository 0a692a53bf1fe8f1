#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_host_info
short_description: What an edge host can do
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Reads what decides whether containers can be migrated from or to this host; touches nothing.
  - Needs neither Docker nor CRIU nor the Docker SDK for Python, but says which of them are missing.
  - RV(problems) is what M(mec.migration.migration_preflight) has against the host alone; it judges two hosts
    and a container.
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  images_dir:
    description: Directory whose free space counts for memory images; it need not exist yet.
    type: path
    default: /run/mec-migration
  paths:
    description:
      - Paths of which RV(edge_host.paths) says what they are on this host.
      - Name the sources of a container's bind mounts here, on the host that the container is to come to.
    type: list
    elements: path
    default: []
seealso:
  - module: mec.migration.migration_preflight
"""

EXAMPLES = r"""
- name: What the target can do
  mec.migration.edge_host_info:
    paths: "{{ service.spec.mounts | selectattr('type', 'eq', 'bind') | map(attribute='source') }}"
  register: target

- name: Hosts on which dirty pages are found without comparing
  ansible.builtin.debug:
    msg: "{{ inventory_hostname }} tracks with {{ target.edge_host.trackers.auto }}"
"""

RETURN = r"""
edge_host:
  description: The facts.
  type: dict
  returned: success
  contains:
    hostname:
      description: Its own name.
      type: str
    kernel:
      description: Kernel release.
      type: str
      sample: 6.18.44
    architecture:
      description: Machine, as C(uname -m) says it.
      type: str
      sample: x86_64
    page_bytes:
      description: Bytes of a page of memory.
      type: int
      sample: 4096
    python_bits:
      description: Bits of an address of the host's Python, which are those of its programs.
      type: int
      sample: 64
    cpu:
      description:
        - RV(edge_host.cpu.vendor), RV(edge_host.cpu.model), RV(edge_host.cpu.count) and
          RV(edge_host.cpu.features), named as in C(/proc/cpuinfo).
      type: dict
      contains:
        vendor:
          description: Vendor of the processor.
          type: str
        model:
          description: Its model.
          type: str
        count:
          description: Number of processors.
          type: int
        features:
          description: Flags of the first processor.
          type: list
          elements: str
    memory:
      description: Memory of the host.
      type: dict
      contains:
        total_bytes:
          description: All of it.
          type: int
        available_bytes:
          description: What can be had without swapping.
          type: int
        swap_bytes:
          description: Room to swap; V(0) if there is none.
          type: int
        transparent_hugepages:
          description: V(always), V(madvise) or V(never).
          type: str
    cgroup:
      description: Version and, for version 1, the mounted hierarchies.
      type: dict
      contains:
        version:
          description: V(1) or V(2).
          type: int
        real_time_groups:
          description:
            - Whether the kernel lets a container have threads of real-time priority only if it was given time
              for them (C(--cpu-rt-runtime)).
          type: bool
        hierarchies:
          description: Names of the version 1 hierarchies.
          type: list
          elements: str
    limits:
      description:
        - Limits of the kernel (sysctl) that a service can reach, by their names, and what is used of
          C(fs.aio-max-nr) (C(fs.aio-nr)).
      type: dict
      sample:
        vm.max_map_count: 65530
        fs.nr_open: 1048576
    python:
      description: Version of the Python that runs modules there.
      type: str
    docker_sdk:
      description: Whether the Docker SDK for Python is there.
      type: bool
    zstd:
      description: Whether libzstd is there.
      type: bool
    criu:
      description: The installed CRIU.
      type: dict
      contains:
        path:
          description: Where it is; empty if it is missing.
          type: str
        version:
          description: Its version; empty if it does not run.
          type: str
        features:
          description: What it can do on this kernel, as it found out itself.
          type: dict
          contains:
            mem_dirty_track:
              description: Whether CRIU finds soft-dirty tracking.
              type: bool
            lazy_pages:
              description: Whether userfaultfd is there; the dump needs it.
              type: bool
            pidfd_store:
              description: Whether pidfds can be stored.
              type: bool
        largest_pipe_bytes:
          description: How large a pipe it may make; null if there is no limit, as with C(CAP_SYS_RESOURCE).
          type: int
    trackers:
      description: How dirty pages can be found here.
      type: dict
      contains:
        available:
          description: Of V(compare), V(soft-dirty) and V(uffd).
          type: list
          elements: str
        auto:
          description: The one that C(tracker=auto) takes.
          type: str
        obstacles:
          description: For V(soft-dirty) and V(uffd), why it does not work here; empty if it does.
          type: dict
        pagemap_scan:
          description: Whether the kernel has PAGEMAP_SCAN (6.7 and later).
          type: bool
    docker:
      description: The Docker daemon.
      type: dict
      contains:
        error:
          description: Why the daemon does not answer; empty if it does.
          type: str
        id:
          description: Identity of the daemon.
          type: str
        version:
          description: Version of the daemon.
          type: str
        api_version:
          description: Newest version of its interface.
          type: str
        runc_version:
          description: Version of runc in the path; empty if it is missing.
          type: str
        storage_driver:
          description: Storage driver, or containerd's snapshotter; overlay2 or overlayfs is needed.
          type: str
        containerd_image_store:
          description: Whether images are kept by containerd.
          type: bool
        backing_file_system:
          description: Type of the file system that the storage driver writes to, as Docker names it.
          type: str
        root_dir:
          description: Where Docker keeps images, containers and volumes.
          type: str
        runtimes:
          description: Path by name of the registered runtimes.
          type: dict
        security_options:
          description: Such as V(name=apparmor).
          type: list
          elements: str
        log_drivers:
          description: Log drivers by name.
          type: list
          elements: str
        volume_plugins:
          description: Volume drivers by name.
          type: list
          elements: str
        networks:
          description: Name, driver, subnets, options and labels of each network.
          type: list
          elements: dict
        volumes:
          description: Name, driver, options, labels and number of entries of each volume.
          type: list
          elements: dict
        containers:
          description:
            - Name, id, state, mounts and published ports of each container, stopped ones included.
            - C(left_by) is the migration to this host that made it, if one did that is not over.
          type: list
          elements: dict
    armed_runtime:
      description: The runtime C(mec), which the role P(mec.migration.edge_host#role) installs.
      type: dict
      contains:
        registered:
          description: Whether Docker knows it.
          type: bool
        directory:
          description: Where its files are, or should be.
          type: str
        missing:
          description: Files of it that are not there.
          type: list
          elements: str
        version:
          description: Digest of its files; hosts with the same one have the same runtime.
          type: str
    space:
      description: Room in RV(edge_host.space.images_dir) and RV(edge_host.space.docker_root).
      type: dict
      contains:
        images_dir:
          description:
            - For O(images_dir), C(path), C(free_bytes), C(total_bytes), C(file_system) and C(in_memory).
          type: dict
        docker_root:
          description: The same for Docker's directory.
          type: dict
    addresses:
      description: Addresses of this host, loopback included.
      type: list
      elements: str
    ports:
      description: Ports that are taken, with C(protocol), C(address), C(port) and C(held_by).
      type: list
      elements: dict
    files:
      description: For each of O(paths) that is there, C(mode) and C(size_bytes), as stat(2) has them.
      type: dict
    paths:
      description: For each of O(paths), V(directory), V(file), V(other) or V(absent).
      type: dict
    storage:
      description: For each of O(paths) that is there, the storage it lies on, to find out what hosts share.
      type: dict
    clock_s:
      description: What the host's clock said, in seconds since the epoch.
      type: float
problems:
  description: What keeps the host from taking part in any migration, each with its remedy.
  type: dict
  returned: success
  contains:
    as_source:
      description: Sentences, as M(mec.migration.migration_preflight) says them of a source.
      type: list
      elements: str
    as_target:
      description: The same of a target, which needs more.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.preflight.host_facts import IMAGES_DIR, collect
from ansible_collections.mec.migration.plugins.module_utils.preflight.hosts import host_problems


def run(module: Any, progress: Progress) -> dict[str, Any]:
    facts = collect(module.params["images_dir"], module.params["paths"])
    return {
        "changed": False,
        "edge_host": facts,
        "problems": {
            "as_source": host_problems(facts, restores=False),
            "as_target": host_problems(facts, restores=True),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images_dir": {"type": "path", "default": IMAGES_DIR},
            "paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
