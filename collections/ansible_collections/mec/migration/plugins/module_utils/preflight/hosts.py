# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps one host from taking part in any migration."""

from __future__ import annotations

from collections.abc import Iterator

from ..base.paths import RUNTIME_NAME
from ..image.opened import store_problem
from ..kernel.calls import PROCESSORS
from .pair import ROLE, Facts, version_of

# The target's page maps are written with 64-bit counts, which CRIU reads from 4.2 on.
CRIU_NEEDED_TARGET = (4, 2)
# `network_lock: skip` came with 3.19.
CRIU_NEEDED_SOURCE = (3, 19)
# Kernels from 6.16 on refuse a socket option that CRIU before 4.2 insists on.
KERNEL_NEEDING_CRIU_4_2 = (6, 16)
# From this version on the final dump fails where CRIU may not make a pipe so large (seen of 4.3).
CRIU_WITH_LARGE_PIPE, ITS_PIPE_BYTES = (4, 3), 819 * 4096


def host_problems(host: Facts, *, restores: bool) -> list[str]:
    """What keeps a host from taking part in any migration.

    :param restores: it is the target.
    """
    return [
        *_machine_problems(host),
        *_criu_problems(host, restores=restores),
        *_docker_problems(host),
        *(_armed_runtime_problems(host) if restores else ()),
        *_images_dir_problems(host),
    ]


def _machine_problems(host: Facts) -> Iterator[str]:
    name, machine = host["hostname"], host["architecture"]
    if machine not in PROCESSORS:
        yield f"{name} is {machine}; services can move between hosts that are {' or '.join(PROCESSORS)}"
    elif host["python_bits"] != 64:
        yield (
            f"{name} has a 64-bit kernel ({machine}) and programs of {host['python_bits']} bits, which CRIU "
            "cannot move there. Install a 64-bit system on it (Raspberry Pi OS comes in both)"
        )


def _criu_problems(host: Facts, *, restores: bool) -> Iterator[str]:
    name, criu = host["hostname"], host["criu"]
    if not criu["version"]:
        seen = f"{criu['path']} does not run" if criu["path"] else "CRIU is not installed"
        yield f"{seen} on {name}; CRIU 4.2 or later is needed. Install it, or {ROLE}"
        return
    needed, why = CRIU_NEEDED_SOURCE, "which can leave the network to Docker"
    if restores:
        needed, why = CRIU_NEEDED_TARGET, "whose page maps the migration writes"
    elif version_of(host["kernel"]) >= KERNEL_NEEDING_CRIU_4_2:
        needed = CRIU_NEEDED_TARGET
        why = f"as older ones cannot dump a TCP socket on kernel {host['kernel']}"
    if version_of(criu["version"]) < needed:
        yield (
            f"CRIU on {name} is {criu['version']}; {'.'.join(map(str, needed))} or later is needed, {why}. "
            f"Upgrade it, or {ROLE}"
        )
    elif not restores and not criu["features"]:
        yield (
            f"CRIU on {name} did not say what it can do there. Run `criu check` on that host, and try again "
            "when it answers at once"
        )
    elif not restores and not criu["features"].get("lazy_pages"):
        yield (
            f"CRIU on {name} finds no userfaultfd in kernel {host['kernel']}; the dump, which leaves "
            "memory to the rounds, needs it. Use a kernel with CONFIG_USERFAULTFD"
        )
    largest = criu["largest_pipe_bytes"]
    small = largest is not None and largest < ITS_PIPE_BYTES
    if small and not restores and version_of(criu["version"]) >= CRIU_WITH_LARGE_PIPE:
        yield (
            f"CRIU {criu['version']} on {name} needs a pipe of {ITS_PIPE_BYTES} bytes for the final dump, "
            f"and may make one of {largest}. Give root of that host CAP_SYS_RESOURCE, or set "
            "`sysctl -w fs.pipe-max-size=4194304` on the machine that it runs on"
        )


def _docker_problems(host: Facts) -> Iterator[str]:
    name, docker = host["hostname"], host["docker"]
    if not docker["runc_version"]:
        yield f"runc is not installed on {name}. Install it, or {ROLE}"
    if not host["docker_sdk"]:
        yield f"the Docker SDK for Python is missing on {name}. Install python3-docker, or {ROLE}"
    if docker["error"]:
        yield f"the Docker daemon of {name} does not answer: {docker['error']}. Start it, or {ROLE}"
        return
    problem = store_problem(docker["storage_driver"], by_containerd=docker["containerd_image_store"])
    if problem:
        yield f"Docker on {name} {problem}"
    for option, what in (("name=rootless", "runs without root"), ("name=userns", "remaps users")):
        if option in docker["security_options"]:
            yield (
                f"Docker on {name} {what} ({option.partition('=')[2]}), so CRIU cannot restore there. "
                "Use a daemon that runs as root without a user namespace"
            )


def _armed_runtime_problems(host: Facts) -> Iterator[str]:
    runtime = host["armed_runtime"]
    if host["docker"]["error"]:
        return
    if not runtime["registered"]:
        yield f"Docker on {host['hostname']} does not know the runtime `{RUNTIME_NAME}`; {ROLE}"
    elif runtime["missing"]:
        yield (
            f"the runtime `{RUNTIME_NAME}` of {host['hostname']} is incomplete: "
            f"{', '.join(runtime['missing'])} missing; {ROLE}"
        )


def _images_dir_problems(host: Facts) -> Iterator[str]:
    room = host["space"]["images_dir"]
    if not room["in_memory"]:
        yield (
            f"{room['path']} on {host['hostname']} is on {room['file_system']}; memory images hold secrets "
            f"and may not reach a disk. Mount a tmpfs there, or {ROLE}"
        )
