"""Writes the collection's docs/compatibility.md, from the table of kinds. Run it after each change there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
PAGE = COLLECTION / "docs/compatibility.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.mec.migration.plugins.module_utils.service.inventory import KINDS
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import (
    KEPT,
    REFUSED,
    SAID,
    UNSEEN,
    Kind,
)

HEAD = """\
# What a container may hold, and what becomes of it

The preflight looks at all processes of the container, from outside and without stopping them, and compares
both hosts. What cannot move it refuses by name, before anything is sent; what a user can live with it says
as a warning. What appears between the preflight and the freeze is found by the dump: the service is thawed,
runs on, and the message names the cause.

This page is made from the table that the preflight goes by: `python tests/quality/compatibility_page.py`.
"""
PARTS = (
    (KEPT, "Kept", "It is the same on the target."),
    (REFUSED, "Refused", "The move ends before anything is sent, with process, thing and remedy."),
    (SAID, "Said", "The move goes on, with a warning."),
    (
        UNSEEN,
        "Lost, and not seen",
        "Nothing outside the process can tell, or nobody looks; so it is told here.",
    ),
)


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _test(kind: Kind) -> str:
    return f"`{kind.test.rpartition('/')[2]}`" if kind.test else ""


def _rows(outcome: str) -> Iterator[str]:
    kinds = [kind for kind in KINDS if kind.outcome == outcome]
    if outcome == KEPT:
        yield "| what | test |"
        yield "|---|---|"
        for kind in kinds:
            yield f"| {_cell(kind.title)} | {_cell(_test(kind))} |"
        return
    yield "| what | recognised by | why, and what to do | test |"
    yield "|---|---|---|---|"
    for kind in kinds:
        advice = " ".join(filter(None, (_sentence(kind.reason), _sentence(kind.remedy))))
        yield f"| {_cell(kind.title)} | {_cell(kind.recognised)} | {_cell(advice)} | {_cell(_test(kind))} |"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for outcome, title, what in PARTS:
        parts.append(f"\n## {title}\n\n{what}\n\n" + "\n".join(_rows(outcome)) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
