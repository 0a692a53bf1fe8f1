# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run from code that the hosts keep, so that it is neither packed nor sent nor compiled each time.

Ansible packs each module with all that it imports, sends that, and has the host's Python compile it: for
the three modules of a move that was half of the time before the first byte of the service's memory. Here a
host that was made ready is sent all modules once, in one archive, which it unpacks to tmpfs, below a name
that is the digest of the content. After that a module's arguments are all that travels, and Python finds
what it compiled the first time.

Wherever this cannot be done Ansible does it as it always does: on a host that was not made ready, for a
user other than root, with ``become`` but no pipelining, or before Ansible has found the host's Python.
A module is never started twice: only where it has not begun another way is tried.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.module_utils import basic
from ansible.module_utils.ansible_release import __author__, __version__
from ansible.plugins.action import ActionBase

from ..base.plain import plain
from .ssh_keepalive import keep_asking

# Later tasks of a move check documents with it. Ansible loads an action before it forks a process for the
# task, so what is loaded here is loaded once for all tasks.
with contextlib.suppress(ImportError):
    importlib.import_module("jsonschema")

KEPT_DIR = "/run/mec-migration-code"
PLUGINS = Path(__file__).resolve().parents[2]
OF_ANSIBLE = Path(ansible.module_utils.__file__).parent
# Of Ansible's own helpers no module of this collection uses these.
NOT_SENT = frozenset({"csharp", "facts", "powershell"})
PREFIX = "ansible_collections/mec/migration/plugins"
MAIN, KEEPER = (PLUGINS / "module_utils" / "module" / f"{name}.py" for name in ("kept_main", "keep_code"))
# Of kept_main.py on the host.
BEGUN = "mec.migration: the module has begun"
# Only a host that the role edge_host has made ready keeps anything.
PREPARED_DIR = "/var/lib/mec-migration"
# Exit codes of the command: the host could keep the code, and has not been sent it; it cannot.
NOT_SENT_YET, NOT_HERE = 93, 94
AUTO = ("", "auto", "auto_legacy", "auto_silent", "auto_legacy_silent")


class KeptAction(ActionBase):
    """An action that runs modules of this collection on a host."""

    def run_module(
        self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The result of module *name* of this collection.

        :param name: with the collection's.
        :raises AnsibleConnectionFailure: the host cannot be reached.
        """
        keep_asking(self._connection)
        interpreter = self._interpreter(task_vars or {})
        if interpreter and self._may_be_kept():
            result = self._run_kept(interpreter, name, arguments, task_vars)
            if result is not None:
                return result
        wrap_async = bool(self._task.async_val and not self._connection.has_native_async)
        return dict(self._execute_module(name, arguments, task_vars=task_vars, wrap_async=wrap_async))

    def _may_be_kept(self) -> bool:
        """Whether a command on the host can read its standard input, and nobody wants Ansible's own files."""
        connection = self._connection
        # Without become there is nothing that might need a terminal, so pipelining need not be turned on.
        return bool(
            connection.has_pipelining
            and (not connection.become or connection.is_pipelining_enabled())
            and ".ps1" not in connection.module_implementation_preferences
            and not self._task.async_val
            and not constants.DEFAULT_KEEP_REMOTE_FILES
            and hasattr(basic, "_ANSIBLE_PROFILE")
        )

    def _interpreter(self, task_vars: Mapping[str, Any]) -> str:
        """The host's Python as it was given, or as Ansible has found it; empty if it has not yet."""
        variables = task_vars
        if self._task.delegate_to:
            variables = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        given = constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables)
        words = str(self._templar.template(given) or "").strip()
        if words in AUTO:
            return str(variables.get("ansible_facts", {}).get("discovered_interpreter_python") or "")
        return words

    def _run_kept(
        self, interpreter: str, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        """The module's result; None if it was not begun."""
        given = dict(arguments)
        self._update_module_args(name, given, task_vars or {})
        try:
            text = json.dumps({"ANSIBLE_MODULE_ARGS": plain(given)}).encode()
        except (TypeError, ValueError):
            # A kind of value that Ansible may know how to send.
            return None
        code, leaf = digest(), name.rsplit(".", 1)[-1]
        run = self._words(interpreter, f"{KEPT_DIR}/{code}", leaf)
        told = self._low_level_execute_command(where_kept(code, run), in_data=text)
        if told["rc"] == NOT_SENT_YET and not begun(told) and not self._task.check_mode:
            # They may have changed since this play began.
            code, packed = archive()
            keeper = KEEPER.read_text(encoding="utf-8")
            send = self._words(interpreter, "-c", keeper, KEPT_DIR, code, str(len(packed)), leaf)
            told = self._low_level_execute_command(send, in_data=packed + text)
        if not begun(told):
            return None
        # What a shell prints first, such as a warning, is none of the module's.
        printed = told["stdout"].split(BEGUN, 1)[1]
        parsed = self._parse_returned_data({**told, "stdout": printed.lstrip()}, "legacy")
        # From ansible-core 2.21 on it is an object of Ansible's.
        return dict(parsed if isinstance(parsed, Mapping) else parsed.as_result_dict(for_round_trip=True))

    def _words(self, interpreter: str, *words: str) -> str:
        """The command that has the host's Python run these."""
        python = f"{self._compute_environment_string()} {interpreter}".strip()
        return f"{python} {self._connection._shell.join(words)}"


class KeptModule(KeptAction):
    """An action that does nothing but run the module of its name."""

    module_name = ""
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        result.update(self.run_module(self.module_name, dict(self._task.args), task_vars))
        return result


def where_kept(code: str, command: str) -> str:
    """A shell's command that runs *command* if the host keeps that code, or says whether it could."""
    return (
        f"if [ -O {KEPT_DIR} ] && [ -f {KEPT_DIR}/{code}/__main__.py ]; then {command}; "
        f"elif [ -w {os.path.dirname(KEPT_DIR)} ] && [ -d {PREPARED_DIR} ]; then exit {NOT_SENT_YET}; "
        f"else exit {NOT_HERE}; fi"
    )


def begun(told: Mapping[str, Any]) -> bool:
    """Whether a module has begun, from what its command printed."""
    return BEGUN in told["stdout"]


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents of all that modules need on a host, in order."""
    yield "__main__.py", MAIN.read_bytes()
    release = f'__version__ = "{__version__}"\n__author__ = "{__author__}"\n'
    yield "ansible/__init__.py", release.encode()
    for name, content in _python_below(OF_ANSIBLE):
        if name.split("/", 1)[0] not in NOT_SENT:
            yield f"ansible/module_utils/{name}", content
    packages = {""}
    for folder in ("module_utils", "modules"):
        for name, content in _python_below(PLUGINS / folder):
            parts = f"{folder}/{name}".split("/")[:-1]
            packages.update("/".join(parts[:end]) + "/" for end in range(1, len(parts) + 1))
            yield f"{PREFIX}/{folder}/{name}", content
    for package in sorted(packages):
        yield f"{PREFIX}/{package}__init__.py", b""
    for end in (1, 2, 3):
        yield "/".join([*PREFIX.split("/")[:end], "__init__.py"]), b""


def _python_below(top: Path) -> Iterator[tuple[str, bytes]]:
    """Names, from *top* on, and contents of the Python files below it, in order."""
    # Without pathlib, which took more time for these names than reading and hashing took.
    names = [
        os.path.join(directory, name)
        for directory, _directories, found in os.walk(top)
        for name in found
        if name.endswith(".py")
    ]
    for name in sorted(names):
        with open(name, "rb") as file:
            yield name[len(str(top)) + 1 :], file.read()


@functools.cache
def digest() -> str:
    """Of the names and contents of all files: what a directory of kept code is called."""
    return _digest(files())


def _digest(content: Iterable[tuple[str, bytes]]) -> str:
    found = hashlib.sha256()
    for name, text in content:
        found.update(b"%d %d %s%s" % (len(name), len(text), name.encode(), text))
    return found.hexdigest()[:32]


def archive() -> tuple[str, bytes]:
    """All files as they are now: their digest, and a zip archive of them."""
    content = list(files())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in content:
            target.writestr(name, text)
    return _digest(content), packed.getvalue()


# Ansible loads an action before it forks a process for each task: what is known here all of them know.
digest()
