# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard does once the agent that froze a service has died."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.source.thaw_guard import ThawGuard


@pytest.mark.parametrize(
    ("container_state", "gives_back"), [("running", True), ("exited", True), ("frozen", False)]
)
def test_what_was_taken_is_given_back_unless_it_is_frozen(tmp_path, container_state, gives_back):
    """A service that has ended too has nothing to be thawed, and a restart policy."""
    given = tmp_path / "given"

    def thaw():
        if container_state != "running":
            raise MigrationError("not thawed", container_state=container_state)

    guard = ThawGuard(
        SimpleNamespace(thaw=thaw), SimpleNamespace(outlive=lambda: None), lambda: given.write_text("back")
    )
    # What our death does.
    os.close(guard._writer)
    _pid, code = os.waitpid(guard._child, 0)
    assert given.exists() == gives_back
    assert (code == 0) == gives_back
