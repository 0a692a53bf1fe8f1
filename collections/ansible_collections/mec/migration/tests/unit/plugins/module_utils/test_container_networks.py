# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which interface of a container is on which network, and the order in which Docker makes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.docker.container_networks import (
    IFNAME,
    fixed_mac_addresses,
    interface_names,
    interface_order,
    main_network,
    major_version,
    order_of_docker,
    plan_endpoints,
)
from ansible_collections.mec.migration.plugins.module_utils.docker.container_spec import specification
from ansible_collections.mec.migration.plugins.module_utils.kernel.interfaces import interfaces

INSPECT = Path(__file__).parent / "fixtures/inspect"
MAC = "02:42:ac:1e:00:77"


def inspected(**networks):
    answer = json.loads((INSPECT / "net.json").read_text())
    answer["NetworkSettings"]["Networks"].update(networks)
    return answer


def test_the_main_network_is_found_by_name_and_by_id():
    answer = inspected(other={})
    assert main_network(answer) == "pre-net"
    answer["HostConfig"]["NetworkMode"] = answer["NetworkSettings"]["Networks"]["pre-net"]["NetworkID"]
    assert main_network(answer) == "pre-net"
    answer["HostConfig"]["NetworkMode"] = "gone"
    assert main_network(answer) == ""


def test_a_mac_address_that_was_asked_for_goes_to_the_endpoint_of_its_network():
    answer = inspected(other={"MacAddress": "02:42:ac:12:00:09"})
    answer["Config"]["MacAddress"] = MAC
    spec = specification(answer)
    assert "MacAddress" not in spec["create"]
    assert spec["networks"]["pre-net"]["MacAddress"] == MAC
    # What Docker chose itself is not asked for: there it could be another container's.
    assert "MacAddress" not in spec["networks"]["other"]


def test_that_of_another_network_is_in_dockers_own_file(tmp_path):
    answer = inspected(other={"MacAddress": MAC})
    answer["HostnamePath"] = str(tmp_path / "hostname")
    networks = {"other": {"DesiredMacAddress": MAC}, "pre-net": {"DesiredMacAddress": ""}}
    (tmp_path / "config.v2.json").write_text(json.dumps({"NetworkSettings": {"Networks": networks}}))
    assert fixed_mac_addresses(answer) == {"other": MAC}
    (tmp_path / "config.v2.json").write_text("no json")
    assert fixed_mac_addresses(answer) == {}


def test_names_come_from_the_addresses_of_the_interfaces():
    answer = inspected(other={"MacAddress": MAC}, none={})
    names = interface_names(answer, {MAC: "eth0", "02:42:ac:12:00:02": "eth1"})
    assert names == {"other": "eth0", "pre-net": "eth1"}


def test_the_order_is_that_of_the_numbers():
    names = {"a": "eth10", "b": "eth2", "c": "eth0"}
    assert interface_order(names, ["a", "b", "c", "d"]) == ["c", "b", "a", "d"]
    assert interface_order({}, ["b", "a"]) == ["a", "b"]


def test_docker_before_28_puts_isolated_networks_last_and_sorts_by_name():
    networks = {"b": {}, "a": {"Internal": True}, "c": {"EnableIPv6": True}, "aa": {}}
    assert order_of_docker(networks) == ["c", "aa", "b", "a"]


TWO = {"a": {"Aliases": ["web"]}, "z": {"DriverOpts": {"one": "1"}}}


def test_before_docker_28_those_in_another_order_are_connected_after_the_start():
    spec = {"networks": TWO, "interfaces": {"z": "eth0", "a": "eth1"}}
    plan = plan_endpoints(spec, "26.1.5+dfsg1", {"a": {}, "z": {}})
    assert plan == ({"z": TWO["z"]}, {}, {"a": TWO["a"]})
    in_order = {"networks": TWO, "interfaces": {"a": "eth0", "z": "eth1"}}
    assert plan_endpoints(in_order, "26.1.5", {"a": {}, "z": {}}) == ({"a": TWO["a"]}, {"z": TWO["z"]}, {})
    # An isolated network comes last by itself.
    plan = plan_endpoints(spec, "26.1.5", {"a": {"Internal": True}, "z": {}})
    assert plan == ({"z": TWO["z"]}, {"a": TWO["a"]}, {})


def test_from_docker_28_on_interfaces_are_given_their_names():
    spec = {"networks": TWO, "interfaces": {"z": "eth0", "a": "eth1"}}
    plan = plan_endpoints(spec, "28.5.2", {"a": {}, "z": {}})
    assert plan.create["z"]["DriverOpts"] == {"one": "1", IFNAME: "eth0"}
    assert plan.create["a"] == {"Aliases": ["web"], "DriverOpts": {IFNAME: "eth1"}}
    assert plan.before_start == plan.after_start == {}
    assert TWO["z"] == {"DriverOpts": {"one": "1"}}


def test_a_container_on_one_network_is_created_on_it():
    spec = {"networks": {"a": TWO["a"]}}
    for version in ("26.1.5", "28.5.2"):
        assert plan_endpoints(spec, version, {"a": {}}) == ({"a": TWO["a"]}, {}, {})
    assert plan_endpoints({"networks": {}}, "28.5.2", {}) == ({}, {}, {})


def test_versions():
    assert major_version("28.5.2+dfsg1") == 28
    assert major_version("dev") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")
def test_interfaces_of_another_namespace():
    program = "import ctypes, sys; ctypes.CDLL(None).unshare(0x40000000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "\n"
        there = ["nsenter", "-t", str(other.pid), "-n"]
        subprocess.run([*there, "ip", "link", "add", "eth7", "address", MAC, "type", "veth"], check=True)
        assert interfaces(other.pid)[MAC] == "eth7"
        assert MAC not in interfaces(os.getpid())
        other.stdin.close()
