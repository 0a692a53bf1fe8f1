# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to a migration's agent on its own host, over a UNIX socket that only root may open.

A connection carries one request. Requests and answers are lines of JSON::

    {"number": 1, "operation": "precopy", "fields": {...}}
    {"number": 1, "progress": {...}}        any number of them
    {"number": 1, "result": {...}}          or {"number": 1, "error": {...}}
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..base.crash_points import around
from ..base.errors import MigrationError
from ..base.paths import migration_dir
from .listening import stop_listening

# Of the target's agent, and of the source's.
CONTROL, SOURCE_CONTROL = "control.sock", "source.sock"
# Between two tasks of a play nobody speaks to an agent for a moment.
IN_USE_S = 15.0
# An agent that was asked for nothing for so long after a step has lost its play, if somebody else wants to
# move the service. Before the first step a play looks at both hosts, which may take as long as it likes.
ABANDONED_S = 60.0
STATUS = "status"
MAX_LINE_BYTES = 64 << 20

_numbers = itertools.count(1)


class NoAgentError(MigrationError):
    """No agent of that migration is on this host, or it ended before it answered."""


def control(
    migration_id: str,
    operation: str,
    fields: dict[str, Any] | None = None,
    *,
    timeout_s: float | None = 120.0,
    name: str = CONTROL,
    progress: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Ask the agent of a migration on this host.

    :param fields: what the operation needs to know.
    :param timeout_s: of each line that it sends; None waits as long as it lives.
    :param name: of its socket.
    :param progress: gets what the agent tells before it answers.
    :raises NoAgentError: it is not there, or it ended.
    :raises MigrationError: it refused, failed, or does not answer in time.
    """
    path = os.path.join(migration_dir(migration_id), name)
    number = next(_numbers)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except OSError as error:
            raise NoAgentError(
                f"no agent of migration {migration_id} answers on {path}: {error.strerror}", phase="arm"
            ) from error
        try:
            with connection.makefile("rw", encoding="utf-8") as stream:
                request = {"number": number, "operation": operation, "fields": fields or {}}
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                while True:
                    line = stream.readline(MAX_LINE_BYTES)
                    if not line:
                        raise NoAgentError(
                            f"the agent of migration {migration_id} ended before it answered {operation}: it "
                            "was killed, or the host ran out of memory; see the log of its kernel",
                            phase="arm",
                        )
                    told = _told(line, number)
                    if "progress" not in told:
                        return _result(told)
                    if progress is not None:
                        progress(**told["progress"])
        except (TimeoutError, socket.timeout) as error:
            raise MigrationError(
                f"the agent of migration {migration_id} has not answered {operation} for {timeout_s:g} s",
                phase="arm",
            ) from error
        except OSError as error:
            raise NoAgentError(
                f"the connection to the agent of migration {migration_id} broke: {error}", phase="arm"
            ) from error


def _told(line: str, number: int) -> dict[str, Any]:
    try:
        told = json.loads(line)
        if told["number"] == number:
            return dict(told)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise MigrationError(f"an answer to request {number} was expected, and {line[:80]!r} came", phase="arm")


def _result(told: dict[str, Any]) -> dict[str, Any]:
    if "error" not in told:
        return dict(told["result"])
    error = dict(told["error"])
    raise MigrationError(
        str(error.pop("message")),
        phase=str(error.pop("phase", "arm")),
        container_state=str(error.pop("container_state", "unknown")),
        log_tail=str(error.pop("log_tail", "")),
        rolled_back=bool(error.pop("rolled_back", False)),
        more=error,
    )


class Request(NamedTuple):
    """One request to an agent. ``progress`` tells whoever asked, if that is still there."""

    operation: str
    fields: dict[str, Any]
    progress: Callable[..., None]


class ControlServer:
    """The agent's end of the socket. It is bound at once; :meth:`start` only in the process that stays.

    :param path: of the socket; its directory has mode 0700.
    """

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(8)
        self._handlers: dict[str, Callable[[Request], dict[str, Any]]] = {}
        self._accepting: threading.Thread | None = None
        self._lock = threading.Lock()
        # Requests that are being answered, and when the last one was. To be asked how it is keeps no agent
        # alive.
        self.busy = 0
        self.last_word = time.monotonic()

    def start(self, handlers: dict[str, Callable[[Request], dict[str, Any]]]) -> None:
        self._handlers = handlers
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Let whoever still waits for an answer have it, for some seconds, then end."""
        end = time.monotonic() + 5
        while self.busy and time.monotonic() < end:
            time.sleep(0.01)
        stop_listening(self._listener, self._accepting)

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.busy += 1
        try:
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                self._answer(stream)
        except (OSError, ValueError):
            # Whoever asked went away; what was asked for is done all the same.
            pass
        finally:
            with self._lock:
                self.busy -= 1

    def _answer(self, stream: Any) -> None:
        try:
            asked = json.loads(stream.readline(MAX_LINE_BYTES))
            number, operation, fields = asked["number"], str(asked["operation"]), dict(asked["fields"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"what came is no request: {error!r}") from error

        def say(**words: Any) -> None:
            with contextlib.suppress(OSError, ValueError):
                stream.write(json.dumps(dict(words, number=number)) + "\n")
                stream.flush()

        def progress(**line: Any) -> None:
            say(progress=line)

        try:
            handler = self._handlers.get(operation)
            if handler is None:
                raise MigrationError(f"the agent knows no operation {operation}; same version?")
            asked = Request(operation, fields, progress)
            with contextlib.nullcontext() if operation == STATUS else around(f"control.{operation}"):
                result = handler(asked)
            say(result=result)
        except MigrationError as error:
            say(error=dict(error.result(), message=error.message))
        except Exception as error:
            what = f"{operation} broke in the agent: {type(error).__name__}: {error}"
            say(error={"message": what, "phase": "arm"})
        finally:
            if operation != STATUS:
                self.last_word = time.monotonic()
