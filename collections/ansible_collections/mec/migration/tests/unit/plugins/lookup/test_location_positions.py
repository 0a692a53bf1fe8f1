# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup in real plays: positions as documents, warnings for users, errors without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

COLLECTION = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(COLLECTION / "tests/unit/plugins/plugin_utils"))

from location_servers import Retrieval, running


def play(directory: Path, service: dict[str, object]) -> tuple[int, str]:
    """(exit status, output) of a play that shows where users are."""
    message = "{{ lookup('mec.migration.location_positions', service).users | to_json }}"
    tasks = [{"ansible.builtin.debug": {"msg": message}}]
    document = [{"hosts": "localhost", "gather_facts": False, "vars": {"service": service}, "tasks": tasks}]
    (directory / "play.yml").write_text(yaml.safe_dump(document))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "play.yml"],
        cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_positions_warnings_and_errors(tmp_path):
    with running(Retrieval()) as service:
        service.token = "s3cret"
        area = {"areaType": "CIRCLE", "center": {"latitude": 59.9, "longitude": 10.7}, "radius": 50}
        service.areas = {"+4790000001": area}
        given = {
            "type": "camara_location_retrieval",
            "url": service.url,
            "token": "s3cret",
            "users": {"anna": "+4790000001", "bo": "+4790000002"},
        }
        status, output = play(tmp_path, given)
        assert status == 0, output
        assert json.dumps({"anna": {"latitude": 59.9, "longitude": 10.7}}) in output.replace('\\"', '"')
        assert "user bo: HTTP 404: IDENTIFIER_NOT_FOUND" in " ".join(output.split())
        status, output = play(tmp_path, {**given, "token": "guess3d"})
        assert status != 0
        assert "POST /retrieve: HTTP 401: UNAUTHENTICATED" in " ".join(output.split())
        assert "guess3d" not in output
