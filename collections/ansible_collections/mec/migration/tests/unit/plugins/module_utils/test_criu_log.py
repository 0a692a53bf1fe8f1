# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that CRIU 4.2.1 has logged in real dumps and restores that failed, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.criu.log import (
    CAUSES,
    cause_line,
    explain,
    log_tail,
)

END = [
    "(00.105220) Error (criu/cr-dump.c:1672): Dump files (pid: 4711) failed with -1",
    "(00.119411) Error (criu/cr-dump.c:2111): Dumping FAILED.",
]
HARMLESS = [
    "(00.000031) Error (criu/page-xfer.c:410): page-xfer: No parent image found, "
    "though parent directory is set",
]
# Each with a word that its explanation must have.
MESSAGES = (Path(__file__).parent / "fixtures/criu_messages.txt").read_text().splitlines()
LINES = dict(message.split(" => ") for message in MESSAGES)


@pytest.mark.parametrize("line", LINES)
def test_a_message_is_explained_wherever_it_is_in_the_log(line):
    for log in (
        [f"(00.104113) {line}"],
        [*HARMLESS, f"(00.104113) {line}", *END],
        ["(00.090000) Error (criu/other.c:1): something else", f"(00.104113) {line}", *END],
    ):
        text = "\n".join(log)
        assert cause_line(text) == line
        assert LINES[line] in explain(text)
        assert "Remedy: " in explain(text)


def test_a_consequence_is_explained_where_nothing_else_is_said():
    """As by CRIU 4.3 where it may not enlarge a pipe."""
    failed = "(00.016871) Error (criu/cr-dump.c:1891): Lazy pages transfer FAILED."
    assert "fs.pipe-max-size" in explain("\n".join([failed, *END]))
    told = "(00.01) Error (criu/sk-unix.c:874): unix: External socket is used."
    assert "outside the container" in explain("\n".join([told, failed, *END]))


def test_of_what_is_not_known_the_last_line_counts_that_is_no_consequence():
    log = [*HARMLESS, "(00.1) Error (criu/a.c:1): first", "(00.2) Error (criu/b.c:2): the reason", *END]
    assert cause_line("\n".join(log)) == "Error (criu/b.c:2): the reason"
    assert "log_tail" in explain("\n".join(log))
    assert cause_line("\n".join(END)) == "Error (criu/cr-dump.c:2111): Dumping FAILED."
    assert cause_line("") == ""


def test_of_a_restore_that_failed_the_reason_counts_and_not_its_end():
    log = [
        "(00.025751) pie: 7: Error (criu/pie/restorer.c:1293): Can't create posix timer - 0: -22",
        "(00.025762) pie: 7: Error (criu/pie/restorer.c:2201): Can't restore posix timers -1",
        "(00.025816) pie: 7: Error (criu/pie/restorer.c:2332): Restorer fail 7",
        "(00.028276) Error (criu/cr-restore.c:2331): Restoring FAILED.",
        "(00.029589) Error (criu/cgroup.c:2055): cg: cgroupd: recv req error: No such file or directory",
    ]
    assert "Can't restore posix timers" in cause_line("\n".join(log))
    assert "timer" in explain("\n".join(log))
    unknown = ["(00.02) Error (criu/x.c:1): the reason", *log[2:]]
    assert cause_line("\n".join(unknown)) == "Error (criu/x.c:1): the reason"


def test_the_tail_leaves_out_what_is_harmless(tmp_path):
    log = tmp_path / "dump.log"
    warning, error = "(00.0) Warn  (criu/x.c:1): w", "(00.1) Error (criu/a.c:1): e"
    log.write_text("\n".join([warning, *HARMLESS, error, *END]))
    assert log_tail(str(log)).splitlines() == [error, *END]
    assert log_tail(str(tmp_path / "none")) == ""


def test_words_of_ordinary_messages_are_no_cause():
    for line in (
        "Error (criu/x.c:1): Unknown options",
        "Error (criu/x.c:1): Can't parse scripts",
        "Error (criu/x.c:1): pretty bad",
    ):
        assert "log_tail" in explain(line)


def test_every_cause_says_what_to_do():
    for cause in CAUSES:
        assert cause.reason
        assert cause.remedy
        assert not cause.remedy.endswith(".")
