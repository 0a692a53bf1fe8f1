# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the machine that runs the tests, which may have neither Docker nor CRIU."""

from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import threading

import pytest
from ansible_collections.mec.migration.plugins.module_utils.docker.engine import Engine
from ansible_collections.mec.migration.plugins.module_utils.kernel import sockets as listening
from ansible_collections.mec.migration.plugins.module_utils.preflight import host_facts


class Docker(http.server.BaseHTTPRequestHandler):
    """Answers a few paths as the daemon does."""

    protocol_version = "HTTP/1.1"
    answers = {"/info": (200, {"ID": "abc"}), "/nothing": (404, {"message": "page not found"})}  # noqa: RUF012

    def do_GET(self):
        status, answer = self.answers.get(self.path, (200, None))
        body = b"{not json" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *unused):
        pass


@pytest.fixture
def daemon(tmp_path):
    path = str(tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(path, Docker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def test_answers_of_the_daemon_over_one_connection(daemon):
    engine = Engine(daemon)
    assert engine.get("/info") == {"ID": "abc"}
    with pytest.raises(OSError, match="/nothing: page not found"):
        engine.get("/nothing")
    with pytest.raises(OSError, match="no answer that can be read to /garbage"):
        engine.get("/garbage")
    engine.close()


def test_no_daemon(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Engine(str(tmp_path / "docker.sock")).get("/info")


@pytest.mark.parametrize(
    ("family", "address", "seen"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET, "", "0.0.0.0"),
    ],
)
def test_a_listening_socket_is_seen_with_who_holds_it(family, address, seen):
    try:
        opened = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"no address {address} on this machine")
    with opened:
        port = opened.getsockname()[1]
        (found,) = [one for one in listening.listeners() if (one.protocol, one.port) == ("tcp", port)]
        assert found.address == seen
        assert listening.holders([found.inode]) == {found.inode: os.getpid()}
        assert found.inode in listening.open_sockets(os.getpid())
        facts = host_facts.ports({"containers": []})
        holder = f"{listening.command(os.getpid())} (process {os.getpid()})"
        assert {"protocol": "tcp", "address": seen, "port": port, "held_by": holder} in facts
    assert not [one for one in listening.listeners() if one.inode == found.inode]


def test_a_bound_udp_socket_takes_its_port_and_a_tcp_connection_does_not():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        wanted = ("udp", "127.0.0.1", datagrams.getsockname()[1])
        assert wanted in [one[:3] for one in listening.listeners()]
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as client:
        assert client.getsockname()[1] not in [one.port for one in listening.listeners()]


def test_a_published_port_is_dockers_even_if_a_proxy_holds_it():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = {"protocol": "tcp", "address": "127.0.0.1", "port": proxy.getsockname()[1]}
        facts = host_facts.ports({"containers": [{"name": "web", "published": [port]}]})
    assert dict(port, held_by="container web") in facts


def test_processes_that_are_gone():
    assert listening.listeners(1 << 30) == []
    assert listening.open_sockets(1 << 30) == []
    assert listening.command(1 << 30) == ""


def test_all_facts_can_be_had_and_written_as_json_on_any_machine(tmp_path):
    there = str(tmp_path)
    facts = host_facts.collect(there, [there, __file__, "/dev/null", "/no/such"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["paths"] == {
        there: "directory",
        __file__: "file",
        "/dev/null": "other",
        "/no/such": "absent",
    }
    status = os.stat(__file__)
    assert facts["files"][__file__] == {"mode": status.st_mode, "size_bytes": status.st_size}
    assert facts["cpu"]["features"]
    assert facts["cpu"]["model"]
    assert facts["page_bytes"] == os.sysconf("SC_PAGE_SIZE")
    assert facts["python_bits"] == 64
    assert facts["memory"]["total_bytes"] >= facts["memory"]["available_bytes"] > 0
    assert facts["trackers"]["auto"] in facts["trackers"]["available"]
    assert "127.0.0.1" in facts["addresses"]
    assert facts["space"]["images_dir"]["free_bytes"] > 0


# What Linux 6.12 shows of a Raspberry Pi 5's processor.
RASPBERRY_PI_5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1
"""


def test_a_processor_of_arm_has_a_name(tmp_path):
    (tmp_path / "cpuinfo").write_text(RASPBERRY_PI_5)
    facts = host_facts.cpu_facts(str(tmp_path / "cpuinfo"))
    assert facts["vendor"] == "0x41"
    assert facts["model"] == "Cortex-A76"
    assert {"asimd", "atomics", "asimddp"} < set(facts["features"])
    (tmp_path / "cpuinfo").write_text(RASPBERRY_PI_5.replace("0x41", "0x61"))
    assert host_facts.cpu_facts(str(tmp_path / "cpuinfo"))["model"] == "0x61 0xd0b"


def test_room_of_a_directory_that_is_still_to_be_made(tmp_path):
    future = host_facts.space(str(tmp_path / "not/yet"))
    assert future["path"].endswith("not/yet")
    assert future["total_bytes"] == host_facts.space(str(tmp_path))["total_bytes"]


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs at /dev/shm")
def test_memory_is_told_from_disk():
    assert host_facts.space("/dev/shm")["in_memory"] is True
    assert host_facts.space("/proc")["in_memory"] is False


def test_the_armed_runtime(tmp_path):
    docker = {"runtimes": {"mec": str(tmp_path / "mec-runtime")}}
    missing = host_facts.armed_runtime_facts(docker)
    assert missing["registered"] is True
    assert missing["version"] == ""
    assert len(missing["missing"]) == len(host_facts.RUNTIME_FILES)
    (tmp_path / "gate").mkdir()
    for name in host_facts.RUNTIME_FILES:
        (tmp_path / name).write_text(name)
    complete = host_facts.armed_runtime_facts(docker)
    assert complete["missing"] == []
    (tmp_path / "armed_runtime.py").write_text("newer")
    assert complete["version"] != host_facts.armed_runtime_facts(docker)["version"] != ""
