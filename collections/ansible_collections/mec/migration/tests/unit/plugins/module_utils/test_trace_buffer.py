# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance of the kernel's tracing does not outlive the migration that made it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel import trace_buffer
from ansible_collections.mec.migration.plugins.module_utils.kernel.trace_buffer import (
    PREFIX,
    TraceBuffer,
    remove_left_instances,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts, the kernel's tracing")


@pytest.fixture(name="instances")
def fixture_instances() -> Iterator[int]:
    descriptor = trace_buffer._open_instances()
    yield descriptor
    os.close(descriptor)


def test_what_a_killed_one_left_is_removed_and_what_is_in_use_is_not(instances: int) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        made = TraceBuffer(1 << 16)
        os.write(writer, made._name.encode())
        signal.pause()
    left = os.read(reader, 100).decode()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for descriptor in (reader, writer):
        os.close(descriptor)
    assert left in os.listdir(instances)
    used = TraceBuffer.__new__(TraceBuffer)
    used._instances, used._pipe, used._dir, used._name = trace_buffer._open_instances(), -1, -1, ""
    used._make()
    try:
        remove_left_instances()
        there = os.listdir(instances)
    finally:
        name = used._name
        used.close()
    assert left not in there
    assert name in there
    assert name.startswith(PREFIX)
    assert name not in os.listdir(instances)


def test_where_it_is_not_allowed_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(trace_buffer, "_open_instances", refused)
    remove_left_instances()
