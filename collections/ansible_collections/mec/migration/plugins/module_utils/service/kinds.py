# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kind of thing that a container may hold, what becomes of it in a move, and how it is recognised.

The tables of kinds are in the files ``kinds_*.py``; :mod:`.inventory` goes through all of them. The page
docs/compatibility.md is made from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .executed import Executed
from .holdings import Holdings, Process

# What becomes of a kind. UNSEEN: it is lost and cannot be recognised, so that only the page tells.
KEPT, REFUSED, SAID, UNSEEN = "kept", "refused", "said", "unseen"


class Found(NamedTuple):
    """One thing of a kind.

    :param holder: None if it is the whole container's.
    :param what: the rest of a sentence that begins with the holder: "has an io_uring (file descriptor 3)".
    """

    holder: Process | Executed | None
    what: str


class Kind(NamedTuple):
    """One row of the table.

    :param name: for tests and links, in lower case with dashes.
    :param title: what it is, as the page lists it.
    :param outcome: :data:`KEPT`, :data:`REFUSED`, :data:`SAID` or :data:`UNSEEN`.
    :param recognised: by what, for the page.
    :param reason: why it cannot move, or what becomes of it: the second half of the sentence of *find*.
    :param remedy: what to do about it; a sentence.
    :param test: the test that shows the outcome, as pytest names it.
    :param find: the things of this kind in a container; None if they are judged elsewhere, or kept.
    """

    name: str
    title: str
    outcome: str
    recognised: str
    reason: str
    remedy: str
    test: str
    find: Callable[[Holdings], Iterable[Found]] | None = None

    def say(self, container: str, holdings: Holdings) -> Iterator[str]:
        """Sentences about what is found of it: one for each different thing, however many have it."""
        if self.find is None:
            return
        holders: dict[str, list[Process | Executed]] = {}
        for holder, what in self.find(holdings):
            holders.setdefault(what, []).extend([holder] if holder else [])
        for what, processes in holders.items():
            who = str(processes[0]) if processes else ""
            pids = {process.pid for process in processes}
            more = f" and {len(pids) - 1} more" if len(pids) > 1 else ""
            subject = f"{who}{more} of container {container}" if who else f"container {container}"
            yield f"{subject} {what}; {self.reason}. {self.remedy}"
