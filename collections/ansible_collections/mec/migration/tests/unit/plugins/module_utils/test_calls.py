# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls have other numbers on other processors."""

from __future__ import annotations

import errno
import os
import platform

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel import kcmp
from ansible_collections.mec.migration.plugins.module_utils.kernel.calls import number_of, syscall

# include/uapi/asm-generic/unistd.h of Linux
ARM64 = {
    "ioprio_set": 30,
    "ioprio_get": 31,
    "setresuid": 147,
    "setresgid": 149,
    "kcmp": 272,
    "bpf": 280,
    "userfaultfd": 282,
}


@pytest.mark.parametrize(("name", "number"), ARM64.items())
def test_arm64_has_the_numbers_of_the_generic_table(monkeypatch, name, number):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert number_of(name) == number


def test_files_are_compared_by_this_machines_number(monkeypatch):
    asked = []
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(kcmp, "syscall", lambda call, *_arguments: asked.append(number_of(call)) or 0)
    assert kcmp.is_same_file(1, 3, 1, 4)
    assert asked == [272]


def test_another_processor_is_named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="number of kcmp is not known for riscv64") as caught:
        syscall("kcmp", os.getpid(), os.getpid(), 0, 0, 0)
    assert caught.value.errno == errno.ENOSYS


def test_a_call_is_made_and_its_error_raised():
    assert syscall("kcmp", os.getpid(), os.getpid(), 1, 0, 0) == 0
    with pytest.raises(ProcessLookupError):
        syscall("kcmp", os.getpid(), (1 << 22) + 1, 1, 0, 0)
