# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the restore lost: settings of processes and sockets, the view of the cgroups."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TypeVar

from ..base.errors import MigrationError, TransferError
from ..base.threads import InThread
from ..docker.runc_state import runc_state
from ..kernel import settings
from ..kernel.cgroup import Cgroup
from ..kernel.cgroup_view import show_own
from ..kernel.datagram_peers import Peer, connect_again, peers_of
from ..kernel.processes import container_pids
from ..transport.wire import Message
from .before_resume import BeforeResume

Value = TypeVar("Value")


class PutBack:
    """Takes the source's settings before the freeze, and sets what differs afterwards."""

    def __init__(self) -> None:
        self._wanted = settings.Settings([], [])
        self._peers: list[Peer] = []
        self._before: BeforeResume | None = None
        self.refused: list[str] = []
        """What could not be set, as words."""

    @property
    def told(self) -> dict[str, list[str]]:
        """For the source, which makes warnings of it."""
        return {"not_put_back": self.refused}

    def take(self, message: Message) -> None:
        """:param message: has ``settings``, as :meth:`Settings.as_fields` gives them.

        :raises TransferError: it has not.
        """
        try:
            self._wanted = settings.from_fields(message.fields["settings"])
        except (KeyError, ValueError) as error:
            raise TransferError(f"the message {message.kind} is damaged: {error}") from error

    def take_peers(self, message: Message, directory: str) -> None:
        """:param message: has ``peers``, each a :class:`Peer` as a list.
        :param directory: of CRIU's images.

        :raises TransferError: it has not.
        """
        try:
            self._peers = peers_of(message.fields["peers"])
        except (KeyError, ValueError) as error:
            raise TransferError(f"the message {message.kind} is damaged: {error!r}") from error
        if self._peers:
            # A service that sends before its socket has a peer gets an error.
            with contextlib.suppress(OSError):
                self._before = BeforeResume(directory, self._connect_early)

    def beside(self, restore: Callable[[], Value]) -> Value:
        """Call *restore*, and put back meanwhile what the service needs at once."""
        try:
            return restore()
        finally:
            if self._before is not None:
                self._before.close()
                self._before = None

    def _connect_early(self, first: int) -> None:
        """Where there is no network yet (Docker 28 and later wires it afterwards) it is for :meth:`run`."""
        namespace = os.readlink(f"/proc/{first}/ns/pid")
        ours = []
        for pid in Cgroup(first).pids():
            # CRIU is there, too.
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                    ours.append(pid)
        connect_again(container_pids(ours), self._peers, patience_s=-1)

    def run(self, container_id: str) -> None:
        """The service runs: set them. A service that has ended meanwhile has none."""
        try:
            first = runc_state(container_id).pid
            # The service may use them at any moment.
            unconnected = self._connect(first)
            self.refused = show_own(first)
            if any(self._wanted):
                self.refused += settings.put_back(container_pids(Cgroup(first).pids()), self._wanted)
            self.refused += unconnected.result()
        except MigrationError as error:
            self.refused = [error.message]

    def _connect(self, first: int) -> InThread[list[str]]:
        """In a thread, as the network may be on its way still."""
        return InThread(
            lambda: connect_again(container_pids(Cgroup(first).pids()), self._peers) if self._peers else []
        )
