# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that ends while it is thawed has ended, and is not in doubt."""

from __future__ import annotations

import shutil
import threading

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.kernel import cgroup as module


@pytest.mark.parametrize("gone_after_s", [0.0, 0.2])
@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_that_goes_while_it_is_thawed(tmp_path, monkeypatch, version, gone_after_s):
    directory = tmp_path / "abc"
    directory.mkdir()
    # Here is no kernel that would thaw it.
    monkeypatch.setattr(module.Cgroup, "thawed", property(lambda self: module._read(self._file) == ""))
    monkeypatch.setattr(module, "_freezer_dir", lambda pid: (str(directory), version == 2))
    (directory / ("cgroup.freeze" if version == 2 else "freezer.state")).write_text("1")
    cgroup = module.Cgroup(4711)
    if gone_after_s:
        threading.Timer(gone_after_s, shutil.rmtree, [directory]).start()
    else:
        shutil.rmtree(directory)
    with pytest.raises(MigrationError, match="has ended") as caught:
        cgroup.thaw()
    assert caught.value.container_state == "exited"


def test_one_that_is_there_and_stays_frozen_is_not_said_to_have_ended(tmp_path, monkeypatch):
    (tmp_path / "freezer.state").write_text("FROZEN")
    monkeypatch.setattr(module.Cgroup, "thawed", property(lambda self: False))
    monkeypatch.setattr(module, "_freezer_dir", lambda pid: (str(tmp_path), False))
    with pytest.raises(MigrationError, match="not thawed after") as caught:
        module.Cgroup(4711).thaw(timeout_s=0.05)
    assert caught.value.container_state == "frozen"
