# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Docker that wait for a container's end are found among real processes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service.waiting_clients import (
    COMPOSE_DIRECTORY,
    waiting_clients,
)

NAME, ID = "web-of-this-test", "0f5e" * 16


@contextlib.contextmanager
def running(line, directory):
    """A process with that command line, which runs in *directory*; its number."""
    # A shell that waits, by another name.
    program, *words = line.split()
    waits = [program, "-c", "read line", *words]
    with subprocess.Popen(waits, executable="/bin/bash", stdin=subprocess.PIPE, cwd=directory) as process:
        # It gets its command line some time after it is started.
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"/usr/bin/docker run --rm --name {NAME} web:1", "docker run"),
        (f"docker run --name={NAME} web:1", "docker run"),
        (f"docker --context here start --attach {NAME}", "docker start"),
        (f"docker container attach {NAME}", "docker attach"),
        (f"docker wait {ID[:12]}", "docker wait"),
        ("docker compose up", "docker compose up"),
        ("docker compose --file={directory}/compose.yaml up", "docker compose up"),
        ("docker-compose up", "docker compose up"),
        ("python3 /usr/bin/docker-compose up", "docker compose up"),
        # The plugin, beside the program that is named already.
        ("/usr/libexec/docker/cli-plugins/docker-compose compose up", ""),
        ("docker compose -f elsewhere/compose.yaml up", ""),
        ("python3 other.py up", ""),
        ("docker run --name other web:1", ""),
        (f"docker run --name other {NAME}", ""),
        (f"docker exec {NAME} run", ""),
        (f"docker logs --follow {NAME}", ""),
        (f"podman run --name {NAME} web:1", ""),
    ],
)
def test_who_waits_for_it_is_named(line, said, tmp_path):
    with running(line.replace("{directory}", str(tmp_path)), tmp_path) as pid:
        clients = list(waiting_clients(NAME, ID, {COMPOSE_DIRECTORY: str(tmp_path)}))
    assert len(clients) == bool(said)
    for each in clients:
        assert re.fullmatch(rf"`{said}` \(process {pid}( of \S+\.service)?\)", each)


@pytest.mark.parametrize(
    "options",
    ["-f project/compose.yaml", "-f {project}/compose.yaml -f more.yaml", "--project-directory project"],
)
def test_a_project_of_compose_is_known_by_its_directory(options, tmp_path):
    """A unit of systemd runs in / unless it is told otherwise."""
    project, link = tmp_path / "project", tmp_path / "link"
    project.mkdir()
    link.symlink_to(project)
    line = f"docker compose {options.format(project=project)} up"
    with running(line, tmp_path):
        for label in (project, link):
            assert len(list(waiting_clients(NAME, ID, {COMPOSE_DIRECTORY: str(label)}))) == 1
        assert list(waiting_clients(NAME, ID, {COMPOSE_DIRECTORY: str(tmp_path)})) == []


def test_another_project_of_compose_waits_for_others(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with running("docker compose up", elsewhere):
        assert list(waiting_clients(NAME, ID, {COMPOSE_DIRECTORY: str(tmp_path)})) == []
        assert list(waiting_clients(NAME, ID, {})) == []
