# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions, warm and cold, and the files of solved policies."""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.decision import decision, solved_policy
from ansible_collections.mec.migration.plugins.plugin_utils.decision.decision import User, decide
from ansible_collections.mec.migration.plugins.plugin_utils.decision.request import active_users_of
from ansible_collections.mec.migration.plugins.plugin_utils.decision.setting import Setting
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    Policy,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.strategies import STRATEGIES

COLLECTIONS = Path(__file__).resolve().parents[7]
DEFAULT = DEFAULT_DIRECTORY / "default.yml"
HOSTS = [Host("a", "0"), Host("b", "40"), Host("c", "60"), Host("d", "75")]


def setting(directory, hosts=None, document=None, **options):
    policy = read_policy(DEFAULT)
    if document is not None:
        policy = Policy("site.yml", document, ".")
    return Setting(policy, hosts or HOSTS, cache_directory=str(directory), **options)


def default_with(**sections):
    return {**copy.deepcopy(read_policy(DEFAULT).document), **sections}


def files(directory):
    return sorted(Path(directory).glob("*.policy"))


def test_a_decision_is_native_consistent_and_can_be_written_as_json(tmp_path):
    found = decide(setting(tmp_path), "redis-42", "a", User(cell="41", heading_degrees=90.0))
    assert json.loads(json.dumps(found)) == found
    assert {type(value) for value in found["expected_costs"].values()} == {float}
    assert isinstance(found["migrate"], bool)
    best = min(found["expected_costs"], key=found["expected_costs"].__getitem__)
    assert found["migrate"]
    assert found["target"] == best == "b"
    assert found["current_cost"] == found["expected_costs"]["a"]
    assert found["advantage"] == found["current_cost"] - found["expected_costs"]["b"]
    assert 0 < found["error_bound"] <= 1e-3
    assert found["policy_hash"] == files(tmp_path)[0].stem
    assert "b" in found["reason"]


def test_a_user_beside_the_service_makes_it_stay(tmp_path):
    found = decide(setting(tmp_path), "redis-42", "b", User(cell="40"))
    assert (found["migrate"], found["target"], found["advantage"]) == (False, "b", 0.0)


def test_heading_matters(tmp_path):
    one, other = (
        decide(setting(tmp_path), "s", "a", User(cell="12", heading_degrees=heading))
        for heading in (90.0, 270.0)
    )
    assert one["expected_costs"] != other["expected_costs"]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_decides(tmp_path, strategy):
    world = setting(tmp_path, document=default_with(strategy=strategy))
    found = decide(world, "s", "a", User(cell="41"))
    assert found["strategy"] == strategy
    assert found["target"] in {"never": "a", "always": "b", "nearest": "b"}.get(strategy, "abcd")
    optimum = decide(setting(tmp_path), "s", "a", User(cell="41"))
    slack = found["error_bound"] + optimum["error_bound"]
    best = min(optimum["expected_costs"].values())
    assert found["expected_costs"][found["target"]] >= best - slack or strategy == "mdp_exact"


def test_a_full_host_is_no_target(tmp_path):
    hosts = [Host("a", "0"), Host("b", "40", capacity=3), Host("c", "60"), Host("d", "75")]
    free = decide(setting(tmp_path, hosts, services={"b": 2}), "s", "a", User(cell="41"))
    full = decide(setting(tmp_path, hosts, services={"b": 3}), "s", "a", User(cell="41"))
    assert free["target"] == "b"
    assert full["target"] != "b"
    assert full["full_hosts"] == ["b"]
    assert "b would be better and is full" in full["reason"]
    assert free["policy_hash"] == full["policy_hash"]
    # A host without room is no move, not even the best of those that are not made.
    stay = decide(setting(tmp_path, hosts, services={"b": 3}), "s", "a", User(cell="0"))
    assert "the best move, to c, " in stay["reason"]
    both = [Host("a", "0"), Host("b", "40", capacity=0)]
    alone = decide(setting(tmp_path, both), "s", "a", User(cell="41"))
    assert alone["reason"].endswith("; all other hosts are full; b would be better and is full")
    # A service on a full host may stay there.
    stays = decide(setting(tmp_path, hosts, services={"b": 3}), "s", "b", User(cell="40"))
    assert stays["target"] == "b"


def test_measured_costs_replace_the_table_and_fall_back(tmp_path):
    costs = copy.deepcopy(read_policy(DEFAULT).document["costs"])
    costs["migration"] = {"family": "measured", "fallback": costs["migration"]}
    document = default_with(costs=costs)
    plain = decide(setting(tmp_path, document=document), "s", "a", User(cell="41"))
    dear = decide(
        setting(tmp_path, document=document, measured_costs={"a": {"b": 50.0}, "x": {"y": 1.0}}),
        "s", "a", User(cell="41"),
    )  # fmt: skip
    assert plain["migration_costs"]["b"] != dear["migration_costs"]["b"] == 50.0
    assert plain["target"] == "b" != dear["target"]
    assert dear["migration_costs"]["c"] == plain["migration_costs"]["c"]
    del costs["migration"]["fallback"]
    with pytest.raises(DecisionError, match="from a to c was never measured"):
        decide(
            setting(tmp_path, document=document, measured_costs={"a": {"b": 50.0}}),
            "s", "a", User(cell="41"),
        )  # fmt: skip


def test_positions_in_degrees(tmp_path):
    document = default_with()
    document["map"] = {**document["map"], "origin": {"latitude": 37.77, "longitude": -122.42}}
    hosts = [
        Host("a", latitude=37.77, longitude=-122.42),
        Host("b", latitude=37.785, longitude=-122.42),
    ]
    world = setting(tmp_path, hosts, document)
    found = decide(world, "s", "a", User(latitude=37.77, longitude=-122.42))
    assert found["user_cell"] == "0"
    assert not found["migrate"]
    assert decide(world, "s", "a", User(latitude=37.785, longitude=-122.42))["target"] == "b"
    with pytest.raises(DecisionError, match=r"outside the map: \d+ m from the nearest cell"):
        decide(world, "s", "a", User(latitude=38.77, longitude=-122.42))


def test_a_host_that_lies_far_from_the_map_is_said(tmp_path):
    document = default_with()
    document["map"] = {**document["map"], "origin": {"latitude": 37.77, "longitude": -22.42}}
    hosts = [
        Host("near", latitude=37.785, longitude=-22.42),
        Host("swapped", latitude=-22.42, longitude=37.785),
        Host("in a cell", cell="0"),
    ]
    world = setting(tmp_path, hosts, document)
    decide(world, "s", "near", User(cell="0"))
    (solved,) = Path(world.cache_directory).glob("*.policy")
    (said,) = solved_policy.load(world.cache_directory, solved.stem).header["warnings"]
    assert "host swapped lies" in said
    assert "mec_latitude (-22.42) and mec_longitude (37.785)" in said


@pytest.mark.parametrize(
    ("user", "current", "message"),
    [
        (User(cell="91"), "a", "user_cell is '91'; the map has 91 cells, 0 to 90"),
        (User(), "a", "where is the user"),
        (User(latitude=1.0, longitude=1.0), "a", "no origin"),
        (User(cell="1"), "z", "current_host is 'z'; the hosts known here are a, b, c, d"),
    ],
)
def test_wrong_requests(tmp_path, user, current, message):
    with pytest.raises(DecisionError, match=message):
        decide(setting(tmp_path), "s", current, user)


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ([Host("a")], "host a has no place"),
        ([Host("a", "200")], "host a: mec_cell is '200'"),
        ([Host("a", latitude=1.0, longitude=2.0)], "no origin"),
    ],
)
def test_wrong_hosts(tmp_path, hosts, message):
    with pytest.raises(DecisionError, match=message):
        decide(setting(tmp_path, hosts), "s", "a", User(cell="1"))
    assert not files(tmp_path)


def forget():
    solved_policy._opened.clear()


def test_the_hash_covers_what_the_answer_depends_on(tmp_path):
    keys = {
        setting(tmp_path).key(),
        setting(tmp_path, HOSTS[:3]).key(),
        setting(tmp_path, [Host("a", "1"), *HOSTS[1:]]).key(),
        setting(tmp_path, document=default_with(discount=0.9)).key(),
        setting(tmp_path, active_users=3.0).key(),
        setting(tmp_path, measured_costs={"a": {"b": 1.0}}).key(),
    }
    assert len(keys) == 6
    assert setting(tmp_path, document=default_with(description="other words")).key() in keys
    assert setting(tmp_path, services={"a": 7}).key() in keys


def test_a_data_file_is_part_of_the_hash(tmp_path):
    for name, last in (("one", -122.0), ("two", -122.1)):
        (tmp_path / name).mkdir()
        rows = f"cell,lat,lon\n1,37.0,-122.3\n2,37.0,{last}\n"
        (tmp_path / name / "cells.csv").write_text(rows)
    document = default_with(map={"kind": "cells", "file": "cells.csv", "cell_size_m": 500})
    keys = [
        Setting(Policy("p.yml", document, str(tmp_path / name)), [Host("a", "1")]).key()
        for name in ("one", "two")
    ]
    assert keys[0] != keys[1]


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-1],
    "longer": lambda content: content + b"x",
    "magic": lambda content: b"X" + content[1:],
    "header": lambda content: content.replace(b'"greedy":true', b'"greedy":null'),
    "pickle": lambda content: b"cos\nsystem\n(S'touch pwned'\ntR.",
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_file_is_solved_again(tmp_path, damage):
    world = setting(tmp_path)
    before = decide(world, "s", "a", User(cell="41"))
    path = files(tmp_path)[0]
    good = path.read_bytes()
    path.write_bytes(DAMAGE[damage](good))
    forget()
    assert decide(world, "s", "a", User(cell="41")) == before
    assert path.read_bytes() == good


@pytest.mark.parametrize("where", ["state row", "host row"])
def test_a_flipped_bit_in_a_row_is_noticed_even_by_a_process_that_had_the_file_open(tmp_path, where):
    world = setting(tmp_path)
    before = decide(world, "s", "a", User(cell="0"))
    solved = solved_policy.load(tmp_path, world.key())
    state, _host = decision.state_of(solved.header, User(cell="0"))
    place = solved._hosts_at if where == "host row" else solved._rows_at + state * solved._state_bytes
    status = os.stat(solved.path)
    with open(solved.path, "r+b") as stream:
        stream.seek(place + 3)
        byte = stream.read(1)
        stream.seek(place + 3)
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(solved.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert decide(world, "s", "a", User(cell="0")) == before


def test_a_file_of_other_inputs_under_this_name_is_solved_again(tmp_path):
    other = setting(tmp_path, [Host("a", "0"), Host("b", "2"), Host("c", "3"), Host("d", "4")])
    foreign = decide(other, "s", "a", User(cell="41"))
    path = files(tmp_path)[0]
    world = setting(tmp_path)
    path.rename(tmp_path / f"{world.key()}.policy")
    forget()
    found = decide(world, "s", "a", User(cell="41"))
    assert found["policy_hash"] == world.key() != foreign["policy_hash"]
    assert found["expected_costs"] != foreign["expected_costs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("hosts"),
        lambda header: header.update(states="9"),
        lambda header: header.update(states=header["states"] + 1),
        lambda header: header.update(xy_m=[[0]]),
        lambda header: header.update(cells=[1, 2]),
        lambda header: header.update(origin=["a", "b"]),
        lambda header: header.update(directions=True),
        lambda header: header.update(warnings=None),
    ],
)
def test_a_file_with_an_odd_header_is_solved_again(tmp_path, change):
    asked = setting(tmp_path)
    right = decide(asked, "x", "a", User(cell="41"))
    (path,) = files(tmp_path)
    content = path.read_bytes()
    magic = solved_policy.MAGIC
    length = int.from_bytes(content[len(magic) : len(magic) + 4], "little")
    start = len(magic) + 4
    header = json.loads(content[start : start + length])
    change(header)
    changed = json.dumps(header).encode()
    path.write_bytes(
        magic
        + len(changed).to_bytes(4, "little")
        + changed
        + hashlib.sha256(changed).digest()
        + content[start + length + 32 :]
    )
    assert decide(asked, "x", "a", User(cell="41")) == right


def test_a_symbolic_link_in_the_cache_is_not_followed(tmp_path):
    world = setting(tmp_path / "cache")
    before = decide(world, "s", "a", User(cell="41"))
    path = files(tmp_path / "cache")[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    forget()
    assert decide(world, "s", "a", User(cell="41")) == before
    assert not path.is_symlink()


def test_the_directory_and_files_are_private(tmp_path):
    decide(setting(tmp_path / "new" / "cache"), "s", "a", User(cell="41"))
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o700
    assert files(tmp_path / "new" / "cache")[0].stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_made_is_an_error_with_the_fix(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DecisionError, match="set cache_dir to one that can be written"):
        decide(setting(tmp_path / "file" / "cache"), "s", "a", User(cell="41"))


def _fork(directory, queue):
    queue.put(decide(setting(directory), "s", "a", User(cell="41")))


def test_many_forks_at_once_solve_once_and_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    forks = [context.Process(target=_fork, args=(tmp_path, queue)) for _turn in range(8)]
    for fork in forks:
        fork.start()
    answers = [queue.get(timeout=600) for _fork in forks]
    for fork in forks:
        fork.join()
    assert all(answer == answers[0] for answer in answers)
    assert len(files(tmp_path)) == 1
    assert not list(tmp_path.glob("*.new"))


def test_a_warm_answer_needs_no_numpy_and_no_jsonschema_and_solves_nothing(tmp_path):
    decide(setting(tmp_path), "s", "a", User(cell="41"))
    program = f"""
import json, sys, time
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.mec.migration.plugins.plugin_utils.decision.decision import User, decide
from ansible_collections.mec.migration.plugins.plugin_utils.decision.request import active_users_of
from ansible_collections.mec.migration.plugins.plugin_utils.decision.setting import Setting
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import read_policy
start = time.process_time()
hosts = [Host(name, cell) for name, cell in {[(host.name, host.cell) for host in HOSTS]!r}]
world = Setting(read_policy({str(DEFAULT)!r}), hosts, cache_directory={str(tmp_path)!r})
decide(world, "s", "a", User(cell="41"))
print(json.dumps([time.process_time() - start, sorted({{"numpy", "jsonschema"}} & set(sys.modules))]))
"""
    runs = []
    for _turn in range(5):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        taken, imported = json.loads(done.stdout)
        assert imported == []
        runs.append(taken)
    # Without numpy it cannot solve. The best of five first answers, each of a fresh process, takes some five
    # ms on a quiet machine (`make bench-decisions`).
    assert min(runs) < 1


def test_a_thousand_services_after_solving(tmp_path):
    world = setting(tmp_path)
    decide(world, "s", "a", User(cell="41"))
    start = time.process_time()
    for place in range(1_000):
        decide(setting(tmp_path), f"s-{place}", "a", User(cell=str(place % 91)))
    assert time.process_time() - start < 60  # under two seconds on a quiet machine


def test_what_cannot_be_solved_names_the_policy(tmp_path):
    document = default_with(discount=0.999999)
    with pytest.raises(DecisionError, match=r"policy site\.yml: an error bound of 0\.001 is out of reach"):
        decide(setting(tmp_path, document=document), "s", "a", User(cell="0"))


def test_yaml_with_a_nan_is_an_error_that_names_the_key(tmp_path):
    path = tmp_path / "nan.yml"
    path.write_text(yaml.safe_dump(default_with(discount=float("nan"))))
    with pytest.raises(DecisionError, match="key discount: found nan"):
        decide(
            Setting(read_policy(path), HOSTS, cache_directory=str(tmp_path)),
            "s",
            "a",
            User(cell="1"),
        )


@pytest.mark.parametrize(("given", "words"), [("nan", "finite"), (-1, "at least 0"), ("many", "a number")])
def test_active_users_are_a_number_of_people(given, words):
    with pytest.raises(DecisionError, match=f"active_users is .*{words}"):
        active_users_of(given)


def test_a_whole_number_may_be_written_as_a_fraction(tmp_path):
    document = default_with(map={"kind": "hexagon", "rings": 5.0, "cell_size_m": 500})
    assert decide(setting(tmp_path, document=document), "s", "a", User(cell="41"))["user_cell"] == "41"
