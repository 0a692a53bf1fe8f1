# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follow_users is given, in real plays: numbers, positions, a damaged store of costs, unknown hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COLLECTION = Path(__file__).resolve().parents[3]
INVENTORY = "edge_hosts: {hosts: {edge-a: {mec_cell: 0}, edge-b: {mec_cell: 40}}}\n"
LOAD = {"memory_bytes": 1e7, "dirty_pages_per_s": 0.0, "layers": []}
POSITIONS = {"format": 1, "users": {"anna": {"cell": "0"}, "bo": {"cell": "nowhere"}}}


def loads(*hosts):
    made = {host: {"diff_ids": [], "running": [], "services": {}} for host in hosts}
    made[hosts[0]].update(running=["one", "two"], services={"one": LOAD, "two": LOAD})
    return made


def play(directory: Path, *tasks, **variables):
    """(return code, output) of a play with these tasks."""
    (directory / "hosts.yml").write_text(INVENTORY)
    (directory / "play.yml").write_text(
        yaml.safe_dump(
            [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": list(tasks)}]
        )
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "play.yml"],
        check=False,
        cwd=directory,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "10000",
            "MEC_MIGRATION_CACHE_DIR": str(directory / "cache"),
        },
    )
    return done.returncode, done.stdout + done.stderr


def plan(**options):
    return {
        "mec.migration.migration_plan": {
            "services": [{"name": "one", "user": "anna"}, {"name": "two", "user": "bo"}],
            "positions": POSITIONS,
            "loads": loads("edge-a", "edge-b"),
            **options,
        },
        "register": "found",
    }


SHOW = {"ansible.builtin.debug": {"msg": "{{ found.services | map(attribute='reason') }}"}}


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("trace_start", "08:00", "trace_start is 08:00; allowed: seconds after the beginning"),
        ("trace_step_seconds", "5min", "trace_step_seconds is 5min; allowed: seconds"),
        ("trace_speed", -1, "trace_speed is -1; allowed: a number"),
        ("rounds", 0, "rounds is 0; allowed: a whole number, at least 1"),
        ("rounds", "ten", "rounds is ten; allowed"),
        ("round_seconds", "1m", "round_seconds is 1m; allowed: seconds"),
        ("trace_start", 1e6, ""),
        ("round_seconds", "0.5", ""),
    ],
)
def test_what_is_no_number_is_not_taken_for_0(tmp_path, name, given, words):
    check = COLLECTION / "playbooks" / "tasks" / "follow_check.yml"
    options = yaml.safe_load((COLLECTION / "playbooks" / "vars" / "follow.yml").read_text())
    task = {"ansible.builtin.import_tasks": str(check)}
    status, output = play(tmp_path, task, **{**options, name: given})
    assert (status != 0) == bool(words), output
    assert words in output


def test_a_run_that_cannot_be_summed_up_goes_on_to_its_report(tmp_path):
    tasks = COLLECTION / "playbooks" / "tasks" / "follow_hindsight.yml"
    entry = {"service": "one", "user": "anna", "action": "stay", "current_host": "localhost"}
    rounds = [{"round": 1, "positions": POSITIONS, "services": [entry], "moves": []}]
    look_back = {"ansible.builtin.import_tasks": str(tasks)}
    report = {"ansible.builtin.debug": {"msg": "the report"}}
    # The only host of this play has no place on the map.
    status, output = play(tmp_path, look_back, report, follow_rounds=rounds, follow_policy="lab")
    assert status == 0, output
    assert "What it cost could not be summed up: " in output
    assert "the report" in output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["positions_file", "positions_url"], "given: positions_file, positions_url"),
        (["trace_file", "positions_command"], "given: positions_command, trace_file"),
        (["positions_file"], ""),
        # A rulebook gives the positions of its event beside what it watches.
        (["positions", "positions_file"], ""),
        (["mec_services"], 'mec_services is \\"one\\"; allowed: a list of name and user'),
    ],
)
def test_of_two_sources_of_positions_none_is_passed_over(tmp_path, given, words):
    check = COLLECTION / "playbooks" / "tasks" / "follow_check.yml"
    options = yaml.safe_load((COLLECTION / "playbooks" / "vars" / "follow.yml").read_text())
    task = {"ansible.builtin.import_tasks": str(check)}
    status, output = play(tmp_path, task, **{**options, **dict.fromkeys(given, "one")})
    assert (status != 0) == bool(words), output
    assert words in output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"migrate_downtime_ms": "nan"}, "migrate_downtime_ms is nan, and must be at least 0"),
        (
            {"migrate_throttle_floor_percent": "nan"},
            "migrate_throttle_floor_percent is nan, and must be more than 0",
        ),
        ({"migrate_idle_timeout_s": -1}, "migrate_idle_timeout_s is -1, and must be more than 0"),
        ({"migrate_max_rounds": 0}, "migrate_max_rounds is 0, and must be at least 1"),
        ({"migrate_target": "localhost"}, "Target localhost must be another host of the inventory"),
    ],
)
def test_the_role_refuses_what_no_move_can_use_before_it_looks_at_a_host(tmp_path, options, words):
    given = {"migrate_service": "redis", "migrate_target": "edge-b", **options}
    role = {"ansible.builtin.include_role": {"name": "mec.migration.migrate"}, "vars": given}
    status, output = play(tmp_path, role)
    assert status != 0
    assert words in output
    assert "Name the migration" not in output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            '{"format": 1, "users": {"anna": {"cell": 1}, "anna": {"cell": 2}}}',
            "p.json: 'anna' is there twice",
        ),
        ('{"format": 1, "users": {"anna": {"cel', "p.json: no JSON: Unterminated string"),
        ("", "p.json: no JSON"),
        ('{"format": 1, "users": {"anna": {"latitude": NaN, "longitude": 1}}}', "p.json: NaN is no number"),
        ('{"format": 1, "users": {"anna": {"latitude": 1}}}', "p.json: positions: users.anna: give either"),
        ('\ufeff{"format": 1, "users": {"anna": {"cell": 1}}}\r\n', ""),
    ],
)
def test_positions_are_read_strictly_and_name_their_file(tmp_path, content, words):
    (tmp_path / "p.json").write_text(content, encoding="utf-8", newline="")
    read = "{{ lookup('ansible.builtin.file', 'p.json') | mec.migration.positions('p.json') }}"
    status, output = play(tmp_path, {"ansible.builtin.set_fact": {"found": read}})
    assert (status != 0) == bool(words), output
    assert words in output


def test_where_all_hosts_are_cordoned_services_stay(tmp_path):
    state = {host: {**load, "cordoned": True} for host, load in loads("edge-a", "edge-b").items()}
    status, output = play(tmp_path, plan(loads=state), SHOW)
    assert status == 0, output
    assert "staying on edge-a is expected to cost" in output
    assert "there is no other host" in output


def test_a_user_off_the_map_and_a_damaged_store_are_said(tmp_path):
    (tmp_path / "costs.jsonl").write_text('{"format": 1, "cut\n')
    status, output = play(tmp_path, plan(costs_file="costs.jsonl"), SHOW)
    assert status == 0, output
    assert "passed over costs.jsonl, line 1: no JSON" in output.replace("\n", " ")
    reasons = json.loads(
        output[output.index('"msg": [') + 7 : output.index("]", output.index('"msg": [')) + 1]
    )
    assert reasons[0].startswith("mdp_direction: ")
    assert reasons[1] == "user_cell is 'nowhere'; the map has 91 cells, 0 to 90"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loads": loads("edge-z")}, "host 'edge-z' is not in the inventory"),
        ({"leave": ["edge-x"]}, "leave: host edge-x is none of those that were measured, edge-a, edge-b"),
        ({"bandwidth_mbit": 0}, "bandwidth_mbit is 0, less or no number; allowed: more than 0"),
        ({"services": [{"user": "anna"}]}, "services: a service has no name"),
    ],
)
def test_what_cannot_be_planned_with_is_named(tmp_path, options, words):
    status, output = play(tmp_path, plan(**options))
    assert status != 0
    assert f"mec.migration.migration_plan: {words}" in output


def test_costs_that_depend_on_the_load_know_how_many_services_run(tmp_path):
    show = {"ansible.builtin.debug": {"msg": "cost {{ found.services[0].decision.slot_costs['edge-b'] }}"}}
    status, output = play(tmp_path, plan(policy="load_dependent"), show)
    assert status == 0, output
    # Two users, a resource for 1.5 * 100, and five rings between the user and edge-b.
    assert float(output.split('"cost ')[1].split('"')[0]) == pytest.approx((1 - 0.8**5) / (1 - 2 / 150))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"users": 0}, "users is 0; allowed: at least 1"),
        ({"slots": 1}, "slots is 1; allowed: at least 2"),
        ({"seed": -1}, "seed is -1; allowed: at least 0"),
        ({"kind": "figure_6", "runs": 0}, "runs is 0; allowed: at least 1"),
        ({"users": 99_999_999}, "allowed: 10000000 steps in all"),
        ({"capacity": 0}, "capacity is 0; allowed: at least 1"),
        ({"known_slots": [1]}, "known_slots is [1], and kind is random_walk; it needs kind=trace"),
        ({"sweep": {"seed": [-1]}}, "sweep.seed has -1; allowed: whole numbers, at least 0"),
    ],
)
def test_what_cannot_be_evaluated_is_named(tmp_path, options, words):
    status, output = play(tmp_path, {"mec.migration.decision_evaluation": {"output_dir": "out", **options}})
    assert status != 0
    assert words in output


def test_the_figures_of_the_playbook_are_shown(tmp_path):
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            str(COLLECTION / "playbooks" / "evaluate.yml"),
            *("-e", "kind=figure_6", "-e", "runs=1", "-e", f"output_dir={tmp_path}/out"),
        ],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])},
    )
    assert done.returncode == 0, done.stdout
    assert list((tmp_path / "out").glob("*.html"))
