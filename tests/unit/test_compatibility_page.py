"""The page about what a container may hold is that of the table, and the tests that it names are there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import KINDS
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import UNSEEN

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "quality"))

from compatibility_page import COLLECTION, PAGE, ROOT, page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/quality/compatibility_page.py"


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_kind_names_a_test_that_is_there(kind):
    if not kind.test:
        assert kind.outcome == UNSEEN
        return
    path, _sep, name = kind.test.partition("::")
    files = [base / path for base in (COLLECTION, ROOT) if (base / path).is_file()]
    assert files, path
    assert f"def {name}(" in files[0].read_text(encoding="utf-8")
