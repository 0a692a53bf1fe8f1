# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as a specification: taken from ``docker inspect`` on the source, created from on the target."""

from __future__ import annotations

import copy
from typing import Any

from ..base.errors import PreflightError
from .container_networks import fixed_mac_addresses

# Docker's own bookkeeping in these parts of a container: set anew by every create.
_HOST_CONFIG_DROPPED = ("ContainerIDFile", "ConsoleSize", "Runtime")
# What starts a container anew as soon as it misses it, by a label that it gives its containers.
MANAGERS = {
    "com.docker.swarm.task.id": "Docker Swarm",
    "io.kubernetes.pod.uid": "Kubernetes",
    "com.hashicorp.nomad.alloc_id": "Nomad",
    "com.amazonaws.ecs.task-arn": "Amazon ECS",
    "net.azure-devices.edge.owner": "Azure IoT Edge",
    "io.balena.supervised": "balena",
    "io.resin.supervised": "balena",
    "supervisor_managed": "Home Assistant's supervisor",
}
_ENDPOINT_KEPT = ("IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority")


def specification(inspected: dict[str, Any]) -> dict[str, Any]:
    """What makes up the container: enough to create the same one on another host.

    :param inspected: the answer of ``GET /containers/(id)/json``.
    :returns: ``name``, ``image_id``, ``image``, ``restart_policy``, ``create`` (the body of ``POST
        /containers/create``), ``networks`` (endpoint settings by network name) and ``mounts``. Options and
        labels of volumes and names of interfaces are added by the caller, who can ask for them.
    """
    config = copy.deepcopy(inspected["Config"])
    # It goes with the endpoint of its network: with several networks Docker refuses it here.
    config.pop("MacAddress", None)
    host_config = {
        key: value
        for key, value in copy.deepcopy(inspected["HostConfig"]).items()
        if key not in _HOST_CONFIG_DROPPED
    }
    restart_policy = host_config.pop("RestartPolicy", None) or {"Name": "no", "MaximumRetryCount": 0}
    # The target must never start it by itself; the policy is set when the migration is committed.
    host_config["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host_config["PortBindings"] = _port_bindings(host_config.get("PortBindings"))
    _name_mounts(inspected, host_config)
    return {
        "name": inspected["Name"].lstrip("/"),
        "id": inspected["Id"],
        "image_id": inspected["Image"],
        "image": config["Image"],
        "restart_policy": restart_policy,
        "auto_remove": bool(inspected["HostConfig"].get("AutoRemove")),
        "create": dict(config, HostConfig=host_config),
        "networks": _endpoints(inspected),
        "mounts": [
            {
                "type": mount["Type"],
                "name": mount.get("Name", ""),
                "source": mount.get("Source", ""),
                "destination": mount["Destination"],
                "driver": mount.get("Driver", ""),
                "writable": bool(mount.get("RW", True)),
            }
            for mount in inspected.get("Mounts") or []
        ],
    }


def _port_bindings(bindings: dict[str, Any] | None) -> dict[str, Any]:
    """Port bindings of which none is empty.

    An empty list meant a port of Docker's choice up to API 1.51; 1.52 warns, a later one will drop the port.
    """
    any_port = [{"HostIp": "", "HostPort": ""}]
    return {port: listed or list(any_port) for port, listed in (bindings or {}).items()}


def _name_mounts(inspected: dict[str, Any], host_config: dict[str, Any]) -> None:
    """Name those mounts that Docker found by itself, so that create finds the same ones.

    Volumes that only the image asked for have a generated name; what came by ``--volumes-from`` is another
    container's, which the target need not have.
    """
    borrowed = bool(host_config.pop("VolumesFrom", None))
    binds = list(host_config.get("Binds") or [])
    named = {bind.split(":")[1] for bind in binds if ":" in bind}
    named |= {mount["Target"] for mount in host_config.get("Mounts") or []}
    for mount in inspected.get("Mounts") or []:
        if mount["Destination"] in named or not (mount["Type"] == "volume" or borrowed):
            continue
        source = mount["Name"] if mount["Type"] == "volume" else mount["Source"]
        options = [] if mount.get("RW", True) else ["ro"]
        if mount["Type"] == "bind" and mount.get("Propagation") not in (None, "", "rprivate"):
            options.append(mount["Propagation"])
        binds.append(":".join(filter(None, (source, mount["Destination"], ",".join(options)))))
    if binds:
        host_config["Binds"] = binds


def _endpoints(inspected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    short_id = inspected["Id"][:12]
    fixed = fixed_mac_addresses(inspected)
    endpoints = {}
    for network, settings in (inspected["NetworkSettings"].get("Networks") or {}).items():
        kept = {key: settings[key] for key in _ENDPOINT_KEPT if settings.get(key)}
        if "Aliases" in kept:
            kept["Aliases"] = [alias for alias in kept["Aliases"] if alias != short_id]
        if network in fixed:
            kept["MacAddress"] = fixed[network]
        endpoints[network] = kept
    return endpoints


def device_of(mount: dict[str, Any]) -> str:
    """The path of the host that a mount shows: of a bind mount, or of a volume that is one; else empty."""
    if mount["type"] == "bind":
        return str(mount["source"])
    options = mount.get("options") or {}
    device = str(options.get("device") or "")
    bound = {"bind", "rbind"} & set(str(options.get("o") or "").split(","))
    return device if bound and device.startswith("/") else ""


def compared_paths(spec: dict[str, Any]) -> list[str]:
    """Paths of the host that both hosts must be asked about: see :func:`device_of`."""
    return sorted({device_of(mount) for mount in spec["mounts"]} - {""})


def check_movable(inspected: dict[str, Any]) -> None:
    """Refuse containers that a checkpoint cannot carry over.

    :raises PreflightError: with the reason and the remedy.
    """
    name = inspected["Name"].lstrip("/")
    state = inspected["State"]
    host_config = inspected["HostConfig"]
    if state.get("Paused"):
        raise PreflightError(
            f"container {name} is paused. If a migration left it so, run the playbook mec.migration.resolve; "
            f"else `docker unpause {name}` first",
            container_state="frozen",
        )
    if not state.get("Running") or state.get("Restarting"):
        raise PreflightError(
            f"container {name} is {state.get('Status')}, not running; only a running service can be "
            f"migrated. Start it first",
            container_state=str(state.get("Status")),
        )
    _check_manager(name, inspected["Config"].get("Labels") or {})
    if inspected["Config"].get("Tty"):
        raise PreflightError(
            f"container {name} was started with `-t`; CRIU cannot move its terminal to another host. "
            "Start it without `-t`",
            container_state="running",
        )
    for field, option in (
        ("NetworkMode", "--network"),
        ("IpcMode", "--ipc"),
        ("PidMode", "--pid"),
        ("UTSMode", "--uts"),
    ):
        mode = str(host_config.get(field) or "")
        if mode.startswith("container:"):
            raise PreflightError(
                f"container {name} shares a namespace of another container ({option} {mode}); the two "
                "cannot be moved one by one. Give it its own",
                container_state="running",
            )
        if field != "NetworkMode" and mode == "host":
            raise PreflightError(
                f"container {name} uses the host's own namespace ({option} host), which does not move. "
                f"Start it without {option} host",
                container_state="running",
            )
    if host_config.get("UsernsMode") not in (None, "", "host"):
        raise PreflightError(
            f"container {name} runs in a user namespace (--userns {host_config['UsernsMode']}), which does "
            "not move. Start it with --userns host",
            container_state="running",
        )


def _check_manager(name: str, labels: dict[str, Any]) -> None:
    for label, manager in MANAGERS.items():
        if label in labels:
            raise PreflightError(
                f"container {name} is kept by {manager} (label {label}), which starts another one here as "
                f"soon as this one is gone, so two copies would run. Have {manager} move it, or run it with "
                "Docker alone (docker run, Compose)",
                container_state="running",
            )
