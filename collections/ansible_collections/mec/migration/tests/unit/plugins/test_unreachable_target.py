# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target that cannot be reached, in a real play: the source's host must not count as unreachable for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

COLLECTION = Path(__file__).resolve().parents[3]
LISTEN = {
    "mec.migration.migration_receiver": {
        "migration_id": "redis-1", "service": "redis", "key": "", "certificate": "", "peer_certificate": "",
    },
    "register": "receiver",
}  # fmt: skip


def play(directory: Path, hosts: str, task: dict) -> subprocess.CompletedProcess:
    """A play of one task; nobody listens at the port of host ghost."""
    ghost = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    inventory = {"all": {"hosts": {"source": {"ansible_connection": "local"}, "ghost": ghost}}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    document = [{"hosts": hosts, "gather_facts": False, "tasks": [task]}]
    (directory / "play.yml").write_text(yaml.safe_dump(document))
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "play.yml"],
        cwd=directory, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def test_it_can_be_rescued_and_says_who_cannot_be_reached(tmp_path):
    said = {"ansible.builtin.debug": {"msg": "rescued: {{ ansible_failed_result.msg }}"}}
    block = {"block": [{**LISTEN, "delegate_to": "ghost"}], "rescue": [said]}
    done = play(tmp_path, "source", block)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rescued: Target ghost cannot be reached: " in " ".join(done.stdout.split())


def test_a_host_that_a_play_is_about_is_unreachable_as_always(tmp_path):
    assert "UNREACHABLE" in play(tmp_path, "ghost", LISTEN).stdout
