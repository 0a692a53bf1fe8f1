# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to CRIU over its RPC: what it can do, and a canary that it does it here."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import time

from ..base.errors import PreflightError
from ..kernel.identity import as_real, needed_identity
from .images import FieldValue, decode_fields, encode_field
from .log import HARMLESS, explain, log_tail
from .options import (
    CGROUP_MODES,
    DUMP_LOG,
    LOG_ALL,
    NETWORK_LOCK_SKIP,
    PAGE_SERVER_CLOSE,
    REQUEST_FEATURE_CHECK,
    Option,
    dump_request,
)
from .own_mounts import with_own_mounts
from .program import criu_program

# images/rpc.proto: criu_features
FEATURES = {1: "mem_dirty_track", 2: "lazy_pages", 3: "pidfd_store"}
ANSWER_SUCCESS, ANSWER_FEATURES, ANSWER_MESSAGE = 2, 8, 9


def call(request: bytes, pass_fds: tuple[int, ...] = (), timeout_s: float = 10.0) -> dict[int, FieldValue]:
    """Start ``criu swrk``, send one ``criu_req``; returns the fields of its ``criu_resp``.

    :raises OSError: CRIU is not there or gives no answer.
    :raises ValueError: what it answers is no message.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [criu_program(), "swrk", str(theirs.fileno())],
            pass_fds=(theirs.fileno(), *pass_fds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            theirs.close()
            ours.settimeout(timeout_s)
            ours.send(request)
            return dict(decode_fields(ours.recv(1 << 16)))
        finally:
            ours.close()
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def features() -> dict[str, bool]:
    """What this CRIU can do on this kernel; empty if there is no CRIU that answers."""
    asked = b"".join(encode_field(number, True) for number in FEATURES)
    try:
        answer = call(encode_field(1, REQUEST_FEATURE_CHECK) + encode_field(5, asked))
        found = answer.get(ANSWER_FEATURES, b"")
        fields = dict(decode_fields(found if isinstance(found, bytes) else b""))
    except (OSError, ValueError):
        return {}
    return {name: bool(fields.get(number)) for number, name in FEATURES.items()}


def canary(directory: str, user: int = 0) -> float:
    """Dump a process made for it, the way a service is dumped; returns the milliseconds that took.

    :param directory: on tmpfs; what is made in it is gone when this returns.
    :param user: whose process that is: CRIU may be allowed less with one that is not root's.
    :raises PreflightError: CRIU cannot dump even that; with its own words.
    """
    start = time.monotonic()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    try:
        with_own_mounts(lambda: _fly(directory, user))
    except OSError as error:
        raise PreflightError(
            f"CRIU could not be tried out on this host: {error}", container_state="running"
        ) from error
    return (time.monotonic() - start) * 1000


def _fly(directory: str, user: int) -> None:
    victim = subprocess.Popen(
        ["sleep", "60"],
        start_new_session=True,
        cwd="/",
        user=user,
        group=user,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix="canary-") as images:
            try:
                as_real(needed_identity([victim.pid]), lambda: _dump(victim.pid, images))
            except PreflightError as error:
                if user:
                    error.message = error.message.replace("a `sleep`", f"a `sleep` of user {user}", 1)
                raise
    finally:
        victim.kill()
        victim.wait()


def _dump(pid: int, images: str) -> None:
    pages, their_pages = socket.socketpair()
    config = os.path.join(images, "criu.conf")
    directory = os.open(images, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"ps-socket {their_pages.fileno()}\n")
        # As in criu_dump: the contents of lazy pages are not asked for.
        pages.send(PAGE_SERVER_CLOSE)
        request = dump_request(
            [
                (Option.IMAGES_DIR_FD, directory),
                (Option.PID, pid),
                (Option.LEAVE_RUNNING, True),
                (Option.LOG_LEVEL, LOG_ALL),
                (Option.LOG_FILE, DUMP_LOG),
                (Option.WORK_DIR_FD, directory),
                (Option.MANAGE_CGROUPS_MODE, CGROUP_MODES["soft"]),
                (Option.LAZY_PAGES, True),
                (Option.CONFIG_FILE, config),
                (Option.NETWORK_LOCK, NETWORK_LOCK_SKIP),
            ]
        )
        _run_canary(request, their_pages.fileno(), images)
    finally:
        os.close(directory)
        pages.close()
        their_pages.close()


def _run_canary(request: bytes, pages_fd: int, images: str) -> None:
    try:
        answer = call(request, (pages_fd,))
    except (OSError, ValueError) as error:
        raise _canary_failed(f"no answer: {error}", images) from error
    if not answer.get(ANSWER_SUCCESS):
        said = answer.get(ANSWER_MESSAGE, b"")
        text = said.decode(errors="replace").strip() if isinstance(said, bytes) else ""
        raise _canary_failed("the dump failed" if re.search(HARMLESS, text) else text, images)


def _canary_failed(reason: str, images: str) -> PreflightError:
    tail = log_tail(os.path.join(images, DUMP_LOG))
    return PreflightError(
        f"CRIU on this host cannot dump even a `sleep` that was started for this test: {reason}. "
        f"{explain(tail)} `criu check` may tell more",
        container_state="running",
        log_tail=tail,
    )
