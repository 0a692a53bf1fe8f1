# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: where they are looked for, and what is said of a wrong one."""

from __future__ import annotations

import copy
from itertools import pairwise

import jsonschema
import pytest
import yaml
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import (
    DecisionError,
    PolicyError,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    Policy,
    check,
    file_digest,
    find_policy,
    locate_policy,
    read_policy,
    schema,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.strict_yaml import line_of
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.strategies import STRATEGIES

DEFAULT = yaml.safe_load((DEFAULT_DIRECTORY / "default.yml").read_text())
SHIPPED = sorted(DEFAULT_DIRECTORY.glob("*.yml"))


def write(directory, document, name="site.yml"):
    path = directory / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def changed(key, value):
    document = copy.deepcopy(DEFAULT)
    *sections, last = key.split(".")
    inner = document
    for section in sections:
        inner = inner[section]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return document


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_policy_that_ships_is_valid(path):
    assert check(read_policy(path)).document["version"] == 1


def test_the_schema_is_a_schema_and_knows_every_strategy():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["strategy"]["enum"] == list(STRATEGIES)


@pytest.mark.parametrize(
    ("key", "value", "where", "found", "allowed"),
    [
        ("discount", 1.0, "discount", "1.0", "less than 1"),
        ("discount", float("nan"), "discount", "nan", "a finite number"),
        ("discount", "high", "discount", "high", "number"),
        ("colour", "red", "colour", "an unknown key", "description, discount"),
        ("map.colour", "red", "map.colour", "an unknown key", "cell_size_m, kind, origin, rings"),
        ("map.kind", "globe", "map.kind", "globe", "one of hexagon, square, cells"),
        ("map.rings", None, "map.rings", "no such key", "required"),
        ("mobility.move_probability", -0.1, "mobility.move_probability", "-0.1", "at least 0"),
        ("mobility.move_probability", 1.1, "mobility.move_probability", "1.1", "at most 1"),
        ("mobility.drift", [0.5, 0.5, 0.5, 0, 0, 0], "mobility.drift", "sum to 1.5", "a sum of 1"),
        (
            "mobility",
            {"kind": "transitions", "rows": {"0": {"0": 0.5, "1": 0.4}}},
            "mobility.rows.0",
            "sum to 0.9",
            "a sum of 1",
        ),
        (
            "mobility",
            {"kind": "transitions", "rows": {"0": {"0": 1.5, "1": -0.5}}},
            "mobility.rows.0.0",
            "1.5",
            "at most 1",
        ),
        (
            "costs.migration.family",
            "free",
            "costs.migration.family",
            "free",
            "one of constant_plus",
        ),
        ("costs.migration.beta_l", float("inf"), "costs.migration.beta_l", "inf", "finite"),
        ("costs.migration.beta_l", -9, "costs.migration", "at distance 1", "at least 0"),
        ("version", 2, "version", "2", "1"),
        ("map.cell_size_m", 10**400, "map.cell_size_m", "1000", "a finite number"),
        ("discount", "9e-1", "discount", "9e-1", "YAML takes '9e-1' for text, write 0.9"),
    ],
)
def test_an_error_names_file_key_found_and_allowed(tmp_path, key, value, where, found, allowed):
    path = write(tmp_path, changed(key, value))
    with pytest.raises(PolicyError) as caught:
        check(read_policy(path))
    message = str(caught.value)
    assert str(path) in message
    assert f"key {where}:" in message
    assert found in message.split("found", 1)[1].split("; allowed:", maxsplit=1)[0]
    assert allowed in message.split("; allowed:")[1]


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, content):
    with pytest.raises(PolicyError, match=r"key \$: .*allowed: a YAML mapping"):
        read_policy(write(tmp_path, content))


TEXT = (DEFAULT_DIRECTORY / "default.yml").read_text()
ROWS = "mobility: {kind: transitions, rows: {0: {1: 1}, '0': {2: 1}}}"
LAYERS = [
    "a: &a [x, x]",
    *(f"{one}: &{one} [{', '.join(['*' + old] * 9)}]" for old, one in pairwise("abcdefghi")),
]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TEXT + "discount: 0.5\n", "key discount twice, in line 6 and in line 28; allowed: .* each key once"),
        (ROWS, "key 0 twice"),
        ("\n".join(LAYERS), "more than 1000000 values"),
        ("a: &a [*a]", "more than 50 mappings and lists in each other"),
        ("a: 1\nslot_seconds: 1:00", "1:00 in line 2 is 60 to YAML; write 60, or '1:00' if it is a name"),
        ("slot_seconds: 1:00.5", "1:00.5 in line 1 is 60.5 to YAML"),
        ("map: {cell_size_m: 0500}", "0500 in line 1 is 320 to YAML"),
        ("rows: {010: {'10': 1}}", "010 in line 1 is 8 to YAML"),
        ("rows:\n  NO: {SE: 1}", "key NO in line 2 is False to YAML; write 'NO'"),
        ("rows: {~: {SE: 1}}", "key ~ in line 1 is None to YAML"),
        ("a: !!bool maybe", "a value that is not of its type"),
        ("a: !!float ''", "a value that is not of its type"),
    ],
)
def test_what_yaml_would_take_and_nobody_means_is_refused(tmp_path, content, words):
    with pytest.raises(PolicyError, match=words):
        read_policy(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "line", "key"),
    [
        (TEXT.replace("discount: 0.95", "discount: 2"), 6, "discount"),
        (TEXT.replace("cell_size_m: 500", "cell_size_m: 0"), 12, "map.cell_size_m"),
        (TEXT.replace("\nstrategy: mdp_direction", ""), 1, "strategy"),
    ],
)
def test_an_error_names_the_line(tmp_path, content, line, key):
    path = write(tmp_path, content)
    where = f"line {line}: " if line > 1 else ""
    with pytest.raises(PolicyError, match=f"policy {path}: {where}key {key}: found"):
        check(read_policy(path))


@pytest.mark.parametrize(
    ("key", "line"),
    [("b.c[1]", 4), ("b.d.e.f", 6), ("b.nothing", 2), ("nothing", None), ("b.c[7]", 3), ("b.c[1].x", 4)],
)
def test_the_line_of_a_key(key, line):
    assert line_of(b"a: 1\nb:\n  c: [1,\n    2]\n  d:\n    e.f: 3\n", key) == line


def test_what_a_sweep_varies_is_in_no_line(tmp_path):
    policy = read_policy(write(tmp_path, TEXT))
    with pytest.raises(PolicyError, match=f"policy {policy.path}: key discount: found 2"):
        check(Policy(policy.path, {**policy.document, "discount": 2}, policy.data_directory))


def test_a_merge_may_be_overridden_and_keys_are_text(tmp_path):
    path = write(tmp_path, "one: &one {1: a, b: c}\ntwo: {<<: *one, b: d}\n")
    assert read_policy(path).document == {"one": {"1": "a", "b": "c"}, "two": {"1": "a", "b": "d"}}


@pytest.mark.parametrize("name", ["/dev/zero", "/", "a\0b", "missing.csv"])
def test_a_data_file_that_cannot_be_one_is_refused_before_it_is_read(tmp_path, name):
    document = {**DEFAULT, "map": {"kind": "cells", "file": name, "cell_size_m": 5}}
    policy = read_policy(write(tmp_path, document))
    with pytest.raises(DecisionError, match=r"data file of the policy: .* cannot be read"):
        file_digest(policy.data_files()[0])


def test_python_objects_in_yaml_are_not_made(tmp_path):
    bait = tmp_path / "made"
    path = write(tmp_path, f"a: !!python/object/apply:pathlib.Path.touch [{bait}]\n")
    with pytest.raises(PolicyError):
        read_policy(path)
    assert not bait.exists()


def test_the_first_directory_wins_and_the_collection_comes_last(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    write(second, DEFAULT, "default.yml")
    assert find_policy("default", [first, second]) == str(second / "default.yml")
    write(first, DEFAULT, "default.yaml")
    assert find_policy("default", [first, second]) == str(first / "default.yaml")
    assert find_policy("default", []) == str(DEFAULT_DIRECTORY / "default.yml")


def test_a_path_counts_from_the_base(tmp_path):
    path = write(tmp_path, DEFAULT)
    assert find_policy("./site.yml", [], tmp_path) == str(path)
    assert find_policy("site.yml", [], tmp_path) == str(path)
    with pytest.raises(DecisionError, match="does not exist"):
        find_policy("site.yml", [tmp_path], tmp_path / "elsewhere")


def test_a_name_that_is_nowhere_lists_places_and_names(tmp_path):
    write(tmp_path, DEFAULT, "rush_hour.yml")
    with pytest.raises(DecisionError, match=r"'rush'; looked in .*found there: default, .*rush_hour"):
        find_policy("rush", [tmp_path])


def test_an_installed_playbook_finds_the_policies_of_the_current_directory(tmp_path, monkeypatch):
    playbooks, here = tmp_path / "collection" / "playbooks", tmp_path / "here"
    for directory in (playbooks, here / "policies"):
        directory.mkdir(parents=True)
    monkeypatch.chdir(here)
    named = here / "policies" / "site.yml"
    named.write_text("version: 1\n")
    assert locate_policy("site", str(playbooks)) == str(named)
    assert locate_policy("policies/site.yml", str(playbooks)) == str(named)
    # What lies beside the playbook comes first, as it did before.
    (playbooks / "policies").mkdir()
    beside = playbooks / "policies" / "site.yml"
    beside.write_text("version: 1\n")
    assert locate_policy("site", str(playbooks)) == str(beside)
    assert locate_policy("policies/site.yml", str(playbooks)) == str(beside)
