# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edge host can do: the facts that a preflight judges.

Standard library alone, so that it can tell what is missing; a tenth of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..base.errors import PreflightError
from ..base.paths import RUNTIME_NAME
from ..criu.program import criu_path
from ..criu.program import version as criu_version
from ..criu.rpc import features
from ..docker.engine import Engine
from ..kernel.kernel_limits import kernel_limits
from ..kernel.mountinfo import mounts
from ..kernel.process_limits import largest_pipe_bytes
from ..kernel.process_memory import PAGE_BYTES, Pagemap, anonymous_ranges
from ..kernel.sockets import Listener, addresses, command, holders, listeners
from ..kernel.storage import storage
from ..memory.trackers import COMPARE, best, obstacles
from ..state.journal import TARGET, read_journals
from ..transport import zstd

IMAGES_DIR = "/run/mec-migration"
RUNTIME_DIR = "/usr/local/lib/mec-migration"
RUNTIME_FILES = (
    "mec-runtime",
    "armed_runtime.py",
    "criu_gate.py",
    "criu_actions",
    "fill_system_v.py",
    "gate/criu",
)

# /proc/cpuinfo of arm64: ARM's own number, and those of its cores that edge hosts have (lscpu has them all).
ARM = "0x41"
ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
    "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720",
}


def collect(images_dir: str = IMAGES_DIR, paths: list[str] | None = None) -> dict[str, Any]:
    """Everything, as plain values.

    :param images_dir: where memory images and mirrors will be.
    :param paths: of which to say what they are on this host: bind mounts of a service to come.
    """
    docker = docker_facts()
    return {
        "hostname": platform.node(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "page_bytes": PAGE_BYTES,
        "python_bits": sys.maxsize.bit_length() + 1,
        "cpu": cpu_facts(),
        "memory": memory_facts(),
        "cgroup": cgroup_facts(),
        "limits": kernel_limits(),
        "python": platform.python_version(),
        "docker_sdk": importlib.util.find_spec("docker") is not None,
        "zstd": zstd.load() is not None,
        "criu": criu_facts(),
        "trackers": tracker_facts(),
        "docker": docker,
        "armed_runtime": armed_runtime_facts(docker),
        "space": {
            "images_dir": space(images_dir),
            "docker_root": space(docker["root_dir"] or "/var/lib/docker"),
        },
        "addresses": addresses(),
        "ports": ports(docker),
        "paths": {path: kind_of(path) for path in paths or []},
        "files": dict(_files(paths or [])),
        "storage": storage_facts(paths or []),
        "clock_s": time.time(),
    }


def cpu_facts(cpuinfo: str = "/proc/cpuinfo") -> dict[str, Any]:
    """Vendor, model and features of the first processor, as /proc/cpuinfo names them."""
    fields: dict[str, str] = {}
    with open(cpuinfo, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _sep, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    vendor, part = fields.get("CPU implementer", ""), fields.get("CPU part", "")
    return {
        "vendor": fields.get("vendor_id") or vendor,
        # On arm64 there are numbers only.
        "model": fields.get("model name") or ARM_CORES.get(part if vendor == ARM else "", f"{vendor} {part}"),
        "count": os.cpu_count() or 1,
        "features": sorted((fields.get("flags") or fields.get("Features", "")).split()),
    }


def memory_facts() -> dict[str, Any]:
    sizes: dict[str, int] = {}
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            name, _sep, value = line.partition(":")
            sizes[name] = int(value.split()[0]) * 1024
    mode = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "total_bytes": sizes["MemTotal"],
        "available_bytes": sizes.get("MemAvailable", sizes["MemFree"]),
        "swap_bytes": sizes.get("SwapTotal", 0),
        "transparent_hugepages": mode.group(1) if mode else "never",
    }


def cgroup_facts() -> dict[str, Any]:
    """Version, and for version 1 the hierarchies that are mounted: they become part of a checkpoint.

    ``real_time_groups`` is whether a group has real-time threads only if it was given time for them.
    """
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return {"version": 2, "hierarchies": [], "real_time_groups": False}
    points = [mount.point for mount in mounts() if mount.kind == "cgroup"]
    return {
        "version": 1,
        "hierarchies": sorted(os.path.basename(point) for point in points),
        "real_time_groups": any(os.path.exists(f"{point}/cpu.rt_runtime_us") for point in points),
    }


def criu_facts() -> dict[str, Any]:
    version = criu_version()
    return {
        "path": criu_path(),
        "version": ".".join(map(str, version)),
        "features": features() if version else {},
        "largest_pipe_bytes": largest_pipe_bytes(),
    }


def tracker_facts() -> dict[str, Any]:
    """Which trackers of dirty pages this kernel allows, and the one that C(auto) takes."""
    against = obstacles()
    return {
        "available": [COMPARE, *(name for name, why in against.items() if not why)],
        "auto": best(against)[0],
        "obstacles": against,
        "pagemap_scan": _pagemap_scan_works(),
    }


def _pagemap_scan_works() -> bool:
    with Pagemap(os.getpid()) as pagemap:
        pagemap.present(list(anonymous_ranges(os.getpid()))[:1])
        return pagemap.scan_works


def docker_facts() -> dict[str, Any]:
    """The daemon's answers; ``error`` says why there are none."""
    facts: dict[str, Any] = {
        "id": "",
        "version": "",
        "api_version": "",
        "runc_version": runc_version(),
        "storage_driver": "",
        "containerd_image_store": False,
        "backing_file_system": "",
        "root_dir": "",
        "runtimes": {},
        "security_options": [],
        "log_drivers": [],
        "volume_plugins": [],
        "networks": [],
        "volumes": [],
        "containers": [],
        "error": "",
    }
    try:
        engine = Engine()
    except PreflightError as error:
        facts["error"] = error.message
        return facts
    try:
        info = engine.get("/info")
        version = engine.get("/version")
        networks = engine.get("/networks")
        volumes = engine.get("/volumes").get("Volumes") or []
        containers = engine.get("/containers/json?all=true")
    except OSError as error:
        facts["error"] = str(error)
        return facts
    finally:
        engine.close()
    plugins = info.get("Plugins") or {}
    facts.update(
        id=info.get("ID", ""),
        version=version.get("Version", ""),
        api_version=version.get("ApiVersion", ""),
        storage_driver=info.get("Driver", ""),
        containerd_image_store="io.containerd.snapshotter.v1" in str(info.get("DriverStatus")),
        backing_file_system=dict(info.get("DriverStatus") or []).get("Backing Filesystem", ""),
        root_dir=info.get("DockerRootDir", ""),
        runtimes={name: runtime.get("path", "") for name, runtime in (info.get("Runtimes") or {}).items()},
        security_options=[option.split(",")[0] for option in info.get("SecurityOptions") or []],
        log_drivers=plugins.get("Log") or [],
        volume_plugins=plugins.get("Volume") or [],
        networks=[_network(network) for network in networks],
        volumes=[_volume(volume) for volume in volumes],
        containers=_containers(containers),
    )
    return facts


def _network(network: dict[str, Any]) -> dict[str, Any]:
    ranges = (network.get("IPAM") or {}).get("Config") or []
    return {
        "name": network["Name"],
        "driver": network["Driver"],
        "internal": bool(network.get("Internal")),
        "ipv6": bool(network.get("EnableIPv6")),
        "attachable": bool(network.get("Attachable")),
        "ranges": [
            {
                "subnet": one.get("Subnet", ""),
                "gateway": one.get("Gateway", ""),
                "ip_range": one.get("IPRange", ""),
            }
            for one in ranges
        ],
        "options": network.get("Options") or {},
        "labels": network.get("Labels") or {},
    }


def _volume(volume: dict[str, Any]) -> dict[str, Any]:
    """A volume whose file system is mounted only while it is used shows no entries when it is not."""
    entries = 0
    with contextlib.suppress(OSError):
        entries = len(os.listdir(volume.get("Mountpoint") or ""))
    return {
        "name": volume["Name"],
        "driver": volume["Driver"],
        "options": volume.get("Options") or {},
        "labels": volume.get("Labels") or {},
        "entries": entries,
    }


def _files(paths: list[str]) -> Iterator[tuple[str, dict[str, int]]]:
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            yield path, {"mode": status.st_mode, "size_bytes": status.st_size}


def storage_facts(paths: list[str]) -> dict[str, Any]:
    """What each path lies on, as far as it is there."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = storage(path)._asdict()
    return found


def _containers(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each container what matters; ``left_by`` is the migration to this host that made it, if one did."""
    entries = read_journals().entries
    made_by = {entry.container_id: entry.migration_id for entry in entries if entry.side == TARGET}
    return [dict(_container(one), left_by=made_by.get(one["Id"], "")) for one in listed]


def _container(listed: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": (listed["Names"] or ["/"])[0].lstrip("/"),
        "id": listed["Id"],
        "state": listed["State"],
        "mounts": sorted(
            mount.get("Name") or mount.get("Source") or "" for mount in listed.get("Mounts") or []
        ),
        "published": [
            {"protocol": port["Type"], "address": port.get("IP", ""), "port": port["PublicPort"]}
            for port in listed.get("Ports") or []
            if "PublicPort" in port
        ],
    }


def runc_version() -> str:
    """Of the runc in the path, which both Docker's shim and the armed runtime call; empty if missing."""
    try:
        out = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    words = out.stdout.split()
    return words[2] if len(words) > 2 else ""


def armed_runtime_facts(docker: dict[str, Any]) -> dict[str, Any]:
    """Whether Docker knows the runtime, and a digest of its files that tells versions apart."""
    directory = os.path.dirname(docker["runtimes"].get(RUNTIME_NAME, "")) or RUNTIME_DIR
    digest = hashlib.sha256()
    missing = []
    for name in RUNTIME_FILES:
        try:
            with open(os.path.join(directory, name), "rb") as content:
                digest.update(content.read())
        except OSError:
            missing.append(os.path.join(directory, name))
    return {
        "registered": RUNTIME_NAME in docker["runtimes"],
        "directory": directory,
        "missing": missing,
        "version": "" if missing else digest.hexdigest()[:12],
    }


def ports(docker: dict[str, Any]) -> list[dict[str, Any]]:
    """Ports that are taken: those that processes listen on and those that Docker publishes."""
    sockets = listeners()
    by_inode = holders(socket.inode for socket in sockets)
    taken = {
        (entry["protocol"], entry["address"], entry["port"]): f"container {container['name']}"
        for container in docker["containers"]
        for entry in container["published"]
    }
    for socket in sockets:
        taken.setdefault(socket[:3], _holder(socket, by_inode))
    return [
        {"protocol": protocol, "address": address, "port": port, "held_by": holder}
        for (protocol, address, port), holder in sorted(taken.items())
    ]


def _holder(socket: Listener, by_inode: dict[int, int]) -> str:
    pid = by_inode.get(socket.inode)
    return f"{command(pid)} (process {pid})" if pid else ""


def space(path: str) -> dict[str, Any]:
    """Room below *path*, or below the nearest directory above it that is there."""
    existing = os.path.abspath(path)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    figures = os.statvfs(existing)
    file_system = _file_system(existing)
    return {
        "path": path,
        "free_bytes": figures.f_bavail * figures.f_frsize,
        "total_bytes": figures.f_blocks * figures.f_frsize,
        "file_system": file_system,
        "in_memory": file_system in ("tmpfs", "ramfs"),
    }


def _file_system(path: str) -> str:
    """The type of the file system that *path* is on."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((mount.kind for mount in mounts() if mount.device == wanted), "unknown")


def kind_of(path: str) -> str:
    """``directory``, ``file``, ``other`` (a device, a socket), or ``absent``."""
    if os.path.isdir(path):
        return "directory"
    if os.path.isfile(path):
        return "file"
    return "other" if os.path.lexists(path) else "absent"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as content:
            return content.read()
    except OSError:
        return ""
