# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own program that runs on the target the moment the service runs there.

For whatever must learn of it at once: a virtual address, a proxy's socket, a DNS update.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Any, NamedTuple

OUTPUT_CHARACTERS = 500
PIECE_BYTES, PAUSE_S = 1 << 16, 0.01


class HookResult(NamedTuple):
    """How it went. ``ms``: how long it took. ``error``: why it failed; empty if it did not."""

    ms: float
    error: str


class Hook(NamedTuple):
    """A program and what it is told.

    :ivar argv: no shell; empty for no program.
    :ivar environment: on top of the agent's own.
    """

    argv: list[str]
    timeout_s: float
    environment: dict[str, str]

    def run(self, **more: str) -> HookResult:
        """Run it and wait for its end; it never raises.

        :param more: of its environment.
        """
        start = time.monotonic()
        error = ""
        try:
            error = self._run(dict(os.environ, **self.environment, **more))
        except (OSError, ValueError) as failure:
            error = f"{self.argv[0]} could not be started: {failure}"
        return HookResult(round((time.monotonic() - start) * 1000, 1), error)

    def _run(self, environment: dict[str, str]) -> str:
        with subprocess.Popen(
            self.argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            output, in_time = _output_until_end(process, time.monotonic() + self.timeout_s)
            if not in_time:
                # Its children, too: they would go on with what it was to do.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return f"{self.argv[0]} was ended after {self.timeout_s:g} s: {output}"
        if process.returncode:
            return f"{self.argv[0]} ended with {process.returncode}: {output.strip()}"
        return ""


def _output_until_end(process: subprocess.Popen[bytes], end: float) -> tuple[str, bool]:
    """The last of what it prints, and whether it ends in time.

    What it has started and leaves running, a daemon for example, may have its output open for ever.
    """
    output, printing = bytearray(), True
    pipe = process.stdout.fileno() if process.stdout is not None else -1
    os.set_blocking(pipe, False)
    while True:
        ended = process.poll() is not None
        while printing:
            try:
                piece = os.read(pipe, PIECE_BYTES)
            except BlockingIOError:
                break
            printing = bool(piece)
            output += piece
            del output[:-OUTPUT_CHARACTERS]
            if time.monotonic() > end:
                break
        if ended or time.monotonic() > end:
            return output.decode(errors="replace"), ended
        if printing:
            select.select([pipe], [], [], PAUSE_S)
        else:
            time.sleep(PAUSE_S / 10)


def published_ports(spec: dict[str, Any]) -> str:
    """The container's ports as the option ``--publish`` of Docker writes them, with spaces between them."""
    bindings = spec["create"]["HostConfig"].get("PortBindings") or {}
    return " ".join(
        f"{binding.get('HostPort') or ''}:{port}"
        for port, all_of_it in bindings.items()
        for binding in all_of_it or []
    )
