"""End-to-end tests on a testbed of real edge hosts: `make e2e`."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.edge")
