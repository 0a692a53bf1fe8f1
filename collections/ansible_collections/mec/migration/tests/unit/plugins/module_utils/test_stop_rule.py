# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment to freeze, against the best moment in hindsight, on services that write in different ways."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.stop_rule import (
    HANDOVER_GAP_S,
    DirtyModel,
    LookModel,
    Moment,
    StopRule,
)

PAGES = 8192
PAGE_BYTES = 4096
LINK_BYTES_PER_S = 12.5e6
LOOK_S = 0.1
TICK_S = 0.01


class Writer:
    """A service that writes pages as time goes on; ``dirty`` are those written since the last read."""

    def __init__(self, seed, pick, pages_per_s):
        self._random = random.Random(seed)
        self._pick, self._pages_per_s = pick, pages_per_s
        self._owed = 0.0
        self.now = 0.0
        self.dirty = set()

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += TICK_S
            self._owed += self._pages_per_s(self.now) * TICK_S
            for _write in range(int(self._owed)):
                self.dirty.add(self._pick(self._random, self.now))
            self._owed -= int(self._owed)

    def read(self):
        found, self.dirty = len(self.dirty), set()
        return found


def uniform(chance, _now):
    return chance.randrange(PAGES)


def hot_and_cold(chance, _now):
    """Nine writes in ten go to two pages in a hundred."""
    return chance.randrange(PAGES // 50) if chance.random() < 0.9 else chance.randrange(PAGES)


def sweep(_chance, now):
    return int(now * 1000) % PAGES


def bursts(now):
    return 6000 if now % 3 < 0.8 else 100


SERVICES = {
    "quiet": (uniform, lambda now: 50),
    "uniform": (uniform, lambda now: 1000),
    "faster than the link": (uniform, lambda now: 8000),
    "hot and cold": (hot_and_cold, lambda now: 4000),
    "sweep": (sweep, lambda now: 1000),
    "bursts": (uniform, bursts),
    "dies down": (uniform, lambda now: 4000 * math.exp(-now / 4)),
}


class Rounds:
    """Rounds over a service that writes; what they sent, and the moments that a rule judges."""

    def __init__(self, service, seed):
        self.writer = Writer(seed, *SERVICES[service])
        self.model, self.moments = DirtyModel(), []
        self.sent_pages = 0
        self._last_read = None

    def round(self):
        waiting = self.writer.read()
        if self._last_read is None:
            waiting = PAGES
        else:
            self.model.observe(self.writer.now - self._last_read, waiting, PAGES)
        self._last_read = self.writer.now
        self.sent_pages += waiting
        seconds = LOOK_S + waiting * PAGE_BYTES / LINK_BYTES_PER_S
        self.writer.run(seconds)
        dirty = self.model.pages_after(seconds) if self.model.known else PAGES
        self.moments.append(Moment(dirty, PAGE_BYTES, LINK_BYTES_PER_S, LOOK_S))

    def until(self, rule):
        self.moments = []
        for _turn in range(rule.max_rounds):
            self.round()
            if rule.reason(self.moments, self.model):
                return

    @property
    def left_pages(self):
        return len(self.writer.dirty)


def migrate(service, seed, rule):
    """After which of the rounds the rule would have frozen, and what each moment would have left."""
    rounds, left, chosen = Rounds(service, seed), [], None
    for turn in range(rule.max_rounds):
        rounds.round()
        left.append(rounds.left_pages)
        if chosen is None and rule.reason(rounds.moments, rounds.model):
            chosen = turn
    return (rule.max_rounds - 1 if chosen is None else chosen), left


@pytest.mark.parametrize("service", SERVICES)
def test_the_moment_is_near_the_best_in_hindsight(service):
    """What is left at the chosen moment, against the least that any of ten rounds would have left."""
    rule = StopRule(downtime_ms=50)
    enough = rule.downtime_ms / 1000 * LINK_BYTES_PER_S / PAGE_BYTES
    ratios = []
    for seed in range(15):
        chosen, left = migrate(service, seed, rule)
        ratios.append(max(left[chosen], enough) / max(min(left), enough))
    assert statistics.median(ratios) <= 1.25
    assert max(ratios) <= 2


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_gap_makes_dirty_is_not_sent_before_it(service):
    """Pre-copy, gap, hand-over: less is sent if pre-copy knows of the gap, and no more is left."""

    def whole_move(seed, gap_s):
        rounds = Rounds(service, seed)
        rounds.until(StopRule(downtime_ms=50, gap_s=gap_s))
        rounds.writer.run(HANDOVER_GAP_S)
        rounds.until(StopRule(downtime_ms=50))
        return rounds.sent_pages, rounds.left_pages

    enough = 0.05 * LINK_BYTES_PER_S / PAGE_BYTES
    sent, left = [], []
    for seed in range(15):
        knowing, not_knowing = whole_move(seed, HANDOVER_GAP_S), whole_move(seed, 0.0)
        sent.append(knowing[0] / not_knowing[0])
        left.append(max(knowing[1], enough) / max(not_knowing[1], enough))
    assert statistics.median(sent) <= (0.95 if service == "uniform" else 1)
    assert statistics.median(left) <= 1.1


def test_the_model_finds_a_working_set_that_is_small():
    model = DirtyModel()
    for seconds in (8.0, 2.0, 0.5):
        model.observe(seconds, round(400 * -math.expm1(-1000 * seconds / 400)), PAGES)
    assert model.pages_after(10) == pytest.approx(400, rel=0.15)
    assert model.pages_after(0.1) == pytest.approx(400 * -math.expm1(-0.25), rel=0.2)


def test_the_model_follows_a_rate_that_changes():
    model = DirtyModel()
    for pages in (100, 100, 100, 1000, 1000, 1000):
        model.observe(1.0, pages, PAGES)
    assert model.pages_after(1.0) > 500


def test_nothing_dirty_is_little_to_expect():
    model = DirtyModel()
    model.observe(1.0, 0, PAGES)
    assert model.pages_after(1.0) < 1


def test_before_the_second_read_nothing_stops_it():
    assert StopRule(downtime_ms=1e9).reason([Moment(1, 1, 1e9, 0)], DirtyModel()) == ""


def test_reasons_say_what_is_left():
    model = DirtyModel()
    model.observe(1.0, 1000, PAGES)
    quick = Moment(1000, PAGE_BYTES, 1e9, 0.05)
    assert StopRule(100).reason([quick], model) == "the 4.1 MB that are left pass in 100 ms at 1000 MB/s"
    long_to_look_at = Moment(1000, PAGE_BYTES, 1e9, 0.2)
    assert "pass in" not in StopRule(100).reason([long_to_look_at], model)
    little = Moment(1000, 40, 1e9, 0.05)
    assert StopRule(100).reason([little], model).startswith("the 40 kB that are left")
    slow = Moment(1000, PAGE_BYTES, 1e6, 0.1)
    assert "are less than becomes dirty" in StopRule(100, gap_s=3).reason([slow], model)
    assert "no further convergence: 4.1 MB left" in StopRule(100).reason([slow], model)


@pytest.mark.parametrize(("looks_at_all", "expected_s"), [(False, 0.1), (True, 2.0)])
def test_the_next_round_looks_at_what_is_dirty_or_at_all(looks_at_all, expected_s):
    look = LookModel(looks_at_all=looks_at_all)
    look.observe(2.0, scanned=20000, changed=500)
    assert look.seconds(1000) == pytest.approx(expected_s)
    assert look.seconds(1e9) == 2.0


def test_pages_that_are_looked_at_in_vain_count():
    look = LookModel(looks_at_all=False)
    look.observe(2.0, scanned=20000, changed=20000)
    look.observe(0.2, scanned=2000, changed=500)
    assert look.spread == 4
    assert look.seconds(100) == pytest.approx(0.2 * 400 / 2000)
    in_another_process = LookModel(looks_at_all=False)
    in_another_process.spread = look.spread
    in_another_process.observe(2.0, scanned=20000, changed=500)
    assert in_another_process.seconds(100) == pytest.approx(2.0 * 400 / 20000)


def test_a_first_look_at_all_memory_is_not_the_end_of_convergence():
    """10,000 pages a second of 1 GiB, small writes: looking at them takes longer than sending them."""
    chance, dirty = random.Random(1), set()
    look, model, moments, left = LookModel(looks_at_all=False), DirtyModel(), [], []
    present, page_bytes, rule = 1 << 18, 70, StopRule(downtime_ms=30)
    scanned, changed = present, 60000
    for _round in range(rule.max_rounds):
        look_s = 12e-6 * scanned + 25e-6 * changed
        seconds = look_s + changed * page_bytes / LINK_BYTES_PER_S
        model.observe(changed / 10000, changed, present)
        dirty = {chance.randrange(present) for _write in range(int(10000 * seconds))}
        left.append(len(dirty))
        look.observe(look_s, scanned, changed)
        expected = model.pages_after(seconds)
        moments.append(Moment(expected, page_bytes, LINK_BYTES_PER_S, look.seconds(expected)))
        if rule.reason(moments, model):
            break
        scanned = changed = len(dirty)
    assert len(left) > 2
    assert left[-1] < left[0] / 5
