# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime of a waiting container, where no container is needed."""

from __future__ import annotations

import pytest
from role_files import role_file


@pytest.fixture
def runtime():
    return role_file("armed_runtime")


def test_what_runc_wrote_last_is_why_it_ended(runtime, tmp_path):
    log = tmp_path / "log.json"
    options = ["--root", "/run/x", "--log", str(log), "--log-format", "json"]
    assert runtime.last_error(options) == ""
    log.write_text(
        '{"level":"warning","msg":"an earlier one"}\n'
        '{"level":"error","msg":"failed to write 20000: cpu.rt_runtime_us: invalid argument"}\n'
        "cut o"
    )
    assert runtime.last_error(options) == "failed to write 20000: cpu.rt_runtime_us: invalid argument"
    assert runtime.last_error(["--root", "/run/x"]) == ""
