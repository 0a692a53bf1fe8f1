# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cordons of hosts, in real files."""

from __future__ import annotations

import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.state.cordon import cordon, read_cordon, uncordon


def test_a_cordon_stays_until_it_is_taken_away(tmp_path):
    path = str(tmp_path / "deep" / "cordoned")
    assert read_cordon(path) is None
    uncordon(path)
    cordon("new kernel", path)
    found = read_cordon(path)
    assert found is not None
    assert found.reason == "new kernel"
    assert abs(found.since - time.time()) < 60
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["cordoned"]
    uncordon(path)
    assert read_cordon(path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"reason": "x"}', '{"reason": "x", "since": "y"}'])
def test_one_that_cannot_be_read_counts(tmp_path, content):
    path = tmp_path / "cordoned"
    path.write_text(content)
    found = read_cordon(str(path))
    assert found is not None
    assert "cannot be read" in found.reason


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "cordoned"
    path.mkdir()
    with pytest.raises(MigrationError, match="cordoned: Is a directory"):
        cordon("x", str(path))
