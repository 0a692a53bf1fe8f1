"""One agent a host owns a migration: a second start is refused, and a first one can be cancelled."""

from __future__ import annotations

import pytest

from .conftest import Serve
from .edge import Host, Lab, kill_group, wait_for

SLOW_MBIT = 20


@pytest.mark.parametrize("second_starts", ["with the first", "while the first sends"])
def test_two_starts_of_one_move(
    second_starts: str, lab: Lab, serve: Serve, source: Host, target: Host
) -> None:
    redis = serve("redis", client=["--preload-mib=32"])
    # The first must not end before the second has come to the lock, however slow the machine is.
    source.slow_down(SLOW_MBIT)
    sending = source.when("sending", "true")
    first = lab.start("migrate", service="redis", target=target.name)
    if second_starts == "while the first sends":
        sending.fired()
    second = lab.migrate("redis", target)
    output, _ = first.communicate(timeout=600)
    told = {first.returncode: " ".join(output.split()), second.code: second.text}
    assert sorted([first.returncode == 0, second.code == 0]) == [False, True], output + second.output
    (refusal,) = [text for rc, text in told.items() if rc]
    assert "is being moved already: migration redis-" in refusal
    assert "Nothing of it was touched" in refusal
    assert lab.runs_on() == [target.name]
    assert source.leftovers() + target.leftovers() == []
    redis.goes_on(target)


def test_a_migration_is_cancelled(lab: Lab, serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=32"])
    source.slow_down(SLOW_MBIT)
    sending = source.when("sending", "true")
    moving = lab.start("migrate", service="redis", target=target.name)
    sending.fired()
    cancelled = lab.play("cancel", service="redis").ok()
    assert "is cancelled; redis is running on edge-a" in " ".join(cancelled.text.split())
    output, _ = moving.communicate(timeout=600)
    assert moving.returncode != 0
    assert "the migration was cancelled" in " ".join(output.split())
    assert source.leftovers() + target.leftovers() == []
    redis.goes_on(source)


def test_what_a_dead_controller_began_is_cancelled(
    lab: Lab, serve: Serve, source: Host, target: Host
) -> None:
    redis = serve("redis", client=["--preload-mib=32"])
    source.slow_down(SLOW_MBIT)
    sending = source.when("sending", "true")
    moving = lab.start("migrate", service="redis", target=target.name)
    sending.fired()
    kill_group(moving)
    moving.communicate()
    lab.migrate("redis", target).refused(
        "is being moved already", "in phase pre-copy", "mec.migration.cancel"
    )
    lab.play("cancel", service="redis").ok()
    wait_for("nothing is left", lambda: source.leftovers() + target.leftovers() == [])
    redis.goes_on(source)
