# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes to a host in a real play: they have its variables, and act beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COLLECTION = Path(__file__).resolve().parents[3]
INVENTORY = {
    "edge_hosts": {
        "vars": {"shared": "of {{ inventory_hostname }}", "ansible_connection": "local"},
        "hosts": {
            "edge-a": {"mec_cell": 7, "later": "{{ not_yet }}", "derived": "{{ mec_cell + 1 }}"},
            "edge-b": {"ansible_host": "192.0.2.7"},
        },
    }
}


def run(directory: Path, host: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A play that opens two lanes to *host*, and one over them in which each shows what it has."""
    lane = {
        "mec.migration.migration_lane": {"host": host, "number": "{{ item }}", "group": "lanes"},
        "loop": [1, 2],
        "run_once": True,
    }
    shown = {
        "cell": "mec_cell | default(0)",
        "derived": "derived | default(0)",
        "shared": "shared",
        "host": "ansible_host",
        "of": "mec_lane_of",
        "lane": "mec_lane",
        "groups": "group_names",
        "later": "later | default('none')",
    }
    pairs = ", ".join(f"'{name}': {value}" for name, value in shown.items())
    show = {"ansible.builtin.debug": {"msg": "LANE {{ inventory_hostname }} {{ {" + pairs + "} | to_json }}"}}
    plays = [
        {"hosts": "edge_hosts", "gather_facts": False, "tasks": [lane]},
        {"hosts": "lanes", "gather_facts": False, "tasks": [show]},
    ]
    (directory / "play.yml").write_text(yaml.safe_dump(plays))
    (directory / "hosts.yml").write_text(yaml.safe_dump(INVENTORY))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "play.yml", *words],
        cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def lanes(output: str) -> dict[str, dict[str, object]]:
    found = re.findall(r'"msg": ("LANE .*")', output)
    return {words.split(" ", 2)[1]: json.loads(words.split(" ", 2)[2]) for words in map(json.loads, found)}


@pytest.mark.parametrize("words", [(), ("--check",), ("--limit", "all")])
def test_a_lane_has_what_the_host_has(tmp_path, words):
    done = run(tmp_path, "edge-a", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    common = {
        "cell": 7,
        "derived": 8,
        "shared": "of edge-a",
        "host": "edge-a",
        "of": "edge-a",
        "groups": ["lanes"],
        "later": "none",
    }
    assert lanes(done.stdout) == {
        "edge-a_lane_2": {**common, "lane": 1},
        "edge-a_lane_3": {**common, "lane": 2},
    }


def test_a_lane_goes_where_the_host_is(tmp_path):
    done = run(tmp_path, "edge-b")
    assert {one["host"] for one in lanes(done.stdout).values()} == {"192.0.2.7"}


def test_a_host_that_is_none(tmp_path):
    done = run(tmp_path, "edge-z")
    assert done.returncode != 0
    assert "'edge-z' is no host of the inventory" in done.stdout + done.stderr
