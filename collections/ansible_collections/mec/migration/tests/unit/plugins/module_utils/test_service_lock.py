# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's lock on a host: one owner, renewed by it, taken over by others once it expired."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.state.service_lock import ServiceLock


@pytest.fixture
def lock(tmp_path: Path) -> ServiceLock:
    return ServiceLock("redis", str(tmp_path / "locks"))


def test_one_owner_at_a_time(lock):
    assert lock.holder() is None
    assert lock.take("one", 60).owner == "one"
    assert lock.take("two", 60).owner == "one"
    assert not lock.release("two")
    assert lock.release("one")
    assert lock.take("two", 60).owner == "two"


def test_its_owner_renews_it(lock):
    lock.take("one", 0.2)
    assert lock.take("one", 60).owner == "one"
    assert lock.holder().expires_in_s > 50


def test_it_is_taken_over_once_it_expired(lock):
    lock.take("one", 0.05)
    time.sleep(0.1)
    assert lock.holder() is None
    assert lock.take("two", 60).owner == "two"
    assert not lock.release("one")
    assert lock.holder().owner == "two"


def test_a_clock_that_was_set_back_does_not_lock_for_ever(lock, tmp_path: Path):
    lock.take("one", 60)
    path = tmp_path / "locks" / "redis.lock"
    path.write_text(json.dumps({**json.loads(path.read_text()), "expires": time.time() + 1e9}))
    assert lock.holder().expires_in_s <= 60


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"owner": "x"}'])
def test_a_damaged_lock_is_free(lock, tmp_path: Path, content):
    lock.take("one", 60)
    (tmp_path / "locks" / "redis.lock").write_text(content)
    assert lock.take("two", 60).owner == "two"


def test_check_mode_takes_nothing(lock):
    assert lock.take("one", 60, check_mode=True).owner == "one"
    assert lock.holder() is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(name, tmp_path: Path):
    with pytest.raises(PreflightError):
        ServiceLock(name, str(tmp_path))


def _race(directory: str, owner: str, won) -> None:
    if ServiceLock("redis", directory).take(owner, 60).owner == owner:
        won.put(owner)


def test_of_many_at_once_one_wins(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    won = context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), str(n), won)) for n in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    winner = won.get(timeout=60)
    assert won.empty()
    holder = ServiceLock("redis", str(tmp_path)).holder()
    assert holder is not None
    assert holder.owner == winner
