# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of this collection from code that the host keeps.

It becomes the ``__main__.py`` of a directory of kept code, which holds this collection's modules with all
that they import, Ansible's part included: ``python3 DIRECTORY MODULE``, with what Ansible gives a module as
JSON on the standard input. The controller's part is ``plugin_utils/actions/kept_code.py``.
"""

from __future__ import annotations

import runpy
import sys

# Tells the controller that the module has begun: from here on it must not be started a second time.
BEGUN = "mec.migration: the module has begun"
MODULES = "ansible_collections.mec.migration.plugins.modules"


def main(module: str) -> None:
    """Run *module*, which ends the process and prints its result as Ansible's modules do."""
    given = sys.stdin.buffer.read()
    from ansible.module_utils import basic  # noqa: PLC0415  Only where it runs on a host.

    # Where Ansible's own wrapper puts them.
    basic._ANSIBLE_ARGS = given
    basic._ANSIBLE_PROFILE = "legacy"
    sys.stdout.write(f"{BEGUN}\n")
    sys.stdout.flush()
    runpy.run_module(f"{MODULES}.{module}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
