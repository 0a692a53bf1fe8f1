# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the restore lost: settings of processes and sockets, the view of the cgroups."""

from __future__ import annotations

from ..base.errors import MigrationError, TransferError
from ..base.threads import InThread
from ..docker.runc_state import runc_state
from ..kernel import settings
from ..kernel.cgroup import Cgroup
from ..kernel.cgroup_view import show_own
from ..kernel.datagram_peers import Peer, connect_again, peers_of
from ..kernel.processes import container_pids
from ..transport.wire import Message


class PutBack:
    """Takes the source's settings before the freeze, and sets what differs afterwards."""

    def __init__(self) -> None:
        self._wanted = settings.Settings([], [])
        self._peers: list[Peer] = []
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

    def take_peers(self, message: Message) -> None:
        """:param message: has ``peers``, each a :class:`Peer` as a list.

        :raises TransferError: it has not.
        """
        try:
            self._peers = peers_of(message.fields["peers"])
        except (KeyError, ValueError) as error:
            raise TransferError(f"the message {message.kind} is damaged: {error!r}") from error

    def run(self, container_id: str) -> None:
        """The service runs: set them. A service that has ended meanwhile has none."""
        try:
            first = runc_state(container_id).pid
            # The service may use them at any moment.
            unconnected = self._connect(first)
            self.refused = show_own(first)
            if self._wanted.tasks or self._wanted.sockets:
                self.refused += settings.put_back(container_pids(Cgroup(first).pids()), self._wanted)
            self.refused += unconnected.result()
        except MigrationError as error:
            self.refused = [error.message]

    def _connect(self, first: int) -> InThread[list[str]]:
        """In a thread, as the network may be on its way still."""
        return InThread(
            lambda: connect_again(container_pids(Cgroup(first).pids()), self._peers) if self._peers else []
        )
