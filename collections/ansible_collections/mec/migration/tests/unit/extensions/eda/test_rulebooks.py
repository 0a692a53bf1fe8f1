# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two rulebooks differ in nothing but who runs the playbook."""

from __future__ import annotations

from pathlib import Path

import yaml

RULEBOOKS = Path(__file__).resolve().parents[4] / "extensions/eda/rulebooks"


def rulebook(name):
    ((book,),) = [yaml.safe_load((RULEBOOKS / name).read_text())]
    (rule,) = book["rules"]
    return book, rule


def test_the_job_gets_what_the_playbook_gets():
    played, rule = rulebook("follow_users.yml")
    launched, job_rule = rulebook("follow_users_job.yml")
    assert launched["sources"] == played["sources"]
    assert launched["execution_strategy"] == played["execution_strategy"] == "sequential"
    assert job_rule["condition"] == rule["condition"]
    job = job_rule["action"]["run_job_template"]
    assert set(job) == {"name", "organization", "job_args"}
    given = rule["action"]["run_playbook"]["extra_vars"]
    # A path of this machine means nothing where the job runs.
    assert job["job_args"]["extra_vars"] == {**given, "policy": "{{ policy | default('default') }}"}
