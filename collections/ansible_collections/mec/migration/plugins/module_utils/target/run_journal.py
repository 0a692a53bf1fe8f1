# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a copy that runs: what its disk does not take when it is time to is written later."""

from __future__ import annotations

import contextlib
import threading

from ..base.errors import MigrationError
from ..state import journal as states
from ..state.journal import Journal


class RunJournal:
    """Brings the target's journal to ``running`` and ``filled``, from whichever thread notices that it can.

    A disk that was full for a moment must not make a complete copy count as one that lacks memory: nobody
    would give up the source for it any more, and clients have written to it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._runs = threading.Event()
        self._complete = False

    def runs(self) -> None:
        """The copy runs, and the first try to write that is over, well or not."""
        self._runs.set()

    def complete(self) -> None:
        """The copy needs nothing more of the source. A write that fails now :meth:`catch_up` tries again."""
        self._runs.wait()
        self._complete = True
        with contextlib.suppress(MigrationError):
            self.catch_up()

    def catch_up(self) -> None:
        """Write what is so, where the journal does not say it yet.

        :raises MigrationError: the disk does not take it.
        """
        with self._lock:
            state = self._journal.state
            if self._complete and state in (states.RESTORING, states.RUNNING):
                self._journal.write(states.FILLED)
            elif self._runs.is_set() and state == states.RESTORING:
                self._journal.write(states.RUNNING)
