#!/usr/bin/env python3
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the collection's tarball and checks what is in it, and that it works where nothing else is.

The tree that is built is what git holds, so that nothing from a developer's directory gets in.

    tests/quality/release.py dist
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = Path("collections/ansible_collections/mec/migration")
BIN = Path(sys.executable).parent
# What a user does not need: see build_ignore in galaxy.yml.
NOT_SHIPPED = ("tests/", "changelogs/fragments/", "galaxy.yml")
MADE = {"MANIFEST.json", "FILES.json"}
NEEDED = {
    *("CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING", "MAINTAINERS", "README.md"),
    *("meta/runtime.yml", "meta/execution-environment.yml", "meta/ee-requirements.txt", "meta/ee-bindep.txt"),
    *("docs/loop.md", "docs/decision.md", "docs/hooks.md", "docs/hooks/nginx.yml", "docs/hooks/dns.yml"),
    *(f"plugins/plugin_utils/inputs/policies/{name}.yml" for name in ("default", "lab", "measured", "taxi")),
}
MODULES = ("criu_handover", "edge_host_info", "image_layer_sync", "migration_plan")


def tracked() -> set[str]:
    """Names of the files that git holds of the collection, counted from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", str(COLLECTION)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {os.path.relpath(name, COLLECTION) for name in listed.split("\0") if name}


def build(output: Path) -> Path:
    """The tarball of what the last commit holds."""
    archive = subprocess.run(
        ["git", "archive", "HEAD", str(COLLECTION)], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(scratch, filter="data")
        command = [str(BIN / "ansible-galaxy"), "collection", "build", f"{scratch}/{COLLECTION}", "--force"]
        subprocess.run([*command, "--output-path", str(output)], check=True, stdout=subprocess.DEVNULL)
    galaxy = yaml.safe_load((ROOT / COLLECTION / "galaxy.yml").read_text())
    return output / f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"


def is_tagged(version: str) -> bool:
    """The last commit is a release."""
    tags = subprocess.run(
        ["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return version in tags


def check_content(tarball: Path) -> list[str]:
    """What is wrong with the content, in sentences."""
    with tarfile.open(tarball) as tar:
        shipped = {member.name for member in tar if member.isfile()}
        described = tar.extractfile("MANIFEST.json")
        assert described is not None
        info = json.load(described)["collection_info"]
    wanted = {name for name in tracked() if not name.startswith(NOT_SHIPPED)} | MADE
    wrong = [f"{name} is missing" for name in sorted(wanted - shipped)]
    wrong += [f"{name} should not be there" for name in sorted(shipped - wanted)]
    wrong += [f"{name} is needed in a release" for name in sorted(NEEDED - shipped)]
    changes = yaml.safe_load((ROOT / COLLECTION / "changelogs/changelog.yaml").read_text())
    if info["version"] not in changes["releases"]:
        wrong.append(f"the changelog has no release {info['version']}: run antsibull-changelog release")
    if fragments := list((ROOT / COLLECTION / "changelogs/fragments").glob("*.yml")):
        sentence = f"the changelog of {info['version']} lacks {len(fragments)} fragments, of changes after it"
        if is_tagged(info["version"]):
            wrong.append(f"{sentence}, which this tag would ship: raise the version, see CONTRIBUTING.md")
        else:
            print(f"release: {sentence}; this commit is not tagged, so nothing is wrong", file=sys.stderr)
    if info["repository"] is None:
        wrong.append("galaxy.yml does not say where the repository is")
    return wrong


def check_alone(tarball: Path) -> list[str]:
    """What does not work where only the tarball is installed, in sentences."""
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {"ANSIBLE_HOME": f"{scratch}/.ansible", "ANSIBLE_COLLECTIONS_PATH": f"{scratch}/c"}

        def works(program: str, *words: str) -> None:
            done = subprocess.run(
                [BIN / program, *words],
                cwd=scratch,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                wrong.append(f"{program} {' '.join(words)} ended with {done.returncode}:\n{done.stdout}")

        works("ansible-galaxy", "collection", "install", str(tarball), "-p", f"{scratch}/c", "--offline")
        works("ansible-galaxy", "collection", "verify", "mec.migration", "--offline")
        playbooks = [name for name in tracked() if name.startswith("playbooks/") and name.count("/") == 1]
        for playbook in sorted(Path(name).stem for name in playbooks):
            works("ansible-playbook", "-i", "localhost,", "--syntax-check", f"mec.migration.{playbook}")
        works("ansible-doc", *(f"mec.migration.{name}" for name in MODULES))
        works("ansible-doc", "-t", "role", "mec.migration.migrate", "mec.migration.edge_host")
    return wrong


def main() -> int:
    output = Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    output.mkdir(parents=True, exist_ok=True)
    tarball = build(output)
    wrong = check_content(tarball) + check_alone(tarball)
    for sentence in wrong:
        print(f"release: {sentence}", file=sys.stderr)
    print(tarball)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
