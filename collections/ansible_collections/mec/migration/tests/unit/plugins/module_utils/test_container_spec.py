# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specifications of real containers: what `docker inspect` said of them, and what is made of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.docker.container_spec import (
    check_movable,
    specification,
)

INSPECT = Path(__file__).parent / "fixtures/inspect"
KINDS = sorted(path.stem for path in INSPECT.glob("*.json"))


def inspected(kind):
    return json.loads((INSPECT / f"{kind}.json").read_text())


def host_config(kind):
    return specification(inspected(kind))["create"]["HostConfig"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind(kind):
    """What holds for every container, and that the answer it is made from stays as it was."""
    answer = inspected(kind)
    kept = copy.deepcopy(answer)
    spec = specification(answer)
    assert answer == kept
    assert json.loads(json.dumps(spec)) == spec
    assert spec["name"] == f"pre-{kind}"
    assert spec["image_id"].startswith("sha256:")
    assert spec["create"]["Image"] == spec["image"] == "mec-demo/redis"
    assert spec["create"]["Env"] == answer["Config"]["Env"]
    assert spec["create"]["Hostname"] == answer["Config"]["Hostname"]
    config = spec["create"]["HostConfig"]
    assert "Runtime" not in config
    assert "ContainerIDFile" not in config
    # Whatever the policy was, the target must not start the container by itself.
    assert config["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


def test_a_restart_policy_is_kept_for_the_commit():
    assert specification(inspected("anon"))["restart_policy"]["Name"] == "always"
    assert specification(inspected("redis"))["restart_policy"]["Name"] in ("no", "unless-stopped")


def test_limits_labels_ports_and_logging_are_kept():
    spec = specification(inspected("anon"))
    config = spec["create"]["HostConfig"]
    assert config["Memory"] == 100 << 20
    assert config["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]
    assert config["Tmpfs"] == {"/tt": ""}
    assert config["LogConfig"]["Type"] == "local"
    assert spec["create"]["Labels"]["x"] == "y"
    assert "A=b" in spec["create"]["Env"]
    assert host_config("redis")["PortBindings"] == {"6379/tcp": [{"HostIp": "", "HostPort": "6379"}]}


def test_what_came_from_another_container_is_named():
    answer = inspected("anon")
    answer["HostConfig"]["VolumesFrom"] = ["data:ro"]
    answer["HostConfig"]["Binds"] = ["/srv/own:/own"]
    bind = {
        "Type": "bind",
        "Source": "/srv/own",
        "Destination": "/own",
        "RW": True,
        "Propagation": "rprivate",
    }
    answer["Mounts"] = [
        bind,
        {"Type": "volume", "Name": "kept", "Source": "/v", "Destination": "/data", "RW": False},
        dict(bind, Source="/srv/a", Destination="/a", RW=False, Propagation="rslave"),
        dict(bind, Source="/srv/b", Destination="/b"),
    ]
    host_config = specification(answer)["create"]["HostConfig"]
    assert host_config["Binds"] == ["/srv/own:/own", "kept:/data:ro", "/srv/a:/a:ro,rslave", "/srv/b:/b"]
    assert "VolumesFrom" not in host_config


def test_anonymous_volumes_are_named_so_that_the_same_ones_come_back():
    spec = specification(inspected("anon"))
    names = {mount["destination"]: mount["name"] for mount in spec["mounts"]}
    assert spec["create"]["HostConfig"]["Binds"] == [
        "pre-vol:/v:ro",
        f"{names['/anon']}:/anon",
        f"{names['/data']}:/data",
    ]


def test_mounts_that_are_named_already_are_not_named_twice():
    config = host_config("mount")
    targets = [mount["Target"] for mount in config["Mounts"]]
    assert targets == ["/mnt/hosts", "/vol"]
    # The image's own volume is the only one that had no name.
    assert [bind.split(":")[1] for bind in config["Binds"]] == ["/data"]


def test_mounts_say_what_they_are():
    by_destination = {mount["destination"]: mount for mount in specification(inspected("mount"))["mounts"]}
    assert by_destination["/mnt/hosts"] == {
        "type": "bind",
        "name": "",
        "source": "/etc/hosts",
        "destination": "/mnt/hosts",
        "driver": "",
        "writable": False,
    }
    assert by_destination["/vol"]["name"] == "pre-vol"
    assert by_destination["/vol"]["driver"] == "local"
    assert by_destination["/vol"]["writable"] is True


def test_networks_keep_aliases_and_fixed_addresses_and_nothing_of_the_old_endpoint():
    (name, settings), *others = specification(inspected("mount"))["networks"].items()
    assert (name, others) == ("pre-sub", [])
    assert settings["IPAMConfig"] == {"IPv4Address": "172.30.7.77"}
    assert settings["Aliases"] == ["cache"]
    assert set(settings) == {"IPAMConfig", "Aliases"}


def test_the_alias_that_docker_made_of_the_id_is_dropped():
    answer = inspected("mount")
    answer["NetworkSettings"]["Networks"]["pre-sub"]["Aliases"] = ["cache", answer["Id"][:12]]
    assert specification(answer)["networks"]["pre-sub"]["Aliases"] == ["cache"]


def test_the_plain_bridge_has_no_settings():
    assert specification(inspected("redis"))["networks"] == {"bridge": {}}
    assert specification(inspected("host"))["networks"] == {"host": {}}


def test_a_container_that_removes_itself_is_known_as_such():
    assert specification(inspected("rm"))["auto_remove"] is True
    assert specification(inspected("redis"))["auto_remove"] is False


@pytest.mark.parametrize("kind", ["redis", "net", "host", "mount", "rm"])
def test_movable(kind):
    check_movable(inspected(kind))


REFUSED = {
    "anon": ("is paused", "frozen"),
    "bind": ("was started with `-t`", "running"),
    "cfg": ("--network container:", "running"),
    "exited": ("is exited, not running", "exited"),
    "ipc": ("--ipc host", "running"),
}


@pytest.mark.parametrize(("kind", "reason"), REFUSED.items())
def test_refused(kind, reason):
    text, state = reason
    with pytest.raises(PreflightError) as caught:
        check_movable(inspected(kind))
    assert text in caught.value.message
    assert f"pre-{kind}" in caught.value.message
    assert caught.value.container_state == state
    assert caught.value.phase == "preflight"


@pytest.mark.parametrize(
    ("field", "option"), [("UTSMode", "--uts host"), ("PidMode", "--pid host"), ("IpcMode", "--ipc host")]
)
def test_a_namespace_of_the_host_is_refused(field, option):
    answer = inspected("redis")
    answer["HostConfig"][field] = "host"
    with pytest.raises(PreflightError, match=option):
        check_movable(answer)


@pytest.mark.parametrize(
    ("label", "manager"),
    [("com.docker.swarm.task.id", "Docker Swarm"), ("net.azure-devices.edge.owner", "Azure IoT Edge")],
)
def test_what_something_else_starts_anew_is_refused(label, manager):
    answer = inspected("redis")
    answer["Config"]["Labels"] = {"com.docker.compose.project": "web"}
    check_movable(answer)
    answer["Config"]["Labels"][label] = ""
    with pytest.raises(PreflightError, match=f"kept by {manager}.*two copies"):
        check_movable(answer)


def test_a_user_namespace_is_refused():
    answer = inspected("redis")
    answer["HostConfig"]["UsernsMode"] = "private"
    with pytest.raises(PreflightError, match="user namespace"):
        check_movable(answer)


def test_a_restarting_container_is_not_running():
    answer = inspected("redis")
    answer["State"].update(Restarting=True, Status="restarting")
    with pytest.raises(PreflightError, match="is restarting, not running"):
        check_movable(answer)
