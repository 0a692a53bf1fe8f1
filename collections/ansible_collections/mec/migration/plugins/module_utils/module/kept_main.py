# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of this collection from code that the host keeps.

It becomes the ``__main__.py`` of a directory of kept code, which holds this collection's modules with all
that they import, Ansible's part included: ``python3 DIRECTORY MODULE``, with what Ansible gives a module as
JSON on the standard input. The controller's part is ``plugin_utils/actions/kept_code.py``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import traceback

BEGUN = "mec.migration: the module has begun"
# What the controller takes for: this host does not have that code.
NOT_SENT_YET = 93
MODULES = "ansible_collections.mec.migration.plugins.modules"


def main(module: str) -> None:
    """Run *module*, which ends the process and prints its result as Ansible's modules do.

    Where its code cannot be loaded, since some of it is gone, all of it is removed, to be sent anew.
    """
    given = sys.stdin.buffer.read()
    try:
        from ansible.module_utils import basic  # noqa: PLC0415  Only where it runs on a host.

        run = importlib.import_module(f"{MODULES}.{module}").main
    except Exception:
        traceback.print_exc()
        remove(os.path.dirname(os.path.abspath(__file__)))
        raise SystemExit(NOT_SENT_YET) from None
    # Where Ansible's own wrapper puts them.
    basic._ANSIBLE_ARGS = given
    basic._ANSIBLE_PROFILE = "legacy"
    sys.stdout.write(f"{BEGUN}\n")
    sys.stdout.flush()
    run()


def remove(directory: str) -> None:
    """Remove *directory*, which never is there in part under its own name.

    As in ``keep_code.py``: neither of the two can count on the other, which may not be there.
    """
    aside = f"{directory}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(directory, aside)
    shutil.rmtree(aside, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
