# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of migrations leave the addresses of sockets room, however long the service's name is."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.paths import (
    ADDRESS_BYTES,
    LONGEST_SOCKET,
    migration_dir,
    short_name,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.lazy_restore import SOCKET_NAME
from ansible_collections.mec.migration.plugins.module_utils.transport.control import CONTROL, SOURCE_CONTROL

NUMBER = "0123456789abcdef" * 2


@pytest.mark.parametrize("length", [1, 29, 30, 42, 43, 120, 200])
def test_sockets_have_room(length):
    path = migration_dir(f"{'x' * length}-{NUMBER}")
    assert len(os.fsencode(os.path.join(path, LONGEST_SOCKET))) <= ADDRESS_BYTES
    assert os.path.basename(path).startswith("x" * min(length, 29))


def test_no_socket_has_a_longer_name():
    for name in (CONTROL, SOURCE_CONTROL, f"restore/{SOCKET_NAME}", "restore/gate.sock"):
        assert len(name) <= len(LONGEST_SOCKET)


def test_names_differ_as_the_ids_do():
    assert short_name(f"redis-{NUMBER}") == f"redis-{NUMBER}"
    ids = [f"{'x' * 60}-{number}" for number in ("1", "2", NUMBER)]
    assert len({short_name(each) for each in ids}) == len(ids)
