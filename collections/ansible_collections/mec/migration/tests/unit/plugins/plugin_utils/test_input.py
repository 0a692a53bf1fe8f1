# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input that is accepted means something: what is recorded is read by one reader, strictly."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError, TraceError
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.earth import middle, offset_m
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import cell_name
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.route import moment_s
from ansible_collections.mec.migration.plugins.plugin_utils.loop.planning import names_of, positions_of
from ansible_collections.mec.migration.plugins.plugin_utils.loop.replay import read_replay
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import (
    graph_map,
    rings_between,
    square_grid,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import (
    check_learnable,
    read_cells,
    read_recorded,
    read_trace,
)
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import cost_store, trust_store

CELLS = square_grid(2, 3, 500.0, (59.9, 10.7))


def written(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


READERS = {
    "learned": lambda path, said: read_trace(path, CELLS, said=said),
    "replayed": lambda path, said: read_replay(path, CELLS, said=said),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user,cell,slot\nu,0,1\nu,0\n", r"trace\.csv: line 3: 2 fields where the head has 3"),
        ("user,cell,slot\nu,0,1,7\n", "line 2: 4 fields"),
        ('user,cell,slot\nu,0,1\n"u,0,2\n', r"trace\.csv: line 3"),
        ("user,cell,slot\nu,0,1\n,0,2\n", "line 3: user is ''"),
        ("user,cell,slot\nu,0,1_000\n", "line 2: slot is '1_000'"),
        ("user,cell,slot\nu,0,99999999999999999999\n", "line 2: slot is '9"),
        ("user,cell,slot,slot\nu,0,1,1\n", "line 1: column 'slot' is there twice"),
        ("user,cell,time\nu,0,1761354000000\n", "line 2: time is '1761354000000'.*milliseconds"),
        (
            "user,cell,time\nu,0,5\nu,0,2026-11-28T08:00:00Z\n",
            "line 3: time .* with a zone, but that of line 2 is in seconds",
        ),
        (
            "user,cell,time\nu,0,2026-11-28T08:00:00+01:00\nu,0,2026-11-28T08:01:00\n",
            "line 3: time .* without a zone, but that of line 2 is in ISO 8601 with a zone",
        ),
        ("user,cell,time\nu,0,1e400\n", "line 2: time is '1e400'"),
        ("user,lat,lon,slot\nu,59.9,10.7,0\nu,0,0,1\n", "line 3: .*off the map"),
        (b"user,cell,slot\nu,0,\xff\n", r"trace\.csv: cannot be read"),
        ("user,cell,time\nu,0,2016-12-31T12:30:60Z\n", "line 2: time is '2016-12-31T12:30:60Z'"),
        ("user,cell,time\nu,0,2016-12-31T23:59:61Z\n", "line 2: time is '2016-12-31T23:59:61Z'"),
        ("user,cell,slot\n" + "u" * 200_000 + ",0,1\n", "line 2: field larger than"),
    ],
)
def test_both_readers_name_file_and_line(tmp_path, reader, text, words):
    with pytest.raises(TraceError, match=words):
        READERS[reader](written(tmp_path, text), [])


@pytest.mark.parametrize("reader", READERS)
def test_a_device_is_not_read_for_ever(reader):
    with pytest.raises(TraceError, match="no regular file"):
        READERS[reader]("/dev/zero", [])


@pytest.mark.parametrize("reader", READERS)
def test_a_last_line_without_an_end_is_said(tmp_path, reader):
    said: list[str] = []
    READERS[reader](written(tmp_path, "user,cell,slot\nu,0,1\nu,0,2"), said)
    assert any("line 3: the last line does not end" in one for one in said)


@pytest.mark.parametrize("column", ["time", "slot"])
@pytest.mark.parametrize(("last", "said_so"), [(20261130, True), (20261299, False), (86400, False)])
def test_times_that_all_look_like_dates_are_said(tmp_path, column, last, said_so):
    said: list[str] = []
    text = f"user,cell,{column}\nu,0,20261128\nu,1,20261129\nu,2,{last}\n"
    read_recorded(written(tmp_path, text), CELLS, said=said)
    assert (
        any(f"line 2: {column} is 20261128, and all others look like dates" in one for one in said) == said_so
    )


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+05:30", ""])
def test_a_leap_second_is_a_moment(tmp_path, zone):
    there = "2017-01-01T05:29" if zone == "+05:30" else "2016-12-31T23:59"
    text = f"user,cell,time\nu,0,{there}:59{zone}\nu,1,{there}:60{zone}\nu,2,{there}:60.5{zone}\n"
    seen = read_recorded(written(tmp_path, text), CELLS).users["u"]
    assert [at - seen.at[0] for at in seen.at] == [0, 1, 1.5]
    assert moment_s("2016-12-31T23:59:60Z", "now") == 1483228800


def test_degrees_on_a_map_without_an_origin_name_the_line(tmp_path):
    path = written(tmp_path, "user,lat,lon,slot\nu,59.9,10.7,0\n")
    with pytest.raises(TraceError, match=r"trace\.csv: line 2: the map has no origin"):
        read_trace(path, square_grid(2, 3, 500.0))


def test_spaces_and_a_byte_order_mark_are_no_part_of_names(tmp_path):
    text = b"\xef\xbb\xbfuser, cell ,slot\nu,0,0\nu ,1 , 1\n u,2,2\n"
    assert read_trace(written(tmp_path, text), CELLS).tolist() == [[0], [1], [2]]


def test_one_user_in_two_cells_at_once_is_said(tmp_path):
    said: list[str] = []
    trace = read_trace(written(tmp_path, "user,cell,slot\nu,0,0\nu,1,0\nu,2,1\n"), CELLS, said=said)
    assert trace.tolist() == [[1], [2]]
    assert "line 3: user 'u' is in another cell at the same moment than in line 2" in said[0]


def test_a_learned_trace_may_have_times(tmp_path):
    rows = [(0, 0), (70, 1), (250, 2), (1000, 0), (1010, 1)]
    text = "user,time,cell\n" + "".join(f"u,{at},{cell}\n" for at, cell in rows)
    trace = read_trace(written(tmp_path, text), CELLS, slot_s=60, gap_s=300)[:, 0].tolist()
    assert trace == [0, 1, 1, 1, 2] + [-1] * 11 + [1]


@pytest.mark.parametrize(
    ("slots", "words"),
    [
        (lambda s: 1761354000 + 60 * s, "no user is seen in two slots in a row.*go up by 60"),
        (lambda s: 2 * s, "go up by 2"),
        (lambda s: s if s < 5 else 1761354000 + 60 * s, "more than can be learned from"),
    ],
)
def test_a_trace_from_which_nothing_can_be_learned(tmp_path, slots, words):
    text = "user,cell,slot\n" + "".join(f"u{u},{s % 3},{slots(s)}\n" for u in range(3) for s in range(50))
    path = written(tmp_path, text)

    def learn():
        check_learnable(path, read_trace(path, CELLS))

    with pytest.raises(TraceError, match=words):
        learn()


def test_little_to_learn_is_said():
    trace = np.full((60, 2), -1)
    trace[::3] = 0
    trace[1, 0] = 0
    said: list[str] = []
    check_learnable("x", trace, said)
    assert "only 1 of 41 sightings" in said[0]
    assert "no user ever changes cell" in said[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,2026-11-28T08:00:00Z,0\nb,2026-11-28T08:00:05Z,1\na,1970-01-01T00:00:07Z,0\n", "56.9 years"),
        ("".join(f"a,{60000 * i},{i}\n" for i in range(3)), "milliseconds"),
        ("".join(f"a,{60 * i},0\nb,{60 * i},0\n" for i in range(100)) + "c,99999999,0\n", "line 202"),
        ("".join(f"a,{60 * i},0\n" for i in range(100)) + "b,0,0\nc,0,0\n", "most users are there for less"),
    ],
)
@pytest.mark.parametrize("users", [None, {"b"}])
def test_absence_for_most_of_a_replay_is_said(tmp_path, text, words, users):
    said: list[str] = []
    read_replay(written(tmp_path, "user,time,cell\n" + text), CELLS, users=users, said=said)
    assert len(said) == 1, said
    assert words in said[0]


def test_a_clean_trace_is_read_without_a_word(tmp_path):
    said: list[str] = []
    text = "user,time,cell\n" + "".join(f"{u},{60 * i},{i % 3}\n" for i in range(50) for u in "ab")
    path = written(tmp_path, text)
    read_replay(path, CELLS, said=said)
    check_learnable(path, read_trace(path, CELLS, said=said), said)
    assert said == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,1,2\na ,1,3\n", "line 3: cell 'a' is twice in the table, first in line 2"),
        ("a,1,2\nb,1\n", "line 3: 2 fields"),
        ("a,91,2\n", "line 2: lat is '91'"),
        ("a,1,inf\n", "line 2: lon is 'inf'"),
    ],
)
def test_wrong_cell_tables(tmp_path, text, words):
    with pytest.raises(TraceError, match=words):
        read_cells(written(tmp_path, "cell,lat,lon\n" + text), 500)


def test_a_cell_at_the_other_end_of_the_earth_is_said(tmp_path):
    said: list[str] = []
    rows = "".join(f"{i},37.7,{-122.4 + 0.01 * i}\n" for i in range(5)) + "x,37.7,122.4\n"
    read_cells(written(tmp_path, "cell,lat,lon\n" + rows), 500, said=said)
    assert "line 7: cell 'x' is" in said[0]


def great_circle_m(one, other):
    a, b, c, d = map(math.radians, (*one, *other))
    inner = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(inner))


@pytest.mark.parametrize(
    "points",
    [
        [(-16.8, 179.98), (-16.8, 179.99), (-16.8, -179.999), (-16.8, -179.99)],
        [(-16.8, -179.98), (-16.8, 180.0), (-16.81, -180.0), (-16.8, 179.99)],
        [(89.99, 0.0), (89.99, 90.0), (89.98, 180.0), (89.99, -90.0), (90.0, 17.0)],
        [(-89.95, 10.0), (-89.95, -170.0), (-90.0, 0.0)],
        [(85.0, 179.9), (85.01, -179.9), (84.99, 180.0)],
        [(59.91, 10.75), (59.95, 10.70)],
    ],
)
def test_distances_are_right_everywhere_on_the_earth(points):
    cells = graph_map(range(len(points)), np.array(points), 100.0)
    for one, here in zip(points, cells.xy_m, strict=True):
        for other, there in zip(points, cells.xy_m, strict=True):
            assert np.hypot(*(here - there)) == pytest.approx(great_circle_m(one, other), rel=2e-3, abs=0.5)


def test_a_town_at_180_degrees_is_as_one_beside_it():
    here = np.array([(-16.8, 178.98), (-16.8, 178.99), (-16.8, 179.001), (-16.8, 179.01)])
    there = here + np.array([0.0, 1.0])
    there[there[:, 1] > 180, 1] -= 360
    rings = [
        rings_between(one.xy_m, one.xy_m, 1100.0).tolist()
        for one in (graph_map(range(4), degrees, 1100.0) for degrees in (here, there))
    ]
    assert rings[0] == rings[1]
    assert offset_m(-16.8, 180.0, middle(there.tolist())) == pytest.approx(
        offset_m(-16.8, -180.0, middle(there.tolist()))
    )


def test_services_and_users_are_there_once():
    with pytest.raises(DecisionError, match="one is listed 2 times, for the users anna, bo"):
        names_of([{"name": "one", "user": "anna"}, {"name": "two"}, {"name": " one", "user": "bo"}])
    for wrong, words in (
        ({"name": True, "user": "anna"}, "a service's name is True; allowed: text. YAML takes on, off"),
        ({"name": "one", "user": False}, "the user of one is False; allowed: text. YAML takes"),
        ({"name": ["one"], "user": "anna"}, r"a service's name is \['one'\]; allowed: text$"),
        ({"name": "one", "usr": "anna"}, "one has the unknown key usr; allowed: name and user"),
    ):
        with pytest.raises(DecisionError, match=words):
            names_of([wrong])
    assert names_of([{"name": 7, "user": 0}, {"name": "one"}]) == ["7", "one"]
    assert list(positions_of({"format": 1, "users": {"anna ": {"cell": 1}}})) == ["anna"]
    for users, words in (
        ({"anna": {"cell": 1}, " anna": {"cell": 2}}, "is there twice"),
        ({" ": {"cell": 1}}, "has no name"),
        ({"anna": {"latitude": 1, "longitude": 190}}, "longitude is 190"),
        ({"anna": {"latitude": None, "longitude": 1}}, "null"),
        ({"anna": {"cell": None}}, "users.anna: give either cell, or latitude and longitude"),
        ({"anna": {"cell": [1]}}, r"users.anna.cell is \[1\]; allowed: the name of a cell"),
        ({"anna": {"cell": True}}, "users.anna.cell is True"),
        ({"anna": {"cell": 1, "heading": "north"}}, "users.anna.heading is 'north'; allowed: a number"),
        ({"anna": {"cell": 1, "heading": 10**400}}, "users.anna.heading is too large"),
        ({"anna": {5: 1, "x": 2}}, "users.anna: unknown key 5; allowed: cell"),
    ):
        with pytest.raises(DecisionError, match=words):
            positions_of({"format": 1, "users": users})


def test_what_is_null_is_not_there_and_cells_are_names():
    users = {
        "anna": {"cell": " 41 ", "heading": None, "dwell_slots": None, "latitude": None, "longitude": None}
    }
    assert positions_of({"format": 1, "users": users}) == {"anna": {"user_cell": "41"}}
    assert cell_name(41, "x") == "41"


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ({"now": "noon"}, "now is 'noon'"),
        ({"now": 1761354000000}, "now is 1761354000000.*milliseconds"),
        ({"time": 1761354000000}, "time is 1761354000000.*milliseconds"),
        ({5: 1, "x": 2}, "unknown key 5"),
    ],
)
def test_a_moment_of_positions_that_is_none(moment, words):
    with pytest.raises(DecisionError, match=words):
        positions_of({"format": 1, **moment, "users": {"anna": {"cell": 1}}})
    # Words are for people.
    assert positions_of({"format": 1, "time": "about noon", "users": {}}) == {}


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"format": NaN}',
        "\x00",
        "{" + '"a": {' * 50_000,
        '"x"',
        "1e999",
        "[" + "9" * 5_000 + "]",
    ],
)
def test_odd_lines_of_the_store_of_costs_are_named(tmp_path, line):
    path = tmp_path / "costs.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(cost_store.CostError, match=r"costs\.jsonl, line 2"):
        cost_store.read(path)
    skipped: list[str] = []
    assert cost_store.read(path, skipped=skipped) == []
    assert len(skipped) == 1


@pytest.mark.parametrize("shape", [(0, 0), (3, 0)])
def test_empty_matrices_are_refused(tmp_path, shape):
    np.savez(tmp_path / "t.npz", cell=np.zeros(shape, dtype=np.uint8))
    with pytest.raises(TraceError, match="entries"):
        read_trace(tmp_path / "t.npz", CELLS)


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_damaged_archives_are_refused(tmp_path, cut):
    np.savez_compressed(tmp_path / "t.npz", cell=np.ones((50, 50), dtype=np.uint8))
    content = bytearray((tmp_path / "t.npz").read_bytes())
    (tmp_path / "u.npz").write_bytes(content[:-cut])
    for place in range(30, len(content), 11):
        content[place] ^= 0xFF
    (tmp_path / "v.npz").write_bytes(content)
    for name in ("u", "v"):
        with pytest.raises(TraceError, match="npz"):
            read_trace(tmp_path / f"{name}.npz", CELLS)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 0.0, -1.0])
def test_lengths_of_time_are_more_than_nothing(tmp_path, seconds):
    path = written(tmp_path, "user,time,cell\na,0,0\na,60,1\n")
    for options in ({"slot_s": seconds}, {"gap_s": seconds}):
        with pytest.raises(TraceError, match="allowed: more than 0"):
            read_replay(path, CELLS, **options)
    if not math.isfinite(seconds):
        with pytest.raises(TraceError, match=r"at is .*; allowed: seconds"):
            read_replay(path, CELLS).positions(seconds)


@pytest.mark.parametrize("reader", READERS)
def test_times_in_days_are_said(tmp_path, reader):
    said: list[str] = []
    READERS[reader](written(tmp_path, "user,time,cell\na,45989.33,0\na,45989.34,1\n"), said)
    assert said == [
        f"{tmp_path}/trace.csv: the whole trace is 0.01 s long, less than a slot of 60 s; do its "
        "times count seconds?"
    ]


def test_two_cells_in_one_place_are_said(tmp_path):
    said: list[str] = []
    read_cells(written(tmp_path, "cell,lat,lon\na,0,180\nb,1,1\nc,0,-180\n"), 500, said=said)
    assert any("line 4: cell 'c' is where cell 'a' of line 2 is" in one for one in said)


def test_a_pipe_is_no_store(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for use in (cost_store.read, trust_store.read):
        with pytest.raises(DecisionError, match="no regular file"):
            use(pipe)
