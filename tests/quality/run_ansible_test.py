#!/usr/bin/env python3
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs `ansible-test sanity` (or `units`) on the collection where nothing but a package index is reachable.

ansible-test makes virtual environments of its own. It wants to download the script that puts pip into
them, and it hides pip's settings in the environment from them. Here it gets a home of its own below
.cache, with a script that takes the pip which Python brings along, and with those settings in a file.

    tests/quality/run_ansible_test.py sanity [--test validate-modules] [path ...]
"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
HOME = ROOT / ".cache/ansible-test"

BOOTSTRAP = '''\
"""Stands in for get-pip.py: the pip that Python brings along installs what is asked for."""

import ensurepip
import os
import subprocess
import sys

ensurepip.bootstrap()
# Set by ensurepip for itself.
os.environ.pop("PIP_CONFIG_FILE", None)
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
'''


def pip_version() -> str:
    """The version of pip that this ansible-test puts into its environments."""
    package = importlib.util.find_spec("ansible_test")
    if package is None or package.submodule_search_locations is None:
        sys.exit("ansible-test is not installed for this Python; run `make venv`")
    source = Path(package.submodule_search_locations[0], "_internal/python_requirements.py")
    found = re.search(r"pip='([\d.]+)'", source.read_text(encoding="utf-8"))
    if found is None:
        sys.exit(f"{source} does not say which pip it wants; adapt {__file__}")
    return found.group(1)


def pip_settings() -> configparser.ConfigParser:
    """What `pip config list` shows: settings from files and from the environment alike."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.add_section("global")
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    # The environment comes last, as it has the last word.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        section = "global" if section == ":env:" else section
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, key, ast.literal_eval(value))
    return settings


def prepare() -> None:
    cache = HOME / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{pip_version().replace('.', '_')}.py").write_text(BOOTSTRAP, encoding="utf-8")
    config = HOME / ".config/pip/pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    # It may hold a password.
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        pip_settings().write(out)


def search_path() -> str:
    """PATH with this Python first, and of pyenv only the oldest Python that edge hosts may have.

    Its shims are there for every version and fail for those that are not switched on.
    """
    path = [str(Path(sys.executable).parent)]
    for directory in os.environ["PATH"].split(os.pathsep):
        if directory.endswith("/.pyenv/shims"):
            path += sorted(map(str, Path(directory).parent.glob("versions/3.9*/bin")))
        else:
            path.append(directory)
    return os.pathsep.join(path)


def main() -> int:
    prepare()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["HOME"] = str(HOME)
    environment["PATH"] = search_path()
    command = ["ansible-test", *sys.argv[1:], "--color", "no"]
    return subprocess.run(command, cwd=COLLECTION, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
