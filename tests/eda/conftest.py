"""Which testbed the rulebook's services live on."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--inventory",
        default="inventories/lab",
        help="directory of the testbed's inventory, its hosts prepared",
    )
