"""Each test here gives damaged input to a reader for some seconds: FUZZ_SECONDS, 5 unless said."""

from __future__ import annotations

import os

import pytest

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))


@pytest.fixture
def seconds():
    """How long one test tries."""
    return SECONDS
