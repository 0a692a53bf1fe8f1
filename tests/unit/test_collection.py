"""What the collection says of itself agrees with what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mec.migration.plugins.filter.misspelt import EVALUATION, OPTIONS, misspelt

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("[a-z]*.py"))
PLAYBOOKS = sorted((COLLECTION / "playbooks").glob("*.yml"))
# Those that play the edge hosts; resolve plays all hosts.
NEEDS_HOSTS = ("cancel", "drain", "follow_users", "migrate", "migrate_group", "prepare")
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
GROUPS = yaml.safe_load((COLLECTION / "meta/runtime.yml").read_text())["action_groups"]


@lru_cache(maxsize=1)
def documented() -> dict[str, Any]:
    """By name of a module what ansible-doc says of it."""
    words = ["ansible-doc", "--json", "--type", "module", *(f"mec.migration.{name}" for name in MODULES)]
    told = subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:]],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.rpartition(".")[2]: entry["doc"] for name, entry in json.loads(told.stdout).items()}


def test_the_steps_of_a_migration_share_their_defaults() -> None:
    assert list(GROUPS) == ["migration"]
    for name in GROUPS["migration"]:
        assert "migration_id" in documented()[name]["options"], name
        assert documented()[name]["attributes"]["action_group"]["membership"] == ["mec.migration.migration"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_talks_to_docker_says_so(name: str) -> None:
    source = (COLLECTION / f"plugins/modules/{name}.py").read_text()
    needs = any("docker" in one for one in documented()[name].get("requirements", []))
    assert needs or "docker_client" not in source
    assert documented()[name]["seealso"] or name not in GROUPS["migration"]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_the_top_level_imports_each_playbook(path: Path) -> None:
    (imported,) = yaml.safe_load((ROOT / "playbooks" / path.name).read_text())
    assert imported["ansible.builtin.import_playbook"] == f"mec.migration.{path.stem}"


@pytest.mark.parametrize("path", [*(COLLECTION / "playbooks").rglob("*.yml")], ids=lambda path: path.stem)
def test_no_playbook_counts_on_where_it_lies(path: Path) -> None:
    assert "playbook_dir" not in path.read_text()


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_is_played_host_by_host_whatever_the_strategy_of_the_site(path: Path) -> None:
    # With DEFAULT_STRATEGY=free each host decides for itself in tasks that one host does for all.
    for play in yaml.safe_load(path.read_text()):
        assert "ansible.builtin.import_playbook" in play or play["strategy"] == "ansible.builtin.linear"


@pytest.mark.parametrize(
    ("name", "option", "seen"),
    [
        *((name, "service=redis", "no hosts in edge_hosts. Known hosts: edge-a") for name in NEEDS_HOSTS),
        ("uncordon", "host=edge-bb", "no hosts in edge-bb. Known hosts: edge-a. Name one of them"),
    ],
)
def test_a_playbook_that_would_play_nothing_fails(tmp_path: Path, name: str, option: str, seen: str) -> None:
    (tmp_path / "hosts.yml").write_text("edge: {hosts: {edge-a: {}}}\n")
    told = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", f"mec.migration.{name}", "-e", option],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "COLUMNS": "10000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode != 0
    assert seen in told.stdout + told.stderr


def test_without_a_recorded_trace_all_unit_tests_of_the_collection_run() -> None:
    own = COLLECTION / "tests/unit/plugins/plugin_utils/test_evaluation.py"
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "--collect-only", str(own), str(Path(__file__).parent)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    assert "test_both_trace_formats_say_the_same" in told.stdout
    assert "deselected" not in told.stdout


def test_misspelt_options_are_said(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("edge_hosts: {hosts: {edge-a: {}}}\n")
    told = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", "mec.migration.migrate", "-e", "migrate_bandwith_limit_mbit=5"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "COLUMNS": "10000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is no option of these playbooks; do you mean migrate_bandwidth_limit_mbit?" in told.stdout
    assert told.stdout.count("is no option") == 1


def test_options_of_an_evaluation_are_its_own() -> None:
    (play,) = yaml.safe_load((COLLECTION / "playbooks/evaluate.yml").read_text())
    (given,) = (task[name] for task in play["tasks"] for name in task if name.endswith("decision_evaluation"))
    assert {word.split("{{ ")[1].split(" ")[0].split("(")[0] for word in given.values()} <= EVALUATION
    assert misspelt(["hosts", "known_slot", "users", "trace_file"], evaluation=True) == [
        "hosts is no option of these playbooks; do you mean hosts_count?",
        "known_slot is no option of these playbooks; do you mean known_slots?",
    ]


def test_every_option_of_the_playbooks_is_one_that_others_are_likened_to() -> None:
    specs = yaml.safe_load((COLLECTION / "roles/migrate/meta/argument_specs.yml").read_text())
    assert specs["argument_specs"]["main"]["options"].keys() <= OPTIONS
    options = yaml.safe_load((COLLECTION / "playbooks/vars/follow.yml").read_text())
    given = {text.split("{{ ")[1].split(" |")[0] for text in options.values()}
    assert given <= OPTIONS
    assert misspelt(["migrate_lazy", "polcy", "host", "ansible_host", "inventory_dir"]) == [
        "migrate_lazy is no option of these playbooks; do you mean migrate_lazy_restore?",
        "polcy is no option of these playbooks; do you mean policy?",
    ]


@pytest.mark.parametrize(
    "path", sorted((COLLECTION / "changelogs/fragments").glob("*.yml")), ids=lambda path: path.stem
)
def test_a_fragment_of_the_changelog_is_sections_of_sentences(path: Path) -> None:
    # A colon in a sentence makes a mapping of it, which the changelog cannot show.
    for section, sentences in yaml.safe_load(path.read_text()).items():
        assert all(isinstance(one, str) for one in sentences), section
