"""The page of a run in a real browser: what is seen, that it is to scale, that nothing is in the way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.report.timeline import Timeline, timeline
from ansible_collections.mec.migration.plugins.plugin_utils.report.timeline_strips import strip_span

from . import made
from .browser import Browser, Page
from .conftest import Write, recorded

RECORDED = ("well", "failed", "single")
WIDTHS = (400, 1200)
NASTY = "<script>alert(1)</script>"
# What a pixel and rounding of percent may be off.
PIXELS = 1.1


def colour(text: str) -> tuple[int, ...]:
    """The numbers of ``rgb(1, 2, 3)``."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def luminance(rgb: tuple[int, ...]) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [(c / 255) / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def shown(page: Page) -> None:
    """Nothing is complained of, nothing was loaded, nothing sticks out."""
    assert page.complaints() == []
    assert [url[:5] for url in page.requests()] == ["file:"]
    width = page.value("innerWidth")
    assert page.value("document.documentElement.scrollWidth") == width
    # What a table holds may be scrolled within it; nothing else.
    for box in page.boxes(
        "section, header, li, h1, h2, h3, p, div.scroll, svg.wide, svg.plane, svg text:not(.name)"
    ):
        assert box["left"] >= -PIXELS
        assert box["left"] + box["width"] <= width + PIXELS, box
    # Text of a drawing stays in it, so that it is not cut.
    cut = page.value(
        """[...document.querySelectorAll('svg.wide > text, svg.plane > text')].filter(text => {
          const t = text.getBoundingClientRect(), s = text.ownerSVGElement.getBoundingClientRect();
          return t.left < s.left - 1 || t.right > s.right + 1 || t.top < s.top - 3 || t.bottom > s.bottom + 3;
        }).map(text => text.textContent)"""
    )
    assert cut == []
    page.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.value("document.documentElement.scrollWidth") == width
    page.value("document.querySelectorAll('details').forEach(one => { one.open = false; })")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_run_is_shown(
    browser: Browser, write: Write, name: str, width: int, dark: bool, tmp_path: Path
) -> None:
    record = recorded(name)
    page = browser.open(write(record), width, dark=dark)
    shown(page)
    picture = page.picture(tmp_path / "page.png")
    assert picture.shape[1] == width
    assert np.median(picture[-5:], axis=(0, 1)).max() < 60 if dark else np.median(picture[-5:]) > 200
    # The verdict is the first thing: its colour fills the top, its words can be read on it.
    top = colour(page.style("header", "backgroundColor"))
    (header,) = page.boxes("header")
    rows = picture[: int(header["height"])]
    assert (rows == top).all(axis=2).mean() > 0.7
    strongest = int(np.argmax(top))
    assert strongest == {"well": 1, "failed": 0, "single": 1}[name]
    assert page.texts("h1") == [record["verdict"]["sentence"]]
    assert contrast(top, colour(page.style("h1", "color"))) >= 4.5
    text, ground = (
        colour(page.style(*what)) for what in (("p.quiet", "color"), ("section", "backgroundColor"))
    )
    assert contrast(text, ground) >= 4.5


def test_success_and_failure_say_so(browser: Browser, write: Write) -> None:
    page = browser.open(write(recorded("well")), 1200)
    assert page.texts("h1") == ["All went well"]
    assert page.boxes(".cross") == []
    record = recorded("failed")
    page = browser.open(write(record), 1200)
    assert "failed" in page.texts("h1")[0]
    assert len(page.boxes(".vain")) == record["verdict"]["failed"]
    assert len(page.boxes("#lanes-t ~ svg .cross")) == record["verdict"]["failed"]
    (why,) = {
        " ".join(move["why"].split())
        for one in record["rounds"]
        for move in one["moves"]
        if move["outcome"] == "failed"
    }
    assert why in page.texts("header")[0]


def strips_of(page: Page, model: Timeline) -> list[tuple[Any, dict[str, float], str]]:
    """(move, box of its strip, selector of it)."""
    moves = [move for move in model.moves if move.copies or move.window]
    found = []
    for index, move in enumerate(moves):
        selector = f'svg[aria-labelledby^="strip-{index}-t"]'
        (box,) = page.boxes(selector)
        found.append((move, box, selector))
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RECORDED)
def test_frozen_windows_and_rounds_are_to_scale(
    browser: Browser, write: Write, name: str, width: int
) -> None:
    record = recorded(name)
    model = timeline(record)
    page = browser.open(write(record), width)
    picture = page.picture()
    ink = colour(page.value("getComputedStyle(document.querySelector('.strips .frozen')).fill"))
    before, after = strip_span([move for move in model.moves if move.copies or move.window])
    for move, box, selector in strips_of(page, model):
        scale = box["width"] / (before + after)
        rounds = page.boxes(f"{selector} .copy0, {selector} .copy1")
        assert len(rounds) == len(move.copies)
        for drawn, copied in zip(sorted(rounds, key=lambda one: one["left"]), move.copies, strict=True):
            assert drawn["width"] == pytest.approx(copied.seconds * scale, abs=PIXELS)
            assert drawn["left"] - box["left"] == pytest.approx(
                (copied.started - move.freeze + before) * scale, abs=PIXELS
            )
        if move.window is None:
            continue
        expected = move.report["frozen_ms"] / 1000 * scale
        (frozen,) = page.boxes(f"{selector} .frozen")
        assert frozen["width"] == pytest.approx(expected, abs=PIXELS)
        # And so it is in the pixels, in the row just inside the top of the window.
        row = picture[int(frozen["top"]) + 2, int(box["left"]) : int(box["left"] + box["width"]) + 1]
        assert (row == ink).all(axis=1).sum() == pytest.approx(expected, abs=2)


def test_the_inside_of_windows_is_to_scale(browser: Browser, write: Write) -> None:
    record = recorded("well")
    page = browser.open(write(record), 1200)
    model = timeline(record)
    longest = max(move.report["frozen_ms"] for move in model.moves)
    for index, move in enumerate(model.moves):
        selector = f'svg[aria-labelledby^="window-{index}-t"]'
        (box,) = page.boxes(selector)
        scale = box["width"] / (longest * 1.02)
        (whole,) = page.boxes(f"{selector} .window")
        assert whole["width"] == pytest.approx(move.report["frozen_ms"] * scale, abs=PIXELS)
        (restore,) = page.boxes(f"{selector} .restore")
        assert restore["width"] == pytest.approx(move.report["window"]["restore_wait_ms"] * scale, abs=PIXELS)
        assert restore["left"] + restore["width"] == pytest.approx(whole["left"] + whole["width"], abs=PIXELS)


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_of_the_lanes_are_to_scale_and_apart(browser: Browser, write: Write, width: int) -> None:
    record = made.run([f"service-{number}" for number in range(12)], 60)
    page = browser.open(write(record), width)
    shown(page)
    (lanes,) = page.boxes('svg[aria-labelledby^="lanes-t"]')
    bars = page.boxes("rect.bar")
    model = timeline(record)
    assert len(bars) == len(model.stays) == 12 + 60
    for share in {round(stay.seconds / model.span.seconds, 3) for stay in model.stays}:
        assert any(abs(bar["width"] - share * lanes["width"]) < 2 for bar in bars)
    assert len(page.boxes("rect.lane0, rect.lane1")) == 3
    for one in bars:
        for other in bars:
            if one is not other and abs(one["top"] - other["top"]) < 2:
                left, right = sorted((one, other), key=lambda bar: bar["left"])
                assert left["left"] + left["width"] <= right["left"] + PIXELS
    words = page.value(
        """[...document.querySelectorAll('svg[aria-labelledby^="lanes-t"] > text.tick')].map(e => {
          const b = e.getBoundingClientRect(); return [Math.round(b.top), b.left, b.right]})"""
    )
    for top, left, right in words:
        assert not any(t == top and left < other < right - 1 for t, other, _ in words), "labels overlap"


def test_names_are_text_whatever_they_say(browser: Browser, write: Write) -> None:
    record = made.run([NASTY, '"><img src=x onerror=alert(1)>', "&amp;"], 4)
    record["run"], record["policy"] = NASTY, NASTY
    for one in record["rounds"]:
        for move in one["moves"]:
            move["reason"] = f"{NASTY} is expected"
    page = browser.open(write(record), 1200)
    shown(page)
    assert page.value("document.scripts.length + document.images.length") == 0
    assert NASTY in page.texts("h3")
    assert "&amp;" in page.texts("h3")
    assert f"{NASTY} is expected" in page.texts("td.said")
    assert page.dom().count("<script") == 0


def test_of_many_moves_those_frozen_longest_are_seen(browser: Browser, write: Write) -> None:
    page = browser.open(write(made.run(["redis", "web"], 40)), 400)
    shown(page)
    assert len(page.texts("section > .move")) == 12
    assert "28 more moves, frozen for a shorter time" in page.texts("section > details > summary")
    assert "590 ms" in page.texts("section > .move")[-1]


def test_crosses_are_not_cut(browser: Browser, write: Write) -> None:
    record = recorded("failed")
    first = record["rounds"][0]
    first["moves"] = [move for move in first["moves"] if move["outcome"] == "failed"]
    # The failure is the last that was seen, at the right edge; no window gives the strip room.
    record["rounds"], record["ended"] = [first], first["moves"][0]["ended"]
    first["ended"] = record["ended"]
    for width in WIDTHS:
        page = browser.open(write(record), width)
        shown(page)
        crosses = page.boxes(".cross")
        edges = page.boxes("svg.wide:has(.cross)")
        assert len(crosses) == len(edges) == 2
        for cross, edge in zip(crosses, edges, strict=True):
            assert edge["left"] <= cross["left"]
            assert cross["left"] + cross["width"] <= edge["left"] + edge["width"]


def test_a_plan_says_that_nothing_was_touched(browser: Browser, write: Write) -> None:
    page = browser.open(write(made.run(["redis"], 1, check=True)), 400)
    shown(page)
    assert page.texts("h1") == ["Only planned: 1 move to make, nothing was touched"]
    assert page.boxes(".frozen") == []


def test_one_move_needs_neither_map_nor_costs(browser: Browser, write: Write) -> None:
    record = recorded("single")
    page = browser.open(write(record), 1200)
    assert page.texts("h2") == ["Where services ran", "Each move, magnified", "Moves", "Decisions"]
    move = record["rounds"][0]["moves"][0]
    assert f"{move['report']['downtime_client_ms']:.0f} ms" in page.texts(".tiles b")


def test_who_does_not_see_drawings_is_told_what_they_show(browser: Browser, write: Write) -> None:
    page = browser.open(write(recorded("well")), 1200)
    told = page.value(
        """[...document.querySelectorAll('svg[role=img]')].map(svg => svg.getAttribute('aria-labelledby')
          .split(' ').map(id => document.getElementById(id).textContent.length))"""
    )
    assert len(told) > 10
    assert all(lengths[0] > 3 and lengths[1] > 10 for lengths in told)
    ids = page.value("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert page.value("document.documentElement.lang") == "en"
