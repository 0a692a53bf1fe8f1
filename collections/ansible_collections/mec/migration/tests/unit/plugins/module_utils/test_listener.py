# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the target's agent listens: at one address, or at every one of the host."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.target.listener import listen


@pytest.mark.parametrize(
    ("address", "reached"),
    [("", ("127.0.0.1", "::1")), ("127.0.0.1", ("127.0.0.1",)), ("::1", ("::1",)), ("::", ("::1",))],
)
def test_it_listens_where_it_is_told(address, reached):
    with listen(address, 0) as listener:
        port = listener.getsockname()[1]
        for each in ("127.0.0.1", "::1"):
            if each in reached:
                socket.create_connection((each, port), timeout=60).close()
            elif address not in ("", "::"):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((each, port), timeout=60)


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MigrationError, match=f"cannot listen on any address port {port}.*migrate_port"):
            listen("", port)


def test_an_address_of_another_host_is_said():
    with pytest.raises(MigrationError, match=r"cannot listen on 2001:db8::1 port 0"):
        listen("2001:db8::1", 0)
