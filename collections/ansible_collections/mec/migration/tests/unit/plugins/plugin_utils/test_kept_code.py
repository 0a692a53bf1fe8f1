# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run from code that a host keeps; this machine is the host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.module import kept_main
from ansible_collections.mec.migration.plugins.plugin_utils.actions import kept_code

# It says what is missing on a host, and needs none of it.
MODULE = "edge_host_info"
# Python is to keep what it compiles.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
FOUND = {"/proc": "directory"}
GIVEN = json.dumps({"ANSIBLE_MODULE_ARGS": {"paths": ["/proc"]}}).encode()


@pytest.fixture
def kept(tmp_path):
    """A directory that this user alone can use."""
    directory = tmp_path / "kept"
    directory.mkdir(mode=0o700)
    return directory


def keep(parent, name="code", archive=None, size=None, given=GIVEN):
    packed = kept_code.archive()[1] if archive is None else archive
    words = [sys.executable, "-c", kept_code.KEEPER.read_text(), str(parent), name]
    size = str(len(packed) if size is None else size)
    words = [*words, size, MODULE]
    return subprocess.run(words, input=packed + given, capture_output=True, check=False, env=ENVIRONMENT)


def result_of(done):
    lines = done.stdout.decode().splitlines()
    assert lines[0] == kept_main.BEGUN, done.stderr
    return json.loads(lines[-1])


def test_the_controller_and_the_host_name_the_beginning_alike():
    assert kept_code.BEGUN == kept_main.BEGUN
    assert kept_code.NOT_SENT_YET == kept_main.NOT_SENT_YET


def test_a_module_runs_from_the_archive_and_from_then_on_without_it(kept):
    first = result_of(keep(kept))
    assert first["edge_host"]["paths"] == {"/proc": "directory"}
    again = [sys.executable, str(kept / "code"), MODULE]
    done = subprocess.run(again, input=GIVEN, capture_output=True, check=False)
    assert result_of(done)["edge_host"]["paths"] == first["edge_host"]["paths"]
    # What was compiled the first time stays.
    assert list((kept / "code").rglob("*.pyc"))


def test_wrong_arguments_are_refused_as_everywhere(kept):
    done = keep(kept, given=json.dumps({"ANSIBLE_MODULE_ARGS": {"path": ["/proc"]}}).encode())
    assert "Unsupported parameters" in result_of(done)["msg"]


def test_the_digest_changes_with_a_name_and_with_content(monkeypatch):
    found = {}
    for files in ([("a", b"b")], [("a", b"c")], [("ab", b"")], [("a", b""), ("b", b"")]):
        monkeypatch.setattr(kept_code, "files", lambda files=files: iter(files))
        found[kept_code.archive()[0]] = files
    assert len(found) == 4


def test_the_archive_has_each_package_and_each_file_once():
    names = zipfile.ZipFile(BytesIO(kept_code.archive()[1])).namelist()
    assert len(names) == len(set(names))
    for name in names:
        folder = os.path.dirname(name)
        while folder:
            assert f"{folder}/__init__.py" in names
            folder = os.path.dirname(folder)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_nothing_runs_from_a_directory_that_others_can_use(kept, mode):
    kept.chmod(mode)
    done = keep(kept)
    assert done.returncode
    assert not done.stdout
    assert b"no other one can use" in done.stderr
    assert not list(kept.iterdir())


def test_nothing_runs_from_where_a_link_leads(kept, tmp_path):
    (tmp_path / "link").symlink_to(kept)
    done = keep(tmp_path / "link")
    assert done.returncode
    assert not done.stdout
    assert not list(kept.iterdir())


@pytest.mark.parametrize("archive", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_archive_leaves_nothing_and_begins_nothing(kept, archive):
    done = keep(kept, archive=archive)
    assert done.returncode
    assert not done.stdout
    assert not list(kept.iterdir())


def test_an_archive_that_was_cut_off_leaves_nothing_and_begins_nothing(kept):
    done = keep(kept, archive=b"PK", size=1000, given=b"")
    assert done.returncode
    assert not done.stdout
    assert b"incomplete" in done.stderr
    assert not list(kept.iterdir())


def test_what_is_kept_already_is_used(kept):
    result_of(keep(kept))
    inode = (kept / "code").stat().st_ino
    result_of(keep(kept))
    assert [path.name for path in kept.iterdir()] == ["code"]
    assert (kept / "code").stat().st_ino == inode


def test_only_the_newest_stay(kept):
    for age in range(5):
        older = kept / f"older-{age}"
        older.mkdir()
        os.utime(older, (1000 - age, 1000 - age))
    result_of(keep(kept))
    assert sorted(path.name for path in kept.iterdir()) == ["code", "older-0", "older-1"]


@pytest.mark.parametrize(
    ("there", "prepared", "code"),
    [(True, True, 0), (True, False, 0), (False, True, 93), (False, False, 94)],
)
def test_the_command_says_whether_the_host_could_keep_it(tmp_path, monkeypatch, there, prepared, code):
    monkeypatch.setattr(kept_code, "KEPT_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(kept_code, "PREPARED_DIR", str(tmp_path / "prepared"))
    if there:
        (tmp_path / "kept" / "abc").mkdir(parents=True)
        (tmp_path / "kept" / "abc" / "__main__.py").touch()
    if prepared:
        (tmp_path / "prepared").mkdir()
    done = subprocess.run(
        ["sh", "-c", kept_code.where_kept("abc", "echo ran")], capture_output=True, check=False
    )
    assert done.returncode == code
    assert done.stdout == (b"ran\n" if there else b"")


# In a process of its own, as Ansible's loader of collections has to come before all imports from them.
ACTION = """
import json, sys
from ansible.plugins import loader as loaders
kept_dir, prepared_dir, python, check_mode, newer, changed, collections, module = sys.argv[1:]
loaders.init_plugin_loader([collections])
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible_collections.mec.migration.plugins.plugin_utils.actions import kept_code
kept_code.KEPT_DIR, kept_code.PREPARED_DIR = kept_dir, prepared_dir
if changed == "True":
    kept_code.digest = lambda: "0" * 32
if newer == "True":
    class Newer:
        def __init__(self, result):
            self.result = result
        def as_result_dict(self, *, for_round_trip):
            return self.result
    parse = kept_code.KeptAction._parse_returned_data
    def newer_parse(*given):
        result = parse(*given)
        return Newer(result) if isinstance(result, dict) else result
    kept_code.KeptAction._parse_returned_data = newer_parse
variables = {"ansible_python_interpreter": python, "ansible_facts": {}}
variables["ansible_playbook_python"] = sys.executable
task = Task.load({"action": {"module": module, "paths": ["/proc"]}, "check_mode": check_mode == "True"})
connection = loaders.connection_loader.get("local", PlayContext())
connection.set_options(var_options=variables)
action = loaders.action_loader.get(
    module, task=task, connection=connection, play_context=PlayContext(), loader=DataLoader(),
    templar=Templar(loader=DataLoader(), variables=variables), shared_loader_obj=loaders,
)
result = action.run(task_vars=variables)
assert not result.get("failed"), result
print(json.dumps(result["edge_host"]["paths"]))
"""


@pytest.fixture
def run(tmp_path):
    """Runs the module by its action, over Ansible's connection to this machine; what it says of a path."""

    def run(prepared=tmp_path, python=sys.executable, check_mode=False, newer=False, changed=False):
        flags = [str(flag) for flag in (check_mode, newer, changed)]
        words = [str(tmp_path / "kept"), str(prepared), python, *flags]
        collections = str(Path(kept_code.__file__).parents[6])
        words = [sys.executable, "-c", ACTION, *words, collections, f"mec.migration.{MODULE}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def names(directory):
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []


def test_the_first_task_sends_the_code_and_later_ones_use_it(run, tmp_path):
    assert run() == FOUND
    assert names(tmp_path / "kept") == [kept_code.digest()]
    inode = (tmp_path / "kept" / kept_code.digest()).stat().st_ino
    assert run() == FOUND
    assert (tmp_path / "kept" / kept_code.digest()).stat().st_ino == inode
    # In check mode, too, once it is there.
    assert run(check_mode=True) == FOUND


def test_code_that_changed_during_a_play_is_kept_by_its_own_name(run, tmp_path):
    assert run(changed=True) == FOUND
    assert names(tmp_path / "kept") == [kept_code.digest()]


def test_the_result_may_be_an_object_as_in_newer_ansible(run, tmp_path):
    assert run(newer=True) == FOUND
    assert names(tmp_path / "kept") == [kept_code.digest()]


def test_a_module_that_is_kept_does_not_travel(run, tmp_path):
    """What is kept is what runs."""
    assert run() == FOUND
    (module,) = (tmp_path / "kept").rglob(f"{MODULE}.py")
    module.write_text(module.read_text().replace('"paths"', '"renamed"'))
    with pytest.raises(AssertionError, match="Unsupported parameters"):
        run()


@pytest.mark.parametrize(
    "gone",
    [
        "",
        "__main__.py",
        "ansible_collections",
        f"{kept_code.PREFIX}/modules",
        f"{kept_code.PREFIX}/module_utils/base",
    ],
)
def test_code_of_which_a_part_is_gone_is_sent_anew(run, tmp_path, gone):
    assert run() == FOUND
    directory = tmp_path / "kept" / kept_code.digest()
    sources = sorted(directory.rglob("*.py"))
    lost = directory / gone
    if lost.is_dir():
        shutil.rmtree(lost)
    else:
        lost.unlink()
    assert run() == FOUND
    assert names(tmp_path / "kept") == [kept_code.digest()]
    assert sorted(directory.rglob("*.py")) == sources


def test_a_host_that_was_not_made_ready_keeps_nothing(run, tmp_path):
    assert run(prepared=tmp_path / "not there") == FOUND
    assert not (tmp_path / "kept").exists()


def test_check_mode_leaves_nothing_on_a_host(run, tmp_path):
    assert run(check_mode=True) == FOUND
    assert not (tmp_path / "kept").exists()


def test_where_others_can_write_ansible_sends_the_module(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept").chmod(0o777)
    assert run() == FOUND
    assert names(tmp_path / "kept") == []
