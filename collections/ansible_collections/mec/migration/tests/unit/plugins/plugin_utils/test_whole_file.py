# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.whole_file import READABLE, whole_file
from ansible_collections.mec.migration.plugins.plugin_utils.report.files import write


@pytest.mark.parametrize("synced", [False, True])
@pytest.mark.parametrize("mode", [0o600, READABLE])
def test_the_new_content_takes_the_old_ones_place(tmp_path, mode, synced):
    path = tmp_path / "file"
    path.write_text("old")
    with whole_file(path, mode=mode, synced=synced) as stream:
        stream.write(b"ne")
        assert path.read_text() == "old"
        stream.write(b"w")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.listdir(tmp_path) == ["file"]


def test_what_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with whole_file(path) as stream:
            stream.write(b"new")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_report_that_cannot_take_its_place_leaves_nothing(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "report.html", "text", check_mode=False)
    assert os.listdir(tmp_path) == ["report.html"]
