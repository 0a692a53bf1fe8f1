# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to stop copying and freeze: a model of how fast pages become dirty, and a rule over it."""

from __future__ import annotations

import math
from typing import NamedTuple

# Older rounds count half as much each.
FORGETTING = 0.5
OBSERVATIONS = 6
WORKING_SET_STEP = 1.25
FEWEST_PAGES = 0.5
# A moment this near to the best one so far is as good.
AS_GOOD = 1.2
# How the reason begins of a stop because rounds are of no use.
NO_CONVERGENCE = "no further convergence"
# A service is not slowed down for a shorter stop than this.
WORTH_SLOWING_MS = 500.0
# Nor is a page of it fetched over the network while it waits.
WORTH_LEAVING_MS = 100.0
# What passes between the last round of pre-copy and the first one of the hand-over: the end of one
# module and the start of the next. Too long does no harm, for the hand-over makes the rounds then.
HANDOVER_GAP_S = 3.0


def dirty_after(seconds: float, per_s: float, working_set: float) -> float:
    """Of *working_set* pages (or bytes), those dirty after *seconds* with *per_s* writes a second.

    Writes that fall at random on W pages, r a second, leave W (1 - exp(-r t / W)) of them dirty after
    t seconds: the occupancy problem in its continuous limit.
    """
    return working_set * -math.expm1(-per_s * seconds / working_set) if working_set > 0 else 0.0


class DirtyModel:
    """How many distinct pages are dirty some time after memory was read: see :func:`dirty_after`.

    The working set is the one for which the rounds seen so far agree best on the writes a second.
    """

    def __init__(self) -> None:
        # How long after a read, and how many pages were dirty then; the newest last.
        self._observations: list[tuple[float, int]] = []
        self._working_set = 1.0
        self._pages_per_s = 0.0

    def observe(self, seconds: float, pages: int, present: int) -> None:
        """*pages* of the *present* ones were found changed *seconds* after they had been read."""
        self._observations = [*self._observations, (max(seconds, 1e-3), pages)][-OBSERVATIONS:]
        self._fit(present)

    @property
    def known(self) -> bool:
        return bool(self._observations)

    @property
    def pages_per_s(self) -> float:
        return self._pages_per_s

    def pages_after(self, seconds: float) -> float:
        """Dirty pages to expect *seconds* after a read."""
        return dirty_after(seconds, self._pages_per_s, self._working_set)

    def _fit(self, present: int) -> None:
        working_set = max(pages for _seconds, pages in self._observations) + 1.0
        best = math.inf
        while True:
            rate, spread = self._rate(working_set)
            if spread <= best:
                best, self._working_set, self._pages_per_s = spread, working_set, rate
            if working_set >= present:
                return
            working_set *= WORKING_SET_STEP

    def _rate(self, working_set: float) -> tuple[float, float]:
        """The rate that the observations give for *working_set*, and how much they disagree."""
        logarithms, weights = [], []
        for age, (seconds, pages) in enumerate(reversed(self._observations)):
            dirty = max(pages, FEWEST_PAGES)
            logarithms.append(math.log(-working_set * math.log1p(-dirty / working_set) / seconds))
            weights.append(FORGETTING**age)
        total = sum(weights)
        mean = sum(w * x for w, x in zip(weights, logarithms)) / total
        spread = sum(w * (x - mean) ** 2 for w, x in zip(weights, logarithms)) / total
        return math.exp(mean), spread


class LookModel:
    """How long a round takes beside sending: to look at pages, compare them and pack what changed.

    A tracker that asks the kernel names all pages once and then little more than the dirty ones, so that
    the next round is shorter by as much as it has fewer pages to look at.

    ``spread``: pages looked at for each one that had changed; another process may have seen it.

    :param looks_at_all: the tracker names all pages each time.
    """

    def __init__(self, *, looks_at_all: bool) -> None:
        self._looks_at_all = looks_at_all
        self._seconds, self._pages = 0.0, 0
        self.spread = 1.0

    def observe(self, seconds: float, scanned: int, changed: int) -> None:
        """A round looked at *scanned* pages, of which *changed* had to be sent."""
        if self._pages:
            # In the first round of a process all pages are named.
            self.spread = max(scanned / max(changed, 1), 1.0)
        self._seconds, self._pages = seconds, max(scanned, 1)

    def seconds(self, dirty_pages: float) -> float:
        """What a round over so many dirty pages will take; one must have been observed."""
        if self._looks_at_all:
            return self._seconds
        return self._seconds * min(dirty_pages * self.spread / self._pages, 1.0)


class Moment(NamedTuple):
    """The end of a round.

    :param dirty_pages: pages to expect dirty if the service froze now.
    :param page_bytes: what a dirty page takes on the wire.
    :param bytes_per_s: of the link.
    :param look_s: what another round would take beside sending.
    """

    dirty_pages: float
    page_bytes: float
    bytes_per_s: float
    look_s: float

    @property
    def seconds(self) -> float:
        """What sending the dirty pages would take."""
        return self.dirty_pages * self.page_bytes / max(self.bytes_per_s, 1.0)


class StopRule(NamedTuple):
    """When to stop copying and freeze.

    :param downtime_ms: to look at dirty pages and to send them must fit in this time.
    :param max_rounds: stop after so many rounds whatever is left.
    :param min_gain: stop if another round is expected to leave more than this share of what is left.
    :param gap_s: the service is not frozen at the stop, but runs on so long until someone makes further
        rounds. To send less than becomes dirty meanwhile is idle.
    """

    downtime_ms: float = 30.0
    max_rounds: int = 10
    min_gain: float = 0.9
    gap_s: float = 0.0

    def reason(self, moments: list[Moment], model: DirtyModel) -> str:
        """Why to freeze after the last of *moments*, one for each round; empty to go on."""
        now = moments[-1]
        if not model.known:
            return ""
        left = _size(now.dirty_pages * now.page_bytes)
        if (now.seconds + now.look_s) * 1000 <= self.downtime_ms:
            return (
                f"the {left} that are left pass in {self.downtime_ms:g} ms "
                f"at {now.bytes_per_s / 1e6:.0f} MB/s"
            )
        if self.gap_s and now.dirty_pages <= model.pages_after(self.gap_s):
            return f"the {left} that are left are less than becomes dirty until the hand-over goes on"
        next_pages = model.pages_after(now.look_s + now.seconds)
        lowest = min(moment.dirty_pages for moment in moments)
        if next_pages > self.min_gain * now.dirty_pages and now.dirty_pages <= AS_GOOD * lowest:
            return (
                f"{NO_CONVERGENCE}: {left} left, and another round would leave "
                f"{_size(next_pages * now.page_bytes)}"
            )
        return ""

    def worth_leaving(self, now: Moment) -> bool:
        """Whether what is left takes so long to send that the target should rather fetch it later."""
        return now.seconds * 1000 > max(self.downtime_ms, WORTH_LEAVING_MS)

    def worth_slowing(self, now: Moment) -> bool:
        """Whether what is left takes so long to send that the service should rather be slowed down.

        To look at memory takes as long whatever the service does.
        """
        return now.seconds * 1000 > max(self.downtime_ms, WORTH_SLOWING_MS)


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
