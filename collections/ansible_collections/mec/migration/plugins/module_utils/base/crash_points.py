# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crash points: where a test kills, stops or fails a migration's agent, to see that nothing is lost by it.

They lie before and after each message, journal write, call of Docker and call of CRIU, where all of a kind
pass. A point's name is ``side/stage/call/moment``; the stages are ``first`` and, once the source is frozen
or the target's restore is prepared, ``last``. :data:`CALLS` has all that a move passes.

They are off unless root has put one's name into :data:`ARMED_FILE` before the agent starts::

    source/last/send.handover.end/after kill

``stop`` stops the process until it gets a SIGCONT, ``error`` fails the call (or, after it, its answer), and
``trace`` instead of a name notes in :data:`TRACE_FILE` what is passed. A fault comes once: before it the file
is removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from .paths import RUN_DIR

ARMED_FILE = f"{RUN_DIR}/crash-point"
TRACE_FILE = f"{RUN_DIR}/crash-point.trace"
KILL, STOP, ERROR, TRACE = "kill", "stop", "error", "trace"
BEFORE, AFTER = "before", "after"
FIRST, LAST = "first", "last"
LAST_BEGINS = ("cgroup.freeze", "criu.prepare")
# Messages that come have one point, after it: before it is where the process was anyway.
RECEIVE = "receive."
# Begun in one stage, at an end in the next.
SPLIT = (
    "source/first/control.handover/after",
    "source/last/control.handover/before",
    "target/first/docker.start/after",
    "target/last/docker.start/before",
)
# What a move passes that succeeds, of a service whose image the target lacks.
CALLS: dict[tuple[str, str], str] = {
    ("source", FIRST): """
        docker.ping docker.containers docker.inspect_container docker.info docker.inspect_image
        docker.inspect_volume journal.open control.validate send.hello receive.answer.hello
        send.facts receive.answer.facts control.image send.layers.have receive.answer.layers.have
        send.layers.whole send.layers.data send.layers.end receive.answer.layers.end
        send.layers.load receive.answer.layers.load
        control.precopy send.log.part send.arm receive.answer.arm
        send.files.begin receive.answer.files.begin send.files.batch
        send.files.commit receive.answer.files.commit
        send.memory.round send.memory.pages send.memory.round_end receive.answer.memory.round_end
        control.handover send.handover.prepare receive.answer.handover.prepare
        send.dictionary receive.answer.dictionary criu.start journal.frozen docker.update_container
        cgroup.freeze
        """,
    ("source", LAST): """
        criu.dump journal.mark_sent send.memory.round send.memory.pages send.memory.round_end
        receive.answer.memory.round_end send.files.batch send.files.commit receive.answer.files.commit
        send.handover.images send.handover.end receive.answer.handover.end journal.handed_over
        send.finish receive.answer.finish docker.containers docker.inspect_container docker.events cgroup.kill
        docker.wait docker.remove_container journal.settled send.hello receive.answer.hello
        send.forget receive.answer.forget journal.remove control.handover
        """,
    ("target", FIRST): """
        docker.ping docker.info journal.open receive.hello answer.hello receive.facts answer.facts
        receive.layers.have answer.layers.have receive.layers.whole receive.layers.data
        receive.layers.end answer.layers.end receive.layers.load docker.load_image docker.inspect_image
        docker.tag answer.layers.load
        receive.log.part receive.arm docker.volumes docker.create_volume docker.inspect_network docker.version
        docker.create_container_from_config journal.armed docker.inspect_container docker.start answer.arm
        receive.files.begin answer.files.begin receive.files.batch receive.files.commit answer.files.commit
        receive.memory.round receive.memory.pages receive.memory.round_end answer.memory.round_end
        receive.handover.prepare criu.prepare
        """,
    ("target", LAST): """
        answer.handover.prepare receive.dictionary answer.dictionary
        receive.memory.round receive.memory.pages receive.memory.round_end answer.memory.round_end
        receive.files.batch receive.files.commit answer.files.commit receive.handover.images
        receive.handover.end journal.restoring criu.restore journal.running answer.handover.end
        journal.filled receive.finish docker.start docker.containers docker.inspect_container
        docker.update_container journal.settled answer.finish
        receive.hello answer.hello receive.forget journal.remove answer.forget
        """,
}

# What it passes besides with post-copy.
POSTCOPY_CALLS: dict[tuple[str, str], str] = {
    ("source", FIRST): "send.pages.offer",
    ("source", LAST): """
        send.memory.late receive.pages.fetch answer.pages.fetch receive.pages.done answer.pages.done
        """,
    ("target", LAST): """
        receive.pages.offer receive.memory.late send.pages.fetch receive.answer.pages.fetch
        send.pages.done receive.answer.pages.done
        """,
}

# Calls that only other moves pass: layers in pieces, an agent that is asked anew, an end before the mark.
ELSEWHERE = """
    control.commit control.cancel control.change cgroup.thaw cgroup.end
    send.handover.abort receive.handover.abort answer.handover.abort receive.answer.handover.abort
    send.handover.status receive.handover.status answer.handover.status receive.answer.handover.status
    send.layers.offer receive.layers.offer answer.layers.offer receive.answer.layers.offer
    send.layers.chunks receive.layers.chunks answer.layers.chunks receive.answer.layers.chunks
    send.layers.rebuild receive.layers.rebuild answer.layers.rebuild receive.answer.layers.rebuild
    send.layers.skeleton receive.layers.skeleton
    docker.connect_container_to_network docker.get_image docker.history docker.images docker.logs
    docker.unpause criu.allocate
    """


def points(passed: dict[tuple[str, str], str] | None = None) -> list[str]:
    """The names of all points that such a move passes, in about its order.

    :param passed: of others than :data:`CALLS`.
    """
    found = []
    for (side, stage), calls in (passed or CALLS).items():
        for call in calls.split():
            moments = (AFTER,) if call.startswith(RECEIVE) else (BEFORE, AFTER)
            found += [f"{side}/{stage}/{call}/{moment}" for moment in moments]
    return [name for name in found if name not in SPLIT]


class _Armed(NamedTuple):
    point: str
    fault: str


_side, _stage = "", FIRST
_armed: _Armed | None = None


def enter(side: str) -> None:
    """This process, and what it forks, is a migration's agent on *side* (``source``, ``target``)."""
    global _side, _armed
    _side, _armed = side, _read()


def disarm() -> None:
    """This process passes no point any more."""
    global _side, _armed, _stage
    _side, _armed, _stage = "", None, FIRST


def _read() -> _Armed | None:
    """What root has armed. What anybody else could have written arms nothing."""
    try:
        descriptor = os.open(ARMED_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        status = os.fstat(descriptor)
        others = stat.S_IMODE(status.st_mode) & 0o077
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or others:
            return None
        words = file.read(200).split()
    if words == [TRACE]:
        return _Armed("", TRACE)
    return _Armed(*words) if len(words) == 2 and words[1] in (KILL, STOP, ERROR) else None


def _os_error(why: str) -> Exception:
    return OSError(errno.EIO, why)


def reach(call: str, moment: str, error: Callable[[str], Exception] = _os_error) -> None:
    """The process is *before* or *after* that call.

    :param error: of the kind that a failure of that call has.
    """
    global _stage  # noqa: PLW0603  One process goes through the stages of one move.
    if _armed is None:
        return
    point = f"{_side}/{_stage}/{call}/{moment}"
    if call in LAST_BEGINS and moment == AFTER:
        _stage = LAST
    if _armed.fault == TRACE:
        _trace(point)
    elif _armed.point == point:
        _fail(_armed, error)


def _trace(point: str) -> None:
    descriptor = os.open(TRACE_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{point}\n".encode())
    finally:
        os.close(descriptor)


def _fail(armed: _Armed, error: Callable[[str], Exception]) -> None:
    try:
        # Of several threads, and of agent and guard, one removes it.
        os.unlink(ARMED_FILE)
    except FileNotFoundError:
        return
    if armed.fault == ERROR:
        raise error(f"crash point {armed.point}")
    # To this thread: another one that stops the process for it may take its time, and this one would go on.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL if armed.fault == KILL else signal.SIGSTOP)


class around(contextlib.ContextDecorator):
    """The points before and after a call; one that fails has no point after it."""

    def __init__(self, call: str, error: Callable[[str], Exception] = _os_error) -> None:
        self._call, self._error = call, error

    def __enter__(self) -> None:
        reach(self._call, BEFORE, self._error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            reach(self._call, AFTER, self._error)


class _Watched:
    """An object each of whose methods is a call."""

    def __init__(self, name: str, thing: Any) -> None:
        self._name = name
        self._thing = thing

    def __getattr__(self, method: str) -> Any:
        value = getattr(self._thing, method)
        if method.startswith("_") or not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            with around(f"{self._name}.{method}"):
                return value(*arguments, **options)

        return call


def watched(name: str, thing: Any) -> Any:
    """*thing*, or where a point is armed a stand-in whose methods are calls ``name.method``."""
    return thing if _armed is None else _Watched(name, thing)
