# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hook of docs/hooks.md that tells an ETSI MEC 021 service that an application has moved."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

COLLECTION = Path(__file__).resolve().parents[3]
CONSUMER = {"properties": {"appInstanceId": {"type": "string"}, "mepId": {"type": "string"}}}
# What ETSI GS MEC 021 V2.1.1 (2020-12-14) requires of a RegistrationInfo.
REGISTRATION = {
    "type": "object",
    "required": ["serviceConsumerId"],
    "additionalProperties": False,
    "properties": {
        "appMobilityServiceId": {"type": "string"},
        "expiryTime": {"type": "integer", "minimum": 0},
        "serviceConsumerId": {"type": "object", **CONSUMER},
        "deviceInformation": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["associateId"],
                "properties": {
                    "associateId": {"type": "object", "required": ["type", "value"]},
                    "contextTransferState": {"enum": ["NOT_TRANSFERRED", "USER_CONTEXT_TRANSFER_COMPLETED"]},
                },
            },
        },
    },
}


def device(address: str, **more: str) -> dict[str, Any]:
    return {"associateId": {"type": "UE_IPv4_ADDRESS", "value": address}, **more}


@contextlib.contextmanager
def mobility_service(registered: dict[str, Any]) -> Iterator[str]:
    """A MEC 021 service on loopback: its address."""

    class Request(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/amsi/v1/app_mobility_services/")
            if self.headers["Authorization"] != "Bearer right":
                self._send(401, {"status": 401, "title": "Unauthorized"})
            elif name not in registered:
                self._send(404, {"status": 404, "title": "Not Found"})
            else:
                if self.command == "PUT":
                    content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                    if self.headers.get_content_type() != "application/json":
                        self._send(400, {"status": 400, "title": "Bad Request"})
                        return
                    jsonschema.validate(content, REGISTRATION)
                    registered[name] = content
                self._send(200, registered[name])

        do_PUT = do_GET

        def _send(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header(
                "Content-Type", "application/json" if status == 200 else "application/problem+json"
            )
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/amsi/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(directory: Path, url: str, token: str) -> subprocess.CompletedProcess[str]:
    """The hook as the page has it, included as the role does."""
    page = (COLLECTION / "docs/hooks.md").read_text()
    (hook,) = re.findall(r"```yaml\n(# migrate_hooks: .*?)```", page, re.S)
    (directory / "mec021.yml").write_text(hook)
    variables = {
        "migrate_service": "redis",
        "mec021_url": url,
        "mec021_ids": {"redis": "ams-1"},
        "mec021_token": token,
        "ansible_python_interpreter": sys.executable,
    }
    tasks = [{"ansible.builtin.include_tasks": "mec021.yml"}]
    play = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]
    (directory / "play.yml").write_text(yaml.safe_dump(play))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "False"}
    return subprocess.run(
        [program, "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize(
    "devices", [[], [device("192.0.2.7"), device("192.0.2.8", contextTransferState="NOT_TRANSFERRED")]]
)
def test_the_registration_says_that_the_context_is_transferred(tmp_path, devices):
    before = {"serviceConsumerId": {"appInstanceId": "app-7"}, "expiryTime": 0, "deviceInformation": devices}
    registered = {"ams-1": dict(before)}
    with mobility_service(registered) as url:
        done = run(tmp_path, url, "right")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [{**one, "contextTransferState": "USER_CONTEXT_TRANSFER_COMPLETED"} for one in devices]
    assert registered["ams-1"] == {**before, "deviceInformation": told}


def test_a_token_that_is_wrong_fails_the_hook(tmp_path):
    registered = {"ams-1": {"serviceConsumerId": {"mepId": "mep"}}}
    with mobility_service(registered) as url:
        done = run(tmp_path, url, "wrong")
    assert done.returncode != 0
    assert "401" in done.stdout
