# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-copy: how many pages may be asked for beside those for which the service waits.

While the service waits for one page after the other, the link is idle between an answer and the next request.
Other pages may pass meanwhile, as many as the link has time for. So that a page for which the service waits
comes soon over any link, the time is limited that the link takes for what is on its way before it.
How fast the link is, is measured on the answers that come.
"""

from __future__ import annotations

from ..base.page_ranges import PAGE_BYTES

# The most of one request.
REQUEST_BYTES = 128 << 10
# So many requests are on their way while the service waits for nothing: less would leave the link idle.
IN_FLIGHT = 4
# Of each of them before anything was measured.
FIRST_BYTES = 16 << 10
# While the service waits for nothing: as long the link may take for all that is on its way, and for as long
# again as a page takes.
QUEUE_S = 0.02
# While it waits for one page after the other: how much is asked for beside. It may delay the next one by so
# long, by as long as that takes by itself, or by so many pages, whichever is longest: with fewer pages the
# hosts would be busier with requests than the link.
DELAY_S, DELAY_PAGES = 0.001, 2
# So much each answer moves what was measured: towards the median, which a pause of the machine leaves alone.
STEP = 1 / 16
# An answer came right behind the one before if its request was sent so long before that one came, as a share
# of the time that a page takes by itself.
BEHIND = 0.9
# After so many pages that came behind or before others one is fetched alone, to measure how long that takes.
MEASURE_AFTER = 64


class LinkPace:
    """What was measured, and what follows from it. Times are in seconds, as of :func:`time.monotonic`.

    :ivar alone_s: from asking for a page until it was here, with nothing else on its way; 0 if not measured.
    :ivar s_per_byte: of what came right behind something else; 0 if not measured.
    """

    def __init__(self) -> None:
        self.alone_s = self.s_per_byte = 0.0
        self._heard = 0.0
        self._not_alone = 0
        # What the link had time for until *_counted* and nobody asked for.
        self._idle_bytes = self._counted = 0.0

    def asked(self, size_bytes: int, now: float, *, wanted: bool) -> None:
        """So much was asked for.

        :param wanted: the service waits for it.
        """
        self._count(now)
        self._idle_bytes = max(self._idle_bytes - size_bytes, -float(self.piece_bytes))
        self._not_alone += wanted

    def answered(self, size_bytes: int, asked: float, now: float, *, wanted: bool, alone: bool) -> None:
        """An answer has come.

        :param asked: when its request was sent.
        :param alone: nothing was on its way then for which the service does not wait.
        """
        # It was at the source before the answer before it had left, so that the link had no pause.
        behind = self._heard > asked and self._heard - asked >= BEHIND * self.alone_s
        # The little for which the service waits takes the hosts longer than the link.
        if behind and not (wanted and self.s_per_byte):
            self.s_per_byte = _towards(self.s_per_byte, (now - self._heard) / size_bytes)
        if alone and wanted:
            self._not_alone = 0
            self.alone_s = _towards(self.alone_s, now - asked)
        self._heard = now

    @property
    def soon_s(self) -> float:
        """If the service has asked for nothing more after that time, the link is likely to be idle."""
        return 2 * self.alone_s

    @property
    def piece_bytes(self) -> int:
        """Of a request while the service is likely to wait for a page soon: as much as may delay that."""
        if not self.s_per_byte:
            return FIRST_BYTES
        return _pages(max(max(DELAY_S, self.alone_s) / self.s_per_byte, DELAY_PAGES * PAGE_BYTES))

    @property
    def quiet_bytes(self) -> int:
        """Of each of the IN_FLIGHT requests that are on their way while the service waits for nothing."""
        if not self.s_per_byte:
            return FIRST_BYTES
        return _pages((self.alone_s + QUEUE_S) / self.s_per_byte / IN_FLIGHT)

    def beside_bytes(self, now: float) -> int:
        """What may be asked for while the service is likely to wait for a page soon: a piece if the link has
        time for it, else nothing.
        """
        if not self.alone_s or self._not_alone > MEASURE_AFTER:
            # The next page for which it waits is to come alone.
            return 0
        self._count(now)
        return self.piece_bytes if self._idle_bytes >= self.piece_bytes or not self.s_per_byte else 0

    def _count(self, now: float) -> None:
        if self.s_per_byte:
            passed_bytes = (now - self._counted) / self.s_per_byte
            # Not for one piece only: after a page that was just asked for there must be enough for one.
            self._idle_bytes = min(self._idle_bytes + passed_bytes, 2.0 * self.piece_bytes)
        self._counted = now


def _pages(size_bytes: float) -> int:
    """For one request: the whole pages of it, at least one."""
    return min(max(int(size_bytes) // PAGE_BYTES, 1) * PAGE_BYTES, REQUEST_BYTES)


def _towards(before: float, seen: float) -> float:
    if not before:
        return seen
    return before * (1 + STEP if seen > before else 1 - STEP)
