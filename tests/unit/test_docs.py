"""What the documentation points to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *COLLECTION.glob("*.md"),
    *COLLECTION.glob("docs/*.md"),
]
# Where the names of files in the pages for developers may count from.
PLACES = (
    *(ROOT, COLLECTION, COLLECTION / "plugins", COLLECTION / "playbooks"),
    *(COLLECTION / "plugins/module_utils", COLLECTION / "plugins/plugin_utils"),
    COLLECTION / "roles/edge_host/files",
    # A second file beside one that is named in full.
    *(COLLECTION / "plugins/module_utils/service", COLLECTION / "plugins/module_utils/preflight"),
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [one for one in links if "://" not in one and not (page.parent / one).exists()] == []


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|yml|json))`", (ROOT / name).read_text()))
    assert len(named) > 10
    assert {one for one in named if not any((place / one).exists() for place in PLACES)} == set()


def test_each_package_is_in_the_picture() -> None:
    picture = (ROOT / "docs/architecture.md").read_text()
    packages = {
        path.name
        for utils in ("module_utils", "plugin_utils")
        for path in (COLLECTION / "plugins" / utils).iterdir()
        if path.is_dir() and any(path.glob("*.py"))
    }
    assert {one for one in packages if not re.search(rf"\d {one} ", picture)} == set()
