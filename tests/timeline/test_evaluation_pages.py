"""The pages of evaluations on the screen of a laptop: they fit, and say what their axes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation import evaluation
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation import figure_8 as fig
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.figure_6 import point
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.sweep import combinations
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    check,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.report import report
from ansible_collections.mec.migration.plugins.plugin_utils.report.figure_8_page import write_figure_8
from ansible_collections.mec.migration.plugins.plugin_utils.report.sweep_page import write_sweep

from .browser import Browser, Page

LAPTOP = {"width": 1366, "height": 768}
SWEEP: dict[str, list[Any]] = {"hosts": [5, 91], "x": [0, 1], "mobility.move_probability": [0.3, 0.6]}


def evaluation_page(directory: Path) -> str:
    policy = check(read_policy(DEFAULT_DIRECTORY / "default.yml"))
    done = evaluation.evaluate_walk(policy, users=8, slots=20, hosts=7)
    return report.write_report(directory, "Strategies", done.settings, done.rows)["html"]


def sweep_page(directory: Path) -> str:
    policy = check(read_policy(DEFAULT_DIRECTORY / "default.yml"))
    cases = [
        evaluation.walk_case(varying, users=8, slots=20, hosts=varied["hosts"], varied=varied)
        for varying, varied in combinations(policy, SWEEP)
    ]
    done = [(one.settings, one.rows) for one in evaluation.evaluate_cases(cases)]
    return write_sweep(directory, "A sweep", SWEEP, done)["html"]


def figure_6_page(directory: Path) -> str:
    points = [point(discount, x, runs=2) for discount in (0.5, 0.9) for x in (0.0, 1.0, 2.0)]
    return report.write_figure_6(directory, points)["html"]


def figure_8_page(directory: Path) -> str:
    slots = 1441
    cost = {name: [0.5 + 0.1 * place] * slots for place, name in enumerate((*fig.RULES, fig.OFFLINE))}
    found = {
        "users": [300] * slots,
        "start_s": 1212220800.0,
        "slot_s": 60.0,
        "cost": cost,
        "mean": {name: line[0] for name, line in cost.items()},
        "best_simple": "never",
        "gap_closed": dict.fromkeys(cost, 0.5),
        "moves_an_hour": dict.fromkeys(cost, 1.0),
    }
    return write_figure_8(directory, {"kind": "figure_8"}, found)["html"]


PAGES = {
    evaluation_page: ["cost of one user in one slot", "strategy"],
    sweep_page: [],
    figure_6_page: ["x = -beta_l", "discounted sum of costs", "computing time, ms"],
    figure_8_page: ["cost of one user in one slot", "time of day in San Francisco", "04:00"],
}


def fits(page: Page) -> None:
    assert page.complaints() == []
    assert [url[:5] for url in page.requests()] == ["file:"]
    assert page.value("document.documentElement.scrollWidth") == LAPTOP["width"]
    for box in page.boxes("h1, h2, p, table, svg, td, th"):
        assert box["left"] >= 0
        assert box["left"] + box["width"] <= LAPTOP["width"], box
    cut = page.value(
        """[...document.querySelectorAll('svg text')].filter(text => {
          const t = text.getBoundingClientRect(), s = text.ownerSVGElement.getBoundingClientRect();
          return t.left < s.left || t.right > s.right || t.top < s.top || t.bottom > s.bottom;
        }).map(text => text.textContent)"""
    )
    assert cut == []
    # Text over text can be read by nobody.
    over = page.value(
        """[...document.querySelectorAll('svg')].flatMap(svg => {
          const all = [...svg.querySelectorAll('text')].map(t => [t.getBoundingClientRect(), t.textContent]);
          return all.flatMap(([a, one], i) => all.slice(i + 1).filter(([b]) =>
            a.left < b.right && b.left < a.right && a.top + 2 < b.bottom - 2 && b.top + 2 < a.bottom - 2
          ).map(([b, other]) => one + ' / ' + other));
        })"""
    )
    assert over == []


@pytest.mark.parametrize("make", PAGES, ids=lambda make: make.__name__)
def test_a_page_fits_on_a_laptop_and_names_its_axes(browser: Browser, tmp_path: Path, make) -> None:
    page = browser.open(Path(make(tmp_path)), LAPTOP["width"], height=LAPTOP["height"])
    fits(page)
    words = page.value("[...document.querySelectorAll('svg text')].map(one => one.textContent).join('\\n')")
    assert [word for word in PAGES[make] if word not in words] == []


@pytest.mark.parametrize("make", [evaluation_page, sweep_page], ids=lambda make: make.__name__)
def test_the_gap_is_explained_in_one_sentence_that_is_seen_at_once(
    browser: Browser, tmp_path: Path, make
) -> None:
    page = browser.open(Path(make(tmp_path)), LAPTOP["width"], height=LAPTOP["height"])
    text = page.value("document.querySelector('p').textContent")
    assert text.startswith("Gap closed ")
    assert text.count(". ") == 0
    box = page.boxes("p")[0]
    assert box["top"] + box["height"] < LAPTOP["height"]
