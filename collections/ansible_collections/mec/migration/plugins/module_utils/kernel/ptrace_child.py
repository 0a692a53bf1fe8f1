# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process that traces others: no signal reaches it before it has put back what it changed."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from ..base.priority import hurry
from .ptrace import RemoteError, TryAgain

ANSWER_TIMEOUT_S = 5.0
ATTEMPTS = 4

Work = Callable[[], tuple[dict[str, Any], list[int]]]


def in_child(work: Work) -> tuple[dict[str, Any], list[int]]:
    """Run *work* in a child of its own session that no signal reaches; again after a TryAgain.

    :param work: returns what can be said in JSON, and descriptors to hand over.
    :raises RemoteError: what *work* raised, or it has not answered in time. Then the child goes on:
        it must restore what it has changed.
    """
    turn = 1
    while True:
        try:
            return _once_in_child(work)
        except TryAgain:
            # Each time a new child: the end of the old one lets go of threads that did not stop.
            if turn == ATTEMPTS:
                raise
            turn += 1
            time.sleep(0.01)


def _once_in_child(work: Work) -> tuple[dict[str, Any], list[int]]:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            gc.disable()
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ours.close()
            # Someone stands still as long as this child has to wait for a processor.
            hurry()
            answer, descriptors = _answer(work)
            socket.send_fds(theirs, [b"\n"], descriptors)
            theirs.sendall(json.dumps(answer).encode())
        finally:
            os._exit(0)
    theirs.close()
    said = bytearray()
    try:
        ours.settimeout(ANSWER_TIMEOUT_S)
        _first, descriptors, _flags, _address = socket.recv_fds(ours, 1, 4, socket.MSG_CMSG_CLOEXEC)
        while piece := ours.recv(1 << 16):
            said += piece
    except OSError as error:
        raise RemoteError(f"no answer from it within {ANSWER_TIMEOUT_S:g} s: {error}") from error
    finally:
        ours.close()
    os.waitpid(child, 0)
    if not said:
        raise RemoteError("the process that was to do it has ended")
    answer = json.loads(said)
    if "error" in answer:
        raise (TryAgain if answer["again"] else RemoteError)(answer["error"])
    return answer, list(descriptors)


def _answer(work: Work) -> tuple[dict[str, Any], list[int]]:
    try:
        return work()
    except (RemoteError, OSError) as error:
        return {"error": str(error), "again": isinstance(error, TryAgain)}, []
