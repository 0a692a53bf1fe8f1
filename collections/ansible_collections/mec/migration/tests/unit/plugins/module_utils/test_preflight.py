# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason not to migrate, from real facts and real `docker inspect` answers, changed one at a time."""

from __future__ import annotations

import copy
import ipaddress
import json
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.clocks import ClockDifference
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.docker.container_spec import specification
from ansible_collections.mec.migration.plugins.module_utils.docker.runc_state import RuncState
from ansible_collections.mec.migration.plugins.module_utils.kernel.own_network import OwnNetwork, Route
from ansible_collections.mec.migration.plugins.module_utils.kernel.sockets import is_own_address
from ansible_collections.mec.migration.plugins.module_utils.preflight import checks as preflight
from ansible_collections.mec.migration.plugins.module_utils.preflight.pair import Container, Port, Refused
from ansible_collections.mec.migration.plugins.module_utils.preflight.preflight import Preflight, estimate
from ansible_collections.mec.migration.plugins.module_utils.preflight.room import choose_memory, images_needed
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import Inventory
from ansible_collections.mec.migration.plugins.module_utils.service.staying_files import StayingFile

FIXTURES = Path(__file__).parent / "fixtures"
FACTS = json.loads((FIXTURES / "edge_host.json").read_text())
MIB = 1 << 20


def host(name, **changes):
    """Real facts under another name; ``docker__error="..."`` changes ``docker.error``."""
    facts = copy.deepcopy(FACTS)
    facts["hostname"] = name
    facts["docker"]["id"] = name
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = facts
        for parent in parents:
            at = at[parent]
        at[last] = value
    return facts


def container(kind, memory_bytes=256 * MIB, moved=None, listening=(), **config):
    inspected = json.loads((FIXTURES / f"inspect/{kind}.json").read_text())
    inspected["HostConfig"].update(config)
    spec = specification(inspected)
    volumes = tuple(mount["destination"] for mount in spec["mounts"] if mount["type"] == "volume")
    return Container(inspected, spec, memory_bytes, volumes if moved is None else moved, listening)


def found(source, target, what, ignore=()):
    return preflight.problems(source, target, what, ignore)


def only(problems):
    assert len(problems) == 1, problems
    return problems[0]


def test_a_time_namespace_needs_a_kernel_and_a_runc_that_know_it():
    redis = container("redis")
    private = redis._replace(time_namespace=True)
    old = host("east", kernel="5.4.0-216-generic")
    assert old["docker"]["runc_version"] == "1.1.15+ds1"
    assert not any("time namespace" in problem for problem in found(host("west"), old, redis))
    problems = [problem for problem in found(host("west"), old, private) if "time namespace" in problem]
    assert len(problems) == 2
    assert "needs kernel 5.6 or newer; east has 5.4.0-216-generic" in problems[0]
    assert "needs runc 1.2.4 or newer; east has 1.1.15+ds1" in problems[1]
    for version in ("1.2.4", "1.3.0-rc.1", "1.5.0~ds"):
        assert found(host("west"), host("east", docker__runc_version=version), private) == []


@pytest.mark.parametrize(("kinds", "private"), [(["NEWNS", "NEWTIME"], True), (["NEWNS", "NEWNET"], False)])
def test_a_time_namespace_is_seen_in_runcs_state(kinds, private):
    config = {"namespaces": [{"type": kind, "path": ""} for kind in kinds]}
    assert RuncState("/run", "/run/x", 1, config).time_namespace is private
    assert not RuncState("/run", "/run/x", 1, {}).time_namespace


def test_nothing_stands_against_a_plain_service_between_two_equal_hosts():
    source, target, redis = host("west"), host("east"), container("redis")
    assert found(source, target, redis) == []
    assert found(source, None, redis) == []
    assert preflight.warnings(source, target, redis) == []


@pytest.mark.parametrize(
    ("state", "left_by", "count"), [("created", "redis-1", 0), ("created", "", 1), ("running", "redis-1", 1)]
)
def test_what_an_interrupted_migration_made_is_not_in_the_way(state, left_by, count):
    target, redis = host("east"), container("redis")
    other = {"name": redis.name, "id": "a" * 64, "state": state, "mounts": [], "published": []}
    target["docker"]["containers"] = [dict(other, left_by=left_by)]
    assert len(found(host("west"), target, redis)) == count


@pytest.mark.parametrize("side", [0, 1])
def test_swap_is_said_for_memory_can_reach_a_disk(side):
    hosts = [host("west"), host("east")]
    hosts[side]["memory"]["swap_bytes"] = 1 << 30
    (warning,) = preflight.warnings(*hosts, container("redis"))
    assert hosts[side]["hostname"] in warning
    assert "swapoff" in warning


SOURCE_OR_TARGET = {
    "32-bit programs": ({"python_bits": 32}, ["programs of 32 bits", "64-bit system"]),
    "no CRIU": ({"criu__version": "", "criu__path": ""}, ["CRIU is not installed", "4.2", "role"]),
    "CRIU does not run": ({"criu__version": ""}, ["/usr/sbin/criu does not run"]),
    "old CRIU": ({"criu__version": "4.1.1"}, ["4.1.1", "4.2 or later"]),
    "no runc": ({"docker__runc_version": ""}, ["runc is not installed"]),
    "no SDK": ({"docker_sdk": False}, ["Docker SDK", "python3-docker"]),
    "storage driver": ({"docker__storage_driver": "vfs"}, ["vfs", "overlay2"]),
    "snapshotter": (
        {"docker__containerd_image_store": True, "docker__storage_driver": "stargz"},
        ["containerd (stargz)", "overlayfs"],
    ),
    "snapshotter overlay2": ({"docker__containerd_image_store": True}, ["storage-driver", "Take"]),
    "rootless": ({"docker__security_options": ["name=rootless"]}, ["without root"]),
    "images on disk": (
        {"space__images_dir__in_memory": False, "space__images_dir__file_system": "ext4"},
        ["ext4", "tmpfs"],
    ),
    "no space": ({"space__images_dir__free_bytes": 100 * MIB}, ["105 MB free", "268 MB of memory", "tmpfs"]),
    "no memory": ({"memory__available_bytes": 100 * MIB}, ["105 MB of memory left", "ignore: [memory]"]),
}


@pytest.mark.parametrize(("changes", "words"), SOURCE_OR_TARGET.values(), ids=SOURCE_OR_TARGET.keys())
@pytest.mark.parametrize("side", ["source", "target"])
def test_what_either_host_lacks(side, changes, words):
    good, bad = host("good"), host("bad", **changes)
    pair = (bad, good) if side == "source" else (good, bad)
    text = only(found(*pair, container("redis")))
    assert "bad" in text
    for word in words:
        assert word in text


def test_a_silent_docker_on_the_target_is_one_problem_not_ten():
    error = "[Errno 2] No such file or directory"
    silent = host("east", docker__error=error, docker__runtimes={}, docker__networks=[])
    silent["armed_runtime"]["registered"] = False
    text = only(found(host("west"), silent, container("net", PortBindings={})))
    assert error in text


TARGET = {
    "armed runtime": ({"armed_runtime__registered": False}, ["does not know the runtime `mec`", "role"]),
    "incomplete runtime": (
        {"armed_runtime__missing": ["/usr/local/lib/mec-migration/armed_runtime.py"]},
        ["armed_runtime.py missing"],
    ),
    "kernel too old": ({"kernel": "4.15.0-generic"}, ["4.15.0-generic", "4.18"]),
    "cgroup version": ({"cgroup__version": 2}, ["version 1", "version 2", "checkpoint"]),
    "cgroup hierarchies": ({"cgroup__hierarchies": ["freezer"]}, ["cpuset", "Mount them"]),
    "log driver": ({"docker__log_drivers": ["journald"]}, ["json-file"]),
    "port taken": (
        {"ports": [{"protocol": "tcp", "address": "::", "port": 6379, "held_by": "nginx (process 7)"}]},
        ["tcp port 6379", "nginx (process 7)", "Stop that"],
    ),
    "name taken": (
        {"docker__containers": [{"name": "pre-redis", "id": "f" * 64, "state": "exited", "published": []}]},
        ["container pre-redis already", "exited", "mec.migration.resolve"],
    ),
    "foreign volume": (
        {"docker__volumes": [{"name": "VOLUME", "driver": "nfs"}]},
        ["driver nfs", "Remove or rename"],
    ),
}


@pytest.mark.parametrize(("changes", "words"), TARGET.values(), ids=TARGET.keys())
def test_what_the_target_lacks(changes, words):
    redis = container("redis")
    text = json.dumps(changes).replace("VOLUME", redis.spec["mounts"][0]["name"])
    problems = found(host("west"), host("east", **json.loads(text)), redis)
    assert "east" in problems[0]
    for word in words:
        assert word in problems[0]


def test_another_architecture_is_told_once():
    arm = host("east", architecture="aarch64", cpu__features=["fp", "asimd"])
    for source, target in ((host("west"), arm), (arm, host("west"))):
        text = only(found(source, target, container("redis")))
        assert "aarch64" in text
        assert "x86_64" in text


def test_a_lesser_processor_is_refused_with_what_it_lacks_and_can_be_overridden():
    features = [name for name in FACTS["cpu"]["features"] if not name.startswith("avx512")]
    lesser = host("east", cpu__features=features)
    text = only(found(host("west"), lesser, container("redis")))
    assert "avx512_bf16" in text
    assert "more" in text
    assert "ignore: [processor]" in text
    assert found(host("west"), lesser, container("redis"), ["processor"]) == []
    # The other way round all is well.
    assert found(lesser, host("west"), container("redis")) == []


def test_features_that_only_the_kernel_uses_do_not_count():
    without = [
        name for name in FACTS["cpu"]["features"] if name not in ("smep", "smap", "x2apic", "hypervisor")
    ]
    assert found(host("west"), host("east", cpu__features=without), container("redis")) == []


def test_on_arm_every_feature_counts():
    west = host("west", architecture="aarch64", cpu__features=["asimd", "paca"])
    east = host("east", architecture="aarch64", cpu__features=["asimd"])
    assert "paca" in only(found(west, east, container("redis")))
    assert found(east, west, container("redis")) == []


def test_on_arm_registers_that_criu_does_not_carry_are_named():
    both = [
        host(
            name,
            architecture="aarch64",
            cpu__features=["asimd", "sve", "sme", "sve2"],
            cpu__model="Neoverse-V2",
        )
        for name in ("west", "east")
    ]
    text = only(found(*both, container("redis")))
    assert "the processor of west (Neoverse-V2) has sve and sme" in text
    assert "`arm64.nosve arm64.nosme`" in text
    assert found(*both, container("redis"), ["processor"]) == []
    # What only the target has was never in use.
    plain = host("west", architecture="aarch64", cpu__features=["asimd"])
    assert found(plain, both[1], container("redis")) == []


def test_pages_of_another_size_are_refused():
    pair = host("west", architecture="aarch64"), host("east", architecture="aarch64", page_bytes=16384)
    text = only(found(*pair, container("redis")))
    assert "16384 bytes on east and 4096 on west" in text
    assert found(pair[1], host("third", architecture="aarch64", page_bytes=16384), container("redis")) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "behind"),
    [
        ("6.18.44", "5.15.0-91-generic", 23),
        ("5.15.0", "4.18.0-553.el8", 18),
        ("6.0.0", "4.20.0", 21),
        ("7.2.12+deb14", "6.12.117+deb13", 10),
        ("7.0.0", "6.19.0", 1),
        ("8.1.0", "7.0.0", 21),
        ("6.12.0", "7.2.0", -10),
    ],
)
def test_a_kernel_that_is_far_behind_can_be_tried(ours, theirs, behind):
    source, target = host("west", kernel=ours), host("east", kernel=theirs)
    problems = found(source, target, container("redis"))
    assert len(problems) == (behind > 20)
    assert all(f"{behind} releases behind" in text and "ignore: [kernel]" in text for text in problems)
    assert found(source, target, container("redis"), ["kernel"]) == []


def test_an_old_criu_will_do_on_a_source_with_an_old_kernel_but_not_on_a_target():
    old = host("old", kernel="6.1.0-18-amd64", criu__version="3.19")
    assert found(old, host("new"), container("redis")) == []
    assert "4.2" in only(found(host("new", kernel="6.1.0"), old, container("redis")))


def test_a_criu_that_does_not_answer_is_not_said_to_lack_anything():
    """As on a machine that has far too much to do."""
    busy = host("west", criu__features={})
    assert "did not say what it can do" in only(found(busy, host("east"), container("redis")))
    lacking = host("west", criu__features={"lazy_pages": False})
    assert "userfaultfd" in only(found(lacking, host("east"), container("redis")))


def test_criu_4_3_needs_a_large_pipe_for_its_dump():
    small = host("west", criu__version="4.3")
    assert "fs.pipe-max-size" in only(found(small, host("east"), container("redis")))
    # Not for a restore, nor with CAP_SYS_RESOURCE.
    assert found(host("west"), host("east", criu__version="4.3"), container("redis")) == []
    for largest in (None, 4 << 20):
        able = host("west", criu__version="4.3", criu__largest_pipe_bytes=largest)
        assert found(able, host("east"), container("redis")) == []


@pytest.mark.parametrize(
    ("source", "target", "is_said"),
    [("4.3", "4.2.1", False), ("4.2.1", "4.3", False), ("4.4", "4.3", True), ("4.4", "4.2", True)],
)
def test_an_older_criu_on_the_target_is_said_unless_it_was_tried(source, target, is_said):
    hosts = (
        host("west", criu__version=source, criu__largest_pipe_bytes=None),
        host("east", criu__version=target),
    )
    said = [text for text in preflight.warnings(*hosts, container("redis")) if "older than" in text]
    assert len(said) == is_said


MOVABLE = {
    "bind": ["`-t`", "Start it without"],
    "cfg": ["shares a namespace", "container:"],
    "ipc": ["--ipc host"],
    "anon": ["paused"],
    "exited": ["exited, not running"],
}


@pytest.mark.parametrize(("kind", "words"), MOVABLE.items())
def test_containers_that_cannot_move(kind, words):
    for target in (None, host("east")):
        problems = found(host("west"), target, container(kind))
        for word in words:
            assert word in problems[0]


def test_all_problems_come_together():
    bad = host("east", criu__version="", docker__storage_driver="vfs", cgroup__version=2)
    problems = found(host("west"), bad, container("bind"))
    assert len(problems) == 5
    refused = Refused("container x from west to east", problems, container_state="running")
    assert refused.message.startswith("5 problems stand against migrating container x from west to east:\n- ")
    assert refused.result()["problems"] == problems
    assert refused.result()["phase"] == "preflight"


def test_devices_are_named_and_can_be_ignored():
    gpu = container("redis", DeviceRequests=[{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}])
    assert "gpu" in only(found(host("west"), host("east"), gpu))
    assert found(host("west"), None, gpu, ["devices"]) == []


def test_a_limit_of_the_writable_layer_needs_xfs():
    limited = container("redis", StorageOpt={"size": "1G"})
    there = host("east", docker__backing_file_system="extfs")
    text = only(found(host("west"), there, limited))
    for word in ("1G", "--storage-opt", "extfs", "east"):
        assert word in text
    there["docker"]["backing_file_system"] = "xfs"
    assert found(host("west"), there, limited) == []


NETWORK = {
    "name": "pre-net",
    "driver": "bridge",
    "internal": True,
    "ipv6": False,
    "attachable": False,
    "ranges": [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1", "ip_range": ""}],
    "options": {"com.docker.network.driver.mtu": "1400"},
    "labels": {"team": "edge"},
}


def on_network(name, **changes):
    return host(name, docker__networks=[*FACTS["docker"]["networks"], {**NETWORK, **changes}])


def test_a_user_defined_network_must_be_there():
    net = container("net", PortBindings={})
    assert "`docker network create pre-net`" in only(found(host("west"), host("east"), net))
    assert found(on_network("west"), on_network("east"), net) == []
    said = preflight.warnings(on_network("west"), on_network("east"), net)
    assert not any("network" in text for text in said)


def test_the_command_makes_the_same_network():
    net = container("net", PortBindings={})
    text = only(found(on_network("west"), host("east"), net))
    assert (
        "`docker network create --subnet 10.9.0.0/24 --gateway 10.9.0.1 --internal "
        "--opt com.docker.network.driver.mtu=1400 --label team=edge pre-net`" in text
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"internal": False},
            ["isolated (internal) on west and open on east", "docker network rm pre-net &&"],
        ),
        ({"driver": "macvlan"}, ["driver bridge on west and macvlan on east", "docker network create"]),
    ],
)
def test_a_network_that_differs_in_what_matters_is_refused(changes, words):
    net = container("net", PortBindings={})
    text = only(found(on_network("west"), on_network("east", **changes), net))
    for word in words:
        assert word in text


def test_ipv6_must_be_there_if_it_is_here():
    net = container("net", PortBindings={})
    assert "has IPv6 on west and not on east" in only(
        found(on_network("west", ipv6=True), on_network("east"), net)
    )
    assert found(on_network("west"), on_network("east", ipv6=True), net) == []


def test_other_subnets_and_mtus_are_said():
    net = container("net", PortBindings={})
    other = [{"subnet": "10.8.0.0/24", "gateway": "10.8.0.1", "ip_range": ""}]
    said = preflight.warnings(on_network("west"), on_network("east", ranges=other, options={}), net)
    assert any("10.9.0.0/24 on west and 10.8.0.0/24 on east" in text for text in said)
    assert any("MTU of 1400 on west and of 1500 on east" in text for text in said)


def test_a_port_at_its_own_address_is_refused_or_said():
    net = container("net", PortBindings={})._replace(bound=(Port("tcp", "10.9.0.7", 7105),))
    east, late = on_network("east"), on_network("east")
    east["docker"]["version"], late["docker"]["version"] = "26.1.5+dfsg1", "28.5.2"
    said = [text for text in preflight.warnings(on_network("west"), east, net) if "7105" in text]
    assert "tcp port 7105 bound to 10.9.0.7, its own address on west" in only(said)
    assert found(on_network("west"), east, net) == []
    assert "0.0.0.0" in only(found(on_network("west"), late, net))
    assert not any("7105" in text for text in preflight.warnings(on_network("west"), late, net))
    net.spec["networks"]["pre-net"]["IPAMConfig"] = {"IPv4Address": "10.9.0.7"}
    assert not any("7105" in text for text in preflight.warnings(on_network("west"), east, net))
    assert len(found(on_network("west"), late, net)) == 1


def test_udp_sockets_that_get_their_peer_late_are_said():
    net = container("net", PortBindings={})._replace(connected_datagrams=2)
    for version, count in (("26.1.5+dfsg1", 0), ("28.5.2", 1)):
        east = on_network("east")
        east["docker"]["version"] = version
        said = [text for text in preflight.warnings(on_network("west"), east, net) if "EDESTADDRREQ" in text]
        assert len(said) == count
        assert all("2 connected UDP sockets, and Docker on east" in text for text in said)


def test_which_ports_are_bound_to_an_own_address():
    every = ("0.0.0.0", "::", "127.0.0.1", "::1", "::ffff:127.0.0.1", "224.0.0.251", "ff02::fb")
    assert not any(is_own_address(ipaddress.ip_address(address)) for address in (*every, "255.255.255.255"))
    for address in ("172.17.0.2", "::ffff:172.17.0.2", "fe80::1"):
        assert is_own_address(ipaddress.ip_address(address))


def test_a_link_needs_its_other_end_there():
    linked = container("net", PortBindings={}, Links=["/db:/web/database"])
    west, east = on_network("west"), on_network("east")
    text = only(found(west, east, linked))
    assert "linked to container db (`--link`), which does not run on east. Have db run there first" in text
    for state, problems in (("exited", 1), ("running", 0)):
        east["docker"]["containers"] = [{"name": "db", "id": "0" * 64, "state": state}]
        assert len(found(west, east, linked)) == problems


def test_what_the_service_added_to_its_network_is_said():
    net = container("net", PortBindings={})
    endpoint = net.inspected["NetworkSettings"]["Networks"]["pre-net"]
    subnet = str(ipaddress.ip_network(f"{endpoint['IPAddress']}/16", strict=False))
    dockers = OwnNetwork(
        ("eth0",),
        (endpoint["IPAddress"],),
        (Route("0.0.0.0/0", endpoint["Gateway"], "eth0"), Route(subnet, "", "eth0")),
        ("nat",),
    )
    west, east = on_network("west"), on_network("east")
    assert not [
        text for text in preflight.warnings(west, east, net._replace(network=dockers)) if "by itself" in text
    ]
    changed = OwnNetwork(
        ("eth0", "wg0"),
        (*dockers.addresses, "10.200.0.9", "fd00::9"),
        (*dockers.routes, Route("10.201.0.0/16", "10.200.0.1", "eth0"), Route("10.3.0.0/24", "", "wg0")),
        ("filter", "nat"),
        ("net.ipv4.ip_forward",),
    )
    for target in (east, None):
        said = preflight.warnings(west, target, net._replace(network=changed))
        text = only([text for text in said if "by itself" in text])
        assert (
            "interface wg0, address 10.200.0.9, address fd00::9, route 10.201.0.0/16 via 10.200.0.1, "
            "firewall rules (iptables, filter), setting net.ipv4.ip_forward."
        ) in text


def test_a_fixed_address_must_be_in_the_targets_subnet():
    net = container("net", PortBindings={})
    net.spec["networks"]["pre-net"]["IPAMConfig"] = {"IPv4Address": "10.9.0.77"}
    assert found(on_network("west"), on_network("east"), net) == []
    other = [{"subnet": "10.8.0.0/24", "gateway": "10.8.0.1", "ip_range": ""}]
    text = only(found(on_network("west"), on_network("east", ranges=other), net))
    assert "fixed address 10.9.0.77" in text
    assert "--subnet 10.9.0.0/24" in text


def test_an_address_to_publish_on_must_be_the_targets():
    problems = found(host("west"), host("east"), container("net"))
    assert any("10.77.0.13, which east does not have" in problem for problem in problems)


PORTS = [
    ("tcp", "0.0.0.0", 80, "tcp", "127.0.0.1", 80, True),
    ("tcp", "", 80, "tcp", "::", 80, True),
    ("tcp", "127.0.0.1", 80, "tcp", "127.0.0.1", 80, True),
    ("tcp", "127.0.0.1", 80, "tcp", "10.77.0.12", 80, False),
    ("tcp", "0.0.0.0", 80, "udp", "0.0.0.0", 80, False),
    ("tcp", "0.0.0.0", 80, "tcp", "0.0.0.0", 81, False),
]


@pytest.mark.parametrize("case", PORTS)
def test_ports_exclude_each_other_by_protocol_number_and_address(case):
    protocol, address, port, other_protocol, other_address, other_port, clash = case
    taken = [{"protocol": other_protocol, "address": other_address, "port": other_port, "held_by": ""}]
    on_host = container("host", listening=(Port(protocol, address, port),))
    problems = found(host("west"), host("east", ports=taken), on_host)
    assert bool(problems) is clash
    if clash:
        assert "host's network" in only(problems)


def test_published_ports_leave_out_what_docker_chooses():
    assert preflight.published(container("redis").spec) == [Port("tcp", "", 6379)]
    assert preflight.published(container("anon").spec) == []
    assert preflight.published(container("host").spec) == []
    warned = preflight.warnings(host("west"), host("east"), container("anon"))
    assert any("6379/tcp is chosen by Docker" in text for text in warned)


def test_bind_mounts_that_stay_must_be_on_the_target():
    mount = container("mount", moved=("/vol",), Binds=[])
    network = [*FACTS["docker"]["networks"], {"name": "pre-sub", "driver": "bridge"}]
    unchecked = host("east", docker__networks=network)
    assert found(host("west"), unchecked, mount) == []
    assert any("not checked" in text for text in preflight.warnings(host("west"), unchecked, mount))
    absent = host("east", docker__networks=network, paths={"/etc/hosts": "absent"})
    assert "move_binds: [/mnt/hosts]" in only(found(host("west"), absent, mount))
    # Its content could move, but Docker makes no source for `--mount type=bind`.
    mount = mount._replace(moved=("/vol", "/mnt/hosts"))
    assert only(found(host("west"), absent, mount)).endswith("Create it there")
    there = host("east", docker__networks=network, paths={"/etc/hosts": "file"})
    assert found(host("west"), there, mount) == []


def test_real_time_needs_time_for_it_where_the_kernel_shares_it_out():
    redis = container("redis")
    real_time = redis._replace(inventory=Inventory(real_time=True))
    sharing, other = (host("east", cgroup__real_time_groups=shares) for shares in (True, False))
    assert "`--cpu-rt-runtime`" in only(found(host("west"), sharing, real_time))
    assert found(host("west"), other, real_time) == []
    assert found(host("west"), sharing, redis) == []
    asked = container("redis", CpuRealtimeRuntime=9000)._replace(inventory=Inventory(real_time=True))
    assert found(host("west"), sharing, asked) == []


def test_files_that_stay_must_be_the_same_on_the_target():
    mount = container("mount", Binds=[])
    networks = {"docker__networks": [*FACTS["docker"]["networks"], {"name": "pre-sub", "driver": "bridge"}]}
    used = mount._replace(
        staying_files=(
            StayingFile("/etc/hosts", stat.S_IFREG | 0o644, 7),
            StayingFile("/etc/log", stat.S_IFREG | 0o600, -1),
        )
    )

    def there(log="file", **hosts):
        files = {"/etc/hosts": {"mode": stat.S_IFREG | 0o644, "size_bytes": 7, **hosts}}
        files["/etc/log"] = {"mode": stat.S_IFREG | 0o600, "size_bytes": 99}
        return host("east", paths={"/etc/hosts": "file", "/etc/log": log}, files=files, **networks)

    assert found(host("west"), there(), used) == []
    assert "7 bytes here and 8 on east" in only(found(host("west"), there(size_bytes=8), used))
    assert "mode is 100644 here and 100600 on east" in only(
        found(host("west"), there(mode=stat.S_IFREG | 0o600), used)
    )
    problem = only(found(host("west"), there(log="absent"), used))
    assert "uses /etc/log, which does not move with it (a bind mount); it is not there on east" in problem
    on_both = {"/etc/hosts": ON_BOTH}
    same = dict(there(size_bytes=8), storage=on_both)
    assert found(host("west", storage=on_both), same, used) == [], "the file itself is what is mounted"
    # What was opened since nobody has asked about.
    later = used._replace(staying_files=(StayingFile("/etc/later", stat.S_IFREG | 0o644, 7),))
    assert found(host("west"), there(), later) == []


def test_a_dev_shm_that_others_may_share_does_not_move():
    shareable = container("redis", IpcMode="shareable")
    assert found(host("west"), host("east"), shareable) == []
    warnings = preflight.warnings(host("west"), host("east"), shareable)
    assert any("content of /dev/shm does not move" in warning for warning in warnings)
    problem = only(found(host("west"), host("east"), shareable._replace(shareable=("a", "b"))))
    assert "has 2 entries in a /dev/shm that others may share" in problem


def test_a_volume_of_a_driver_needs_the_driver_there():
    volume = container("redis")
    volume.spec["mounts"][0]["driver"] = "rexray"
    assert "volume driver rexray" in only(found(host("west"), host("east"), volume))


VOLUME = {"driver": "local", "options": {}, "labels": {}, "entries": 0}
TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=8m"}


def with_volume(container, **fields):
    """The target's volume of the same name as the container's first, with these *fields*."""
    return {**VOLUME, "name": container.spec["mounts"][0]["name"], **fields}


def test_a_volume_that_is_there_and_not_empty_is_said():
    redis = container("redis")
    there = host("east", docker__volumes=[with_volume(redis, entries=7)])
    assert found(host("west"), there, redis) == []
    said = only(preflight.warnings(host("west"), there, redis))
    assert "not empty (7 entries)" in said
    assert "its content is replaced" in said
    empty = host("east", docker__volumes=[with_volume(redis)])
    assert preflight.warnings(host("west"), empty, redis) == []


def test_a_volume_with_other_driver_options_is_refused_with_the_command_that_makes_it():
    redis = container("redis")
    redis.spec["mounts"][0].update(options=TMPFS, labels={"team": "edge one"})
    plain = host("east", docker__volumes=[with_volume(redis)])
    text = only(found(host("west"), plain, redis))
    assert "other driver options (none)" in text
    assert "(device=tmpfs, o=size=8m, type=tmpfs)" in text
    assert "docker volume create --opt device=tmpfs --opt o=size=8m --opt type=tmpfs" in text
    assert "--label 'team=edge one'" in text
    same = host("east", docker__volumes=[with_volume(redis, options=TMPFS)])
    assert found(host("west"), same, redis) == []
    assert "other labels" in only(preflight.warnings(host("west"), same, redis))


def test_a_part_of_a_volume_is_refused_unless_its_storage_is_shared():
    redis = container("redis")
    mount = redis.spec["mounts"][0]
    part = {"Type": "volume", "Target": mount["destination"], "VolumeOptions": {"Subpath": "deep/er"}}
    redis.host_config["Mounts"] = [part]
    text = only(found(host("west"), host("east"), redis))
    assert f"the part deep/er of volume {mount['name']} mounted at {mount['destination']}" in text
    assert "Mount the whole volume" in text
    mount["options"] = NFS
    assert found(host("west"), host("east"), redis) == []
    mount["options"], part["VolumeOptions"] = {}, {"NoCopy": True}
    assert found(host("west"), host("east"), redis) == []


def test_a_volume_that_another_container_uses_there_is_refused():
    redis = container("redis")
    volume = with_volume(redis, entries=1)
    other = {"name": "other", "id": "f" * 64, "state": "running", "published": [], "mounts": [volume["name"]]}
    there = host("east", docker__volumes=[volume], docker__containers=[other])
    assert "container other uses there" in only(found(host("west"), there, redis))


def test_a_volume_that_another_container_uses_here_is_said():
    redis = container("redis")
    name = redis.spec["mounts"][0]["name"]
    own = {"name": "pre-redis", "id": redis.spec["id"], "state": "running", "published": [], "mounts": [name]}
    other = dict(own, name="backup", id="f" * 64)
    here = host("west", docker__containers=[own, other])
    assert "also mounted in container backup on west" in only(preflight.warnings(here, host("east"), redis))
    assert preflight.warnings(host("west", docker__containers=[own]), host("east"), redis) == []


NFS = {"type": "nfs", "o": "addr=10.0.0.9,rw", "device": ":/export/data"}
ON_BOTH = {
    "kind": "ext4",
    "location": "/dev/vda/srv",
    "kernel": "a",
    "device": 5,
    "inode": 7,
    "changed_ns": 1,
}


def test_a_volume_on_a_server_is_left_alone():
    redis = container("redis")
    redis.spec["mounts"][0].update(options=NFS, labels={})
    for volumes in ([], [with_volume(redis, options=NFS, entries=3)]):
        there = host("east", docker__volumes=volumes)
        assert found(host("west"), there, redis) == []
        said = only(preflight.warnings(host("west"), there, redis))
        assert "both hosts share (nfs :/export/data)" in said
        assert "replaced" not in said


def test_a_volume_that_is_a_path_needs_the_path_and_may_be_shared():
    redis = container("redis")
    redis.spec["mounts"][0].update(options={"type": "none", "o": "bind", "device": "/srv/data"}, labels={})
    absent = host("east", paths={"/srv/data": "absent"})
    assert "/srv/data" in only(found(host("west"), absent, redis))
    west = host("west", storage={"/srv/data": ON_BOTH})
    own = host("east", paths={"/srv/data": "directory"}, storage={"/srv/data": dict(ON_BOTH, kernel="b")})
    assert found(west, own, redis) == preflight.warnings(west, own, redis) == []
    same = host("east", paths={"/srv/data": "directory"}, storage={"/srv/data": ON_BOTH})
    assert found(west, same, redis) == []
    assert "left alone" in only(preflight.warnings(west, same, redis))


def test_a_security_profile_needs_its_module_on_the_target():
    redis = container("redis")
    redis.inspected["AppArmorProfile"] = "docker-default"
    assert "AppArmor profile docker-default" in only(found(host("west"), host("east"), redis))
    has = host("east", docker__security_options=["name=apparmor", "name=seccomp"])
    assert found(host("west"), has, redis) == []
    redis.inspected["AppArmorProfile"] = "unconfined"
    assert found(host("west"), host("east"), redis) == []


def test_a_host_is_not_its_own_target():
    west = host("west")
    assert "same Docker daemon" in only(found(west, copy.deepcopy(west), container("redis")))


def test_space_grows_with_memory():
    assert images_needed(0) == 64 * MIB
    room = images_needed(256 * MIB)
    assert found(host("west"), host("east", space__images_dir__free_bytes=room), container("redis")) == []
    less = host("east", space__images_dir__free_bytes=room - 1)
    assert "470 MB are needed" in only(found(host("west"), less, container("redis")))
    assert "choose memory: lean" in only(found(host("west"), less, container("redis")))
    assert preflight.problems(host("west"), less, container("redis"), lean=True) == []


def test_a_service_of_most_of_its_hosts_memory_moves_lean():
    """1.2 GB of a host with 2 GB: it fits once on each host, and not twice."""
    service = container("redis", memory_bytes=1_200_000_000)
    west = host("west", memory__available_bytes=700_000_000)
    east = host("east", memory__available_bytes=1_700_000_000)
    assert len(found(west, east, service)) == 2
    assert preflight.problems(west, east, service, lean=True) == []
    chosen = choose_memory(west, east, service, "auto", lazy=True)
    assert chosen["name"] == "lean"
    assert choose_memory(host("west"), host("east"), container("redis"), "auto", lazy=True)["name"] == "full"
    assert choose_memory(west, None, service, "auto", lazy=True)["name"] == "lean"
    # CRIU reads all images before it gives any back.
    assert choose_memory(west, east, service, "auto", lazy=False)["name"] == "full"
    with pytest.raises(PreflightError, match="lean needs a lazy restore"):
        choose_memory(west, east, service, "lean", lazy=False)
    tiny = host("east", memory__available_bytes=1_000_000_000)
    assert "1567 MB are needed" in only(preflight.problems(west, tiny, service, lean=True))
    # Shared memory is in the images and in its place at the same time.
    shares = service._replace(shared_bytes=200_000_000)
    assert "1767 MB are needed" in only(preflight.problems(west, east, shares, lean=True))


def test_changed_files_of_docker_are_said():
    west, redis = host("west"), container("redis")
    changed = redis._replace(changed_files=("/etc/hosts (lines were added: `10.0.0.5 db`)",))

    def said(what):
        return [each for each in preflight.warnings(west, host("east"), what) if "/etc/hosts" in each]

    assert said(redis) == []
    assert "container pre-redis has changed /etc/hosts (lines were added: `10.0.0.5 db`)" in only(
        said(changed)
    )
    assert "the change is lost" in only(said(changed))


def test_clocks_that_differ_are_said():
    west, east, redis = host("west"), host("east"), container("redis")

    def said(clock, target=east):
        return [each for each in preflight.warnings(west, target, redis, clock) if "the clock of" in each]

    assert said(None) == said(ClockDifference(0.4, 0.001)) == []
    assert said(ClockDifference(12.0, 0.1), target=None) == []
    assert "the clock of east is 12.0 s ahead of that of west" in only(said(ClockDifference(12.0, 0.1)))


def test_of_a_plan_clocks_are_known_to_half_of_what_it_took(monkeypatch):
    def of(target, **params):
        asked = Preflight(None, lambda: None, params)
        asked._target = target
        return asked._clock()

    east = host("east", clock_s=1000.0)
    monkeypatch.setattr(time, "time", lambda: 994.0)
    assert of(east, target_asked_s=990.0) == ClockDifference(8.0, 2.0)
    assert of(east) is of(None, target_asked_s=990.0) is of(host("old"), target_asked_s=990.0) is None
    assert of(east, clock=ClockDifference(1.0, 0.1), target_asked_s=990.0) == ClockDifference(1.0, 0.1)


def test_trackers():
    plain = host("west")
    assert preflight.tracker_plan(plain, "auto")["name"] == "uffd"
    older = host("west", trackers__obstacles__uffd="it is too old")
    assert preflight.tracker_plan(older, "auto")["name"] == "compare"
    assert preflight.tracker_plan(plain, "compare") == {"name": "compare", "why": "asked for"}
    with pytest.raises(PreflightError, match="CONFIG_MEM_SOFT_DIRTY"):
        preflight.tracker_plan(plain, "soft-dirty")
    assert preflight.tracker_plan(plain, "uffd") == {"name": "uffd", "why": "asked for"}
    old = host("west", trackers__obstacles__uffd="the kernel has no userfaultfd")
    with pytest.raises(
        PreflightError, match="`uffd` was asked for, but the kernel has no userfaultfd on west"
    ):
        preflight.tracker_plan(old, "uffd")
    soft = host("west", trackers__available=["compare", "soft-dirty"], trackers__obstacles={"soft-dirty": ""})
    assert preflight.tracker_plan(soft, "auto")["name"] == "soft-dirty"
    soft["memory"]["transparent_hugepages"] = "always"
    assert any("2 MB" in text for text in preflight.warnings(soft, None, container("redis")))


def test_an_estimate():
    assert estimate(250_000_000, 1000, 100) == {"first_round_s": 2.0, "downtime_ms": 530}
    assert estimate(250_000_000, 1000, 100, lazy=True)["downtime_ms"] == 280


@pytest.mark.parametrize(
    ("text", "version"), [("6.18.44-cloud", (6, 18, 44)), ("4.2", (4, 2)), ("", ()), ("v1", ())]
)
def test_versions(text, version):
    assert preflight.version_of(text) == version
