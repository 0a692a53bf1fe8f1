# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup inside real plays: types, places, errors, latency."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import DEFAULT_DIRECTORY

COLLECTIONS = Path(__file__).resolve().parents[7]
INVENTORY = """
edge:
  hosts:
    edge-a: {mec_cell: 0, mec_capacity: 2}
    edge-b: {mec_cell: 40, mec_capacity: 1}
    edge-c: {mec_cell: 60}
    edge-full: {mec_cell: 41, mec_capacity: 0}
    edge-nowhere: {}
    edge-odd: {mec_cell: 1, mec_capacity: some}
"""
HOSTS = "candidates=['edge-a', 'edge-b', 'edge-c']"
CALL = "lookup('mec.migration.mdp_decision', 'redis-42', current_host='edge-a', "


class Site:
    """A directory with an inventory, playbooks and policies; runs plays in it."""

    def __init__(self, root):
        self.root = root
        self.playbooks = root / "playbooks"
        self.playbooks.mkdir()
        (root / "hosts.yml").write_text(INVENTORY)

    def run(self, tasks, *arguments):
        """(return code, output) of a play with these tasks."""
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        path = self.playbooks / "play.yml"
        path.write_text(yaml.safe_dump(play))
        program = Path(sys.executable).with_name("ansible-playbook")
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "MEC_MIGRATION_CACHE_DIR": str(self.root / "cache"),
        }
        done = subprocess.run(
            [str(program), "-i", str(self.root / "hosts.yml"), str(path), *arguments],
            capture_output=True, text=True, env=environment, cwd=self.root, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def answer(self, expression, before=()):
        """Value of a Jinja expression, brought out of the play as JSON."""
        out = self.root / "answer.json"
        copy = {"content": "{{ answer | to_json }}", "dest": str(out), "mode": "0600"}
        code, output = self.run(
            [
                *before,
                {"ansible.builtin.set_fact": {"answer": "{{ " + expression + " }}"}},
                {"ansible.builtin.copy": copy},
            ]
        )
        assert code == 0, output
        return json.loads(out.read_text())

    def error(self, expression):
        """What a play says that fails on a Jinja expression."""
        code, output = self.run([{"ansible.builtin.debug": {"msg": "{{ " + expression + " }}"}}])
        assert code != 0, output
        assert "Traceback" not in output
        return " ".join(output.split())


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_decision_comes_through_set_fact(site):
    found = site.answer(CALL + f"user_cell=41, heading=90, {HOSTS})")
    assert found["migrate"] is True
    assert found["target"] == "edge-b"
    assert set(found["expected_costs"]) == {"edge-a", "edge-b", "edge-c"}
    assert isinstance(found["error_bound"], float)
    assert found["reason"].startswith("mdp_direction: moving to edge-b")


def test_templated_strings_do_as_numbers(site):
    given = site.answer(
        CALL + f"user_cell=cell, heading=way, {HOSTS}, services={{'edge-b': '1'}})",
        [{"ansible.builtin.set_fact": {"cell": "{{ 41 }}", "way": "{{ '90' }}"}}],
    )
    assert given["user_cell"] == "41"
    assert given["full_hosts"] == ["edge-b"]
    assert given["target"] != "edge-b"


def test_many_terms_are_many_decisions_in_order(site):
    found = site.answer(
        "query('mec.migration.mdp_decision', {'name': 'one', 'user_cell': 41}, "
        "{'name': 'two', 'user_cell': 0, 'current_host': 'edge-b'}, current_host='edge-a', "
        f"{HOSTS}) + [lookup('mec.migration.mdp_decision', 'three', user_cell=0, "
        f"current_host='edge-b', {HOSTS})]"
    )
    assert [one["service"] for one in found] == ["one", "two", "three"]
    assert found[1]["target"] == found[2]["target"] == "edge-a"


def test_policies_are_found_beside_and_above_the_playbook_and_by_path(site):
    document = yaml.safe_load((DEFAULT_DIRECTORY / "default.yml").read_text())

    def place(directory, strategy):
        directory.mkdir(exist_ok=True)
        (directory / "site.yml").write_text(yaml.safe_dump({**document, "strategy": strategy}))

    expression = CALL + f"user_cell=41, policy='site', {HOSTS}).strategy"
    place(site.root / "policies", "never")
    assert site.answer(expression) == "never"
    place(site.playbooks / "policies", "always")
    assert site.answer(expression) == "always"
    place(site.root / "mine", "nearest")
    by_path = expression.replace("policy=", "policy_path=['" + str(site.root / "mine") + "'], policy=")
    assert site.answer(by_path) == "nearest"
    assert site.answer(expression.replace("'site'", "'../policies/site.yml'")) == "never"


def test_two_tasks_share_one_solved_policy(site):
    site.answer(CALL + f"user_cell=41, {HOSTS})")
    before = [(path, path.stat().st_mtime_ns) for path in (site.root / "cache").glob("*.policy")]
    site.answer(CALL + f"user_cell=12, heading=10, {HOSTS})")
    after = [(path, path.stat().st_mtime_ns) for path in (site.root / "cache").glob("*.policy")]
    assert before == after
    assert len(before) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (f"user_cell=400, {HOSTS})", "user_cell is '400'; the map has 91 cells, 0 to 90"),
        (f"{HOSTS})", "where is the user?"),
        ("user_cell=1, candidates=['edge-z'])", "host 'edge-z' is not in the inventory"),
        (
            "user_cell=1, candidates=['edge-nowhere'])",
            "host edge-nowhere has no place: set mec_cell",
        ),
        ("user_cell=1, candidates=['edge-odd'])", "host edge-odd: mec_capacity is 'some'"),
        ("user_cell=1, candidates=[])", "candidates is empty"),
        (f"user_cell=1, policy='nothing', {HOSTS})", "no policy is named 'nothing'"),
        (f"user_cell=1, heading='north', {HOSTS})", "heading"),
        (f"user_position={{'latitude': 1}}, {HOSTS})", "user_position is {'latitude': 1}"),
        (f"user_cell=1, measured_costs={{'edge-a': {{}}}}, {HOSTS})", "allowed: measured"),
        (f"user_cell=1, services={{'edge-a': -1}}, {HOSTS})", "services of edge-a is -1"),
    ],
)
def test_errors_say_what_was_found_and_what_is_allowed(site, arguments, message):
    assert message in site.error(CALL + arguments)


def test_a_wrong_policy_names_file_line_and_key(site):
    (site.root / "policies").mkdir()
    path = site.root / "policies" / "site.yml"
    path.write_text((DEFAULT_DIRECTORY / "default.yml").read_text().replace("0.95", "1.0"))
    said = site.error(CALL + f"user_cell=1, policy='site', {HOSTS})")
    assert f"policy {path}: line 6: key discount: found 1.0; allowed: less than 1" in said.replace("\\n", " ")


def test_unknown_keys_of_a_term_and_a_missing_current_host(site):
    term = "query('mec.migration.mdp_decision', {'name': 'a', 'cell': 3}, user_cell=1, "
    assert "unknown key cell" in site.error(term + f"current_host='edge-a', {HOSTS})")
    call = "lookup('mec.migration.mdp_decision', 'redis-42', user_cell=1, "
    assert "current_host is missing" in site.error(call + f"{HOSTS})")


def test_a_thousand_services_in_one_task_solve_once(site):
    """In processor time of the process that decides, against one decision that solves, both in this play.

    How long they take on a quiet machine, less than two seconds, is measured by `make bench-decisions`.
    """
    terms = textwrap.dedent("""
        {%- set terms = [] -%}{%- for place in range(1000) -%}
        {%- set _ = terms.append({'name': 's-' ~ place, 'user_cell': place % 91}) -%}
        {%- endfor -%}{{ terms }}""")
    call = f"query('mec.migration.mdp_decision', *terms, current_host='edge-a', {HOSTS})"
    # Fields 14 and 15 of proc_pid_stat(5).
    ticks = "lookup('ansible.builtin.pipe', \"sed 's/.*) //' /proc/$PPID/stat | cut -d' ' -f12,13\")"

    def timed(expression):
        return (
            f"{{% set before = {ticks} %}}{{% set found = {expression} %}}{{{{ [before, {ticks}, found] }}}}"
        )

    tasks = [{"ansible.builtin.set_fact": {"terms": terms}}]
    tasks.append({"ansible.builtin.set_fact": {"first": timed(CALL + f"user_cell=41, {HOSTS})")}})
    tasks.append({"ansible.builtin.set_fact": {"all": timed(call)}})
    found = "all[2] | map(attribute='service') | unique | length"
    *times, services = site.answer(f"[first[0], first[1], all[0], all[1], {found}]", tasks)
    assert services == 1000
    before, solved, warm, decided = (sum(map(int, each.split())) for each in times)
    assert decided - warm < 10 * (solved - before)


def test_the_documentation_is_a_page(site):
    program = shutil.which("ansible-doc", path=str(Path(sys.executable).parent))
    done = subprocess.run(
        [program, "-t", "lookup", "mec.migration.mdp_decision"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
    )  # fmt: skip
    for word in ("EXAMPLES", "RETURN VALUES", "mec_capacity", "user_position", "policy_path"):
        assert word in done.stdout
    assert "[WARNING]" not in done.stderr
