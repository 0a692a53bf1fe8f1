# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module logs of its invocation reaches the host's syslog: no private key may be in it."""

from __future__ import annotations

import importlib

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
PEER = {"address": "10.0.0.2", "port": 4000, "certificate": "ours", "peer_certificate": "theirs"}
SOURCE = {"migration_id": "redis-1", "peer": PEER, "key": KEY}
ARGUMENTS = {
    "image_layer_sync": {**SOURCE, "image": "redis:7"},
    "criu_predump": {**SOURCE, "container": "redis"},
    "criu_handover": {**SOURCE, "container": "redis"},
    "migration_receiver": {
        "migration_id": "redis-1",
        "service": "redis",
        "key": KEY,
        "certificate": "ours",
        "peer_certificate": "theirs",
    },
}


class Begun(Exception):
    """The module has read its arguments and would begin."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_key_is_logged(name, monkeypatch):
    module = importlib.import_module(f"ansible_collections.mec.migration.plugins.modules.{name}")
    logged = []
    monkeypatch.setattr(
        basic.AnsibleModule, "log", lambda self, msg, log_args=None: logged.append((msg, log_args))
    )

    def begin(_module, *_unused, **_named):
        raise Begun

    monkeypatch.setattr(module, "run_module", begin)
    with patch_module_args(ARGUMENTS[name]), pytest.raises(Begun):
        module.main()
    text = repr(logged)
    assert "redis" in text, "nothing was logged, so nothing was tested"
    assert "MIGHAgEAMBMGByqGSM49" not in text
