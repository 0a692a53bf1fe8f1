"""Docker 28 connects the network only after the runtime's create: the move must work there, too.

The testbed's first host keeps images in overlay2, its second in containerd: so this is the mixed pair, too.
"""

from __future__ import annotations

import pytest

from .conftest import Serve

pytestmark = pytest.mark.docker28


def test_redis_there_and_back(serve: Serve) -> None:
    redis = serve("redis", client=["--preload-mib=64"])
    version = redis.source.docker("version", "--format", "{{.Server.Version}}")
    assert int(version.split(".")[0]) >= 28, f"this testbed has Docker {version}; bring one up with forky"
    stores = [host.docker("info", "--format", "{{.Driver}}") for host in (redis.source, redis.target)]
    assert stores == ["overlay2", "overlayfs"], stores
    for there in (redis.target, redis.source):
        redis.move(there)
        assert there.docker("exec", "redis", "redis-cli", "ping") == "PONG"
    account = redis.lost_nothing()
    assert account["same_process"]
    assert len(account["switches"]) == 2
