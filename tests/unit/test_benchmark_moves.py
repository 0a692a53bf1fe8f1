"""The arithmetic of the benchmark of moves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.moves import cells, page, sampler

SAMPLES = cells.parse_samples("10.0 1000 50\n10.5 2000 0\n11.0 2000 80\n12.0 6000 70\n")
CELL = cells.Cell(256, 1000, 100, "cold")


def run(method: str, total: float, **other: float) -> dict[str, object]:
    measured: dict[str, object] = dict.fromkeys(cells.MEASURES, 1_000_000)
    return {"cell": vars(CELL), "method": method, **measured, "total_s": total, **other}


def test_bytes_between_two_moments_lie_on_lines_between_samples():
    assert cells.sent_between(SAMPLES, 10.25, 11.5) == 4000 - 1500


def test_what_the_packet_filter_counted_has_the_links_headers():
    rows = [
        "Chain POSTROUTING (policy ACCEPT 9 packets, 999 bytes)",
        "    pkts      bytes target     prot opt in     out     source               destination",
        "      10     5000            tcp  --  *      eth0    0.0.0.0/0  0.0.0.0/0  tcp spt:9090 /* mine */",
    ]
    assert cells.counted(rows, "mine") == 5140


def test_a_moment_without_samples_is_no_zero():
    with pytest.raises(ValueError, match="at 9"):
        cells.sent_at(SAMPLES, 9.0)


def test_memory_counts_from_where_it_began():
    assert cells.peak_growth(SAMPLES, 10.2, 12.0) == 30


def test_memory_is_summed_over_the_keys_of_the_kernels_file():
    assert sampler.in_use(["anon 5", "file 100", "shmem 7"], ("anon", "shmem")) == 12


def test_the_gap_of_the_move_is_the_one_that_ends_elsewhere():
    gaps = [
        {"start": 1.0, "end": 4.0, "ms": 3000.0, "before": "a:1", "after": "a:1"},
        {"start": 5.0, "end": 5.5, "ms": 500.0, "before": "a:1", "after": "b:1"},
    ]
    assert cells.gap_of_the_move(gaps) == (5.0, 5.5)


def test_medians_by_cell_and_method_ours_first():
    rows = cells.medians([run("docker", 50), run("this", 30), run("this", 10), run("this", 20)])
    assert [(row["method"], row["runs"], row["total_s"]) for row in rows] == [
        ("this", 3, 20),
        ("docker", 1, 50),
    ]
    assert (rows[0]["total_s_min"], rows[0]["total_s_max"]) == (10, 30)


def test_the_table_says_how_many_times_ours_a_peer_took():
    text = cells.markdown(
        cells.medians([run("docker", 50, downtime_ms=40_000), run("this", 20, downtime_ms=500)])
    )
    assert "| this collection | 20.0 s | 0.50 s |" in text
    assert "50.0 s (2.5x) | 40.00 s (80.0x) |" in text


def test_a_bar_is_a_quarter_shorter_for_each_decade():
    assert page.length(100, 100) == page.WIDTH
    assert page.length(10, 100) == pytest.approx(page.WIDTH * 0.75)
    assert page.length(0, 100) == 0


def test_the_page_has_a_bar_for_each_method_and_chart():
    text = page.page(cells.medians([run("docker", 50), run("this", 20)]))
    assert text.count('<rect class="bar') == 2 * len(page.CHARTS)
    assert text.count('class="bar ours"') == len(page.CHARTS)


def test_the_overview_has_a_dot_for_each_method_and_cell():
    others = [dict(run("docker", 9), cell=dict(vars(CELL), mbit=20))]
    rows = cells.medians([run("docker", 50), run("this", 20), *others])
    drawn = page.overview(rows, *page.CHARTS[0])
    assert drawn.count("fill-opacity") == 3
    assert "256 MiB, 1,000 dirty pages/s, 20 Mbit/s, cold image" in drawn


def test_the_grid_marks_the_least_and_names_where_a_peer_has_less():
    rows = cells.medians(
        [
            run("docker", 50, downtime_ms=40_000, wire_bytes=100_000_000),
            run("podman", 50, downtime_ms=30_000, wire_bytes=90_000_000),
            run("this", 20, downtime_ms=500, wire_bytes=99_000_000),
        ]
    )
    line = cells.grid(rows).splitlines()[-1]
    assert line.endswith("| **0.50** | 40.00 | 30.00 | 99.0 | 100.0 | **90.0** |")
    assert cells.worse_than_a_peer(rows, "downtime_ms") == []
    (sentence,) = cells.worse_than_a_peer(rows, "wire_bytes")
    assert sentence.endswith("wire_bytes 1.10x of podman")
