# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's own programs that wait on this host for the end of a container.

``docker run`` without ``--detach`` in a unit of systemd is a common way to keep a service. After a move it
ends, as the container has, and the unit may start another one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from ..kernel.cgroup import memberships

WAITING = ("run", "start", "attach", "wait")
# Commands that name a container, too, and whose own words may be these.
OTHERS = ("exec", "logs", "stop", "kill", "rm", "restart", "cp", "inspect", "events", "stats", "top", "build")
COMPOSE, COMPOSE_DIRECTORY = "docker-compose", "com.docker.compose.project.working_dir"


def waiting_clients(name: str, container_id: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Each in words: "`docker run` (process 812 of web.service)".

    :param name: the container's.
    :param labels: the container's; Docker Compose notes its directory there.
    """
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                command = _command(entry, name, container_id, labels.get(COMPOSE_DIRECTORY, ""))
                if command:
                    yield f"`{command}` (process {entry}{_of_unit(entry)})"


def _command(pid: str, name: str, container_id: str, directory: str) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as line:
        program, *words = os.fsdecode(line.read()).split("\0")
    if "/cli-plugins/" in program:
        # That of `docker compose`, which waits for it and is named itself.
        return ""
    program = os.path.basename(program)
    if program.startswith("python"):
        # Version 1 of Docker Compose is a script.
        program = next(filter(COMPOSE.__eq__, map(os.path.basename, words)), "")
    if program not in ("docker", COMPOSE):
        return ""
    if "up" in words and (program == COMPOSE or "compose" in words):
        is_it = directory and _compose_directory(pid, words) == os.path.realpath(directory)
        return "docker compose up" if is_it else ""
    which = next((word for word in words if word in (*WAITING, *OTHERS)), "")
    if which == "run":
        # The image, or a word of its own command, may be called like the container.
        is_it = _value(words, "--name") == name
    else:
        is_it = any(word == name or _is_id(word, container_id) for word in words)
    return f"docker {which}" if which in WAITING and is_it else ""


def _compose_directory(pid: str, words: Sequence[str]) -> str:
    """Of the project: the one that is named, else that of the first named file, else where it runs."""
    here = os.readlink(f"/proc/{pid}/cwd")
    # What comes after the command is the command's own.
    options = words[: words.index("up")]
    file = _value(options, "-f", "--file")
    named = _value(options, "--project-directory") or os.path.dirname(file)
    return os.path.realpath(os.path.join(here, named))


def _value(words: Sequence[str], *options: str) -> str:
    """Of the first of *options* among *words*, which follows it or its sign of equality; empty without."""
    for word, following in zip(words, [*words[1:], ""]):
        option, is_one, value = word.partition("=")
        if option in options:
            return value if is_one else following
    return ""


def _is_id(word: str, container_id: str) -> bool:
    return len(word) >= 4 and container_id.startswith(word)


def _of_unit(pid: str) -> str:
    leaves = (membership.path.rpartition("/")[2] for membership in memberships(int(pid)))
    return next((f" of {leaf}" for leaf in leaves if leaf.endswith(".service")), "")
