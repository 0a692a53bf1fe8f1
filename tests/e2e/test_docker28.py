"""Docker 28 connects the network only after the runtime's create: the move must work there, too."""

from __future__ import annotations

import pytest

from .conftest import Serve

pytestmark = pytest.mark.docker28


def test_redis_there_and_back(serve: Serve) -> None:
    redis = serve("redis", client=["--preload-mib=64"])
    version = redis.source.docker("version", "--format", "{{.Server.Version}}")
    assert int(version.split(".")[0]) >= 28, f"this testbed has Docker {version}; bring one up with forky"
    for there in (redis.target, redis.source):
        redis.move(there)
        assert there.docker("exec", "redis", "redis-cli", "ping") == "PONG"
    account = redis.lost_nothing()
    assert account["same_process"]
    assert len(account["switches"]) == 2
