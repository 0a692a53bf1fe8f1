# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May this container move from this host to that one? Judged from facts, before anything is touched.

Pure functions over what ``host_facts.collect`` says of the two hosts and what is known of the container.
Each problem is one sentence or two: what is wrong where, what was seen against what is needed, and what
to do about it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ..base.clocks import ClockDifference, jump
from ..base.errors import PreflightError
from ..docker.container_spec import check_movable
from ..memory.trackers import AUTO, SOFT_DIRTY, best, check
from .hosts import host_problems
from .limits import limit_problems
from .networks import (
    late_peer_warnings,
    network_problems,
    network_warnings,
    own_address_problems,
    own_address_warnings,
    own_network_warnings,
)
from .pair import Container, Facts, Pair, Port, version_of
from .processors import architecture_problems, processor_problems
from .room import source_memory, source_space, target_memory, target_space
from .storage import (
    mount_problems,
    mount_warnings,
    shareable_problems,
    size_problems,
    staying_file_problems,
)

# rseq, which every recent C library registers, came with 4.18; the restore registers it again.
KERNEL_NEEDED = (4, 18)
# 4.0 to 4.20, then 5.0 to 5.19, and so on. Major versions of Linux mean nothing: 7.0 came after 6.19.
RELEASES_OF_4, RELEASES_OF_LATER = 21, 20
# Some three and a half years. From 7.2 to 6.12 was tried.
MOST_RELEASES_BEHIND = 20
# Time namespaces came with Linux 5.6. A runc before 1.2.4 does not write that of a restored container into
# its state, so that what `docker exec` starts gets the host's monotonic clock (runc's changelog).
TIME_NAMESPACE_KERNEL = (5, 6)
TIME_NAMESPACE_RUNC = (1, 2, 4)
# A CRIU -> the oldest that has restored, in all tests of moves, what that one dumps.
CRIU_THAT_READS: dict[tuple[int, ...], tuple[int, ...]] = {(4, 3): (4, 2)}

ANY_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


def _source_host(pair: Pair) -> Iterator[str]:
    yield from host_problems(pair.source, restores=False)


def _target_host(pair: Pair) -> Iterator[str]:
    yield from host_problems(pair.target, restores=True)


def _same_host(pair: Pair) -> Iterator[str]:
    ours = pair.source["docker"]["id"]
    if ours and ours == pair.target["docker"]["id"]:
        yield (
            f"source {pair.source['hostname']} and target {pair.target['hostname']} are the same Docker "
            f"daemon ({ours}). If one was cloned from the other, remove the engine-id file below Docker's "
            "root directory on the clone"
        )


def _kernel(pair: Pair) -> Iterator[str]:
    ours, theirs = pair.source["kernel"], pair.target["kernel"]
    if version_of(theirs) < KERNEL_NEEDED:
        yield (
            f"kernel {theirs} of {pair.target['hostname']} is older than 4.18; what C libraries register "
            "with the kernel (rseq) cannot be restored on it. Choose a target with a newer kernel"
        )
    behind = _releases(ours) - _releases(theirs)
    if behind > MOST_RELEASES_BEHIND:
        yield (
            f"kernel {theirs} of {pair.target['hostname']} is {behind} releases behind {ours} of "
            f"{pair.source['hostname']}; the service may hold what it does not know. Choose a target that is "
            f"at most {MOST_RELEASES_BEHIND} behind, or `ignore: [kernel]` to try"
        )


def _releases(kernel: str) -> int:
    """How many releases of Linux came after 4.0, up to that of *kernel*."""
    major, minor = version_of(kernel)[:2]
    return RELEASES_OF_LATER * (major - 5) + RELEASES_OF_4 + minor if major > 4 else minor


def _time_namespace(pair: Pair) -> Iterator[str]:
    if not pair.container.time_namespace:
        return
    target = pair.target
    for what, seen, needed in (
        ("kernel", target["kernel"], TIME_NAMESPACE_KERNEL),
        ("runc", target["docker"]["runc_version"], TIME_NAMESPACE_RUNC),
    ):
        # A missing runc is a problem of its own, and already said.
        if seen and version_of(seen) < needed:
            yield (
                f"container {pair.container.name} has a time namespace of its own, which needs {what} "
                f"{'.'.join(map(str, needed))} or newer; {target['hostname']} has {seen}. Update it, or "
                "choose another target"
            )


def _cgroup(pair: Pair) -> Iterator[str]:
    ours, theirs = pair.source["cgroup"], pair.target["cgroup"]
    if ours["version"] != theirs["version"]:
        yield (
            f"{pair.source['hostname']} uses cgroup version {ours['version']}, {pair.target['hostname']} "
            f"version {theirs['version']}; the mounts below /sys/fs/cgroup are part of a checkpoint and "
            "differ. Boot both with the same version"
        )
        return
    missing = sorted(set(ours["hierarchies"]) - set(theirs["hierarchies"]))
    if missing:
        yield (
            f"{pair.target['hostname']} does not mount the cgroup hierarchies {', '.join(missing)}, which "
            f"containers of {pair.source['hostname']} have. Mount them"
        )


def _real_time(pair: Pair) -> Iterator[str]:
    """Docker gives the container's group the time that the container asks for, which usually is none."""
    container, target = pair.container, pair.target
    if (
        container.inventory.real_time
        and target["cgroup"].get("real_time_groups")
        and not container.host_config.get("CpuRealtimeRuntime")
    ):
        yield (
            f"container {container.name} has threads of real-time priority (SCHED_FIFO, SCHED_RR), and on "
            f"{target['hostname']} a container may have such threads only if it was given time for them. "
            "Start it with `--cpu-rt-runtime`, and Docker's daemon there, too; or choose a target with "
            "cgroup version 2"
        )


def _security_module(pair: Pair) -> Iterator[str]:
    """CRIU refuses a profile of a security module that the host does not have (criu/lsm.c)."""
    profile = str(pair.container.inspected.get("AppArmorProfile") or "")
    label = str(pair.container.inspected.get("ProcessLabel") or "")
    available = pair.target["docker"]["security_options"]
    for what, used, option in (
        ("AppArmor profile", "" if profile == "unconfined" else profile, "name=apparmor"),
        ("SELinux label", label, "name=selinux"),
    ):
        if used and option not in available:
            yield (
                f"container {pair.container.name} runs under the {what} {used}, but Docker on "
                f"{pair.target['hostname']} has no {what.split()[0]}. Enable it there, or start the "
                "container without"
            )


def _movable(pair: Pair) -> Iterator[str]:
    try:
        check_movable(pair.container.inspected)
    except PreflightError as error:
        yield error.message


def _holdings(pair: Pair) -> Iterator[str]:
    yield from pair.container.inventory.refused


def _devices(pair: Pair) -> Iterator[str]:
    config = pair.container.host_config
    devices = [device["PathOnHost"] for device in config.get("Devices") or []]
    devices += [
        str((request.get("Capabilities") or [[request.get("Driver") or "device"]])[0][0])
        for request in config.get("DeviceRequests") or []
    ]
    if devices:
        yield (
            f"container {pair.container.name} has devices of its host ({', '.join(devices)}), whose state "
            "does not move. Start it without them, or `ignore: [devices]` if it has none of them open"
        )


def published(spec: dict[str, Any]) -> list[Port]:
    """The ports that a container publishes under a number of its own choice."""
    found = []
    for key, bindings in (spec["create"]["HostConfig"].get("PortBindings") or {}).items():
        for binding in bindings or []:
            first, _sep, last = str(binding.get("HostPort") or "").partition("-")
            if first.isdigit() and not last:
                found.append(Port(key.partition("/")[2] or "tcp", binding.get("HostIp") or "", int(first)))
    return sorted(found)


def _overlap(one: str, other: str) -> bool:
    """Whether two addresses to bind to exclude each other."""
    if one in ANY_ADDRESSES or other in ANY_ADDRESSES:
        return True
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)


def _ports(pair: Pair) -> Iterator[str]:
    container, target = pair.container, pair.target
    for wanted, how in (
        *((port, "publishes") for port in published(container.spec)),
        *((port, "uses the host's network and listens on") for port in container.listening),
    ):
        said = f"container {container.name} {how} {wanted.protocol} port {wanted.port}"
        if wanted.address not in ANY_ADDRESSES and wanted.address not in target["addresses"]:
            yield (
                f"{said} on address {wanted.address}, which {target['hostname']} does not have. Publish it "
                "on every address"
            )
            continue
        for taken in target["ports"]:
            if (taken["protocol"], taken["port"]) == (wanted.protocol, wanted.port) and _overlap(
                taken["address"], wanted.address
            ):
                holder = taken["held_by"] or "a process outside its view"
                remedy = "Stop that, or publish another port"
                if holder.startswith("docker-proxy "):
                    remedy = (
                        "No container of that host publishes it: Docker has lost track of it, as it does when"
                        " its daemon is killed in the start of a container. Restart Docker there"
                    )
                yield f"{said}, which is taken on {target['hostname']} by {holder}. {remedy}"
                break


def _name(pair: Pair) -> Iterator[str]:
    for other in pair.target["docker"]["containers"]:
        # What an interrupted migration made and never ran, the next one to that host puts away.
        left = other["state"] == "created" and other.get("left_by")
        if other["name"] == pair.container.name and not left:
            yield (
                f"{pair.target['hostname']} has a container {other['name']} already ({other['state']}, "
                f"{other['id'][:12]}). If a migration left it, run the playbook mec.migration.resolve; "
                "else remove or rename it"
            )


def _links(pair: Pair) -> Iterator[str]:
    """Docker starts no container with a link (``--link``) to one that does not run there."""
    containers = pair.target["docker"]["containers"]
    running = {other["name"] for other in containers if other["state"] == "running"}
    for link in pair.container.host_config.get("Links") or []:
        # As inspect has it: `/db:/web/alias`.
        other = str(link).partition(":")[0].strip("/")
        if other not in running:
            yield (
                f"container {pair.container.name} is linked to container {other} (`--link`), which does not "
                f"run on {pair.target['hostname']}. Have {other} run there first, or put both on a network "
                "of your own, where names are found without links"
            )


def _log_driver(pair: Pair) -> Iterator[str]:
    driver = str((pair.container.host_config.get("LogConfig") or {}).get("Type") or "")
    available = pair.target["docker"]["log_drivers"]
    if driver not in ("", "none") and available and driver not in available:
        yield (
            f"container {pair.container.name} logs through {driver}, which Docker on "
            f"{pair.target['hostname']} does not have. Install that plugin"
        )


class Check(NamedTuple):
    """One question. Checks of the same name are left out together."""

    name: str
    problems: Callable[[Pair], Iterable[str]]
    needs_target: bool = True


CHECKS = (
    Check("container", _movable, needs_target=False),
    Check("holdings", _holdings, needs_target=False),
    Check("mounts", shareable_problems, needs_target=False),
    Check("devices", _devices, needs_target=False),
    Check("source", _source_host, needs_target=False),
    Check("space", source_space, needs_target=False),
    Check("memory", source_memory, needs_target=False),
    Check("target", _target_host),
    Check("same_host", _same_host),
    Check("architecture", architecture_problems),
    Check("processor", processor_problems),
    Check("kernel", _kernel),
    Check("time_namespace", _time_namespace),
    Check("cgroup", _cgroup),
    Check("real_time", _real_time),
    Check("limits", limit_problems),
    Check("security_module", _security_module),
    Check("space", target_space),
    Check("memory", target_memory),
    Check("name", _name),
    Check("ports", _ports),
    Check("networks", network_problems),
    Check("own_address", own_address_problems),
    Check("mounts", mount_problems),
    Check("mounts", staying_file_problems),
    Check("mounts", size_problems),
    Check("log_driver", _log_driver),
    Check("links", _links),
)
# What the user may know better; the others cannot but fail.
IGNORABLE = ("processor", "kernel", "devices", "memory", "holdings")


def problems(
    source: Facts,
    target: Facts | None,
    container: Container,
    ignore: Iterable[str] = (),
    *,
    lean: bool = False,
) -> list[str]:
    """Everything that stands against the migration; empty if nothing does.

    :param target: None if it is not known yet: then only the source and the container are judged.
    :param ignore: names of checks, of :data:`IGNORABLE`, to leave out.
    :param lean: neither host keeps the service's memory twice.
    """
    left_out = set(ignore)
    pair = Pair(source, target or source, container, lean)
    return [
        text
        for check in CHECKS
        if check.name not in left_out and (target is not None or not check.needs_target)
        for text in check.problems(pair)
    ]


def warnings(
    source: Facts, target: Facts | None, container: Container, clock: ClockDifference | None = None
) -> list[str]:
    """What will work, and still may surprise.

    :param clock: by how much the target's clock differs, if that is known.
    """
    found = [*container.inventory.said, *own_network_warnings(Pair(source, target or source, container))]
    for key, bindings in (container.host_config.get("PortBindings") or {}).items():
        if any(not str(binding.get("HostPort") or "").isdigit() for binding in bindings or []):
            found.append(f"the published port of {key} is chosen by Docker and will be another one")
    if container.host_config.get("PublishAllPorts"):
        found.append("published ports (-P) are chosen by Docker and will be others")
    if container.host_config.get("IpcMode") == "shareable":
        found.append(
            "the content of /dev/shm does not move (`--ipc shareable`): what the service puts there from "
            "now on is lost"
        )
    for each in container.changed_files:
        found.append(
            f"container {container.name} has changed {each}, which Docker writes anew on the target: the "
            "change is lost. Use `--add-host`, `--hostname` or `--dns`, which move, or make it again with "
            "`docker exec` there or in a hook of the migration (on_handover)"
        )
    huge_pages = source["memory"]["transparent_hugepages"]
    if SOFT_DIRTY in source["trackers"]["available"] and huge_pages == "always":
        found.append(
            f"transparent huge pages are `always` on {source['hostname']}: soft-dirty counts in 2 MB "
            "steps, so each round reads more pages than were changed"
        )
    for host in (source, target):
        if host is not None and host["memory"].get("swap_bytes", 0):
            found.append(
                f"{host['hostname']} has swap: the service's memory, which lies in a tmpfs during the move, "
                "can reach a disk. Encrypt the swap or switch it off (`swapoff -a`) if that must not be"
            )
    if target is not None and clock is not None and clock.telling:
        found.append(jump(source["hostname"], target["hostname"], clock))
    return found + (_target_warnings(source, target, container) if target else [])


def _target_warnings(source: Facts, target: Facts, container: Container) -> list[str]:
    found = []
    writes = version_of(source["criu"]["version"])[:2]
    if version_of(target["criu"]["version"])[:2] < CRIU_THAT_READS.get(writes, writes):
        found.append(
            f"CRIU {target['criu']['version']} on {target['hostname']} is older than "
            f"{source['criu']['version']} on {source['hostname']} and may not read all that it writes"
        )
    if source["zstd"] != target["zstd"]:
        lacking = target if source["zstd"] else source
        found.append(f"{lacking['hostname']} has no libzstd, so nothing is compressed on the way")
    pair = Pair(source, target, container)
    found += [
        *mount_warnings(pair),
        *network_warnings(pair),
        *own_address_warnings(pair),
        *late_peer_warnings(pair),
    ]
    return found


def tracker_plan(source: Facts, wanted: str) -> dict[str, str]:
    """Which tracker will be used, and why.

    :raises PreflightError: the one that is wanted does not work there.
    """
    against = source["trackers"]["obstacles"]
    if wanted == AUTO:
        name, why = best(against)
        return {"name": name, "why": why}
    check(wanted, against, source["hostname"])
    return {"name": wanted, "why": "asked for"}
