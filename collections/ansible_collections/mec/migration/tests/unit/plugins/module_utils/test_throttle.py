# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service is slowed down while rounds do not converge, and has again what it had in every ending."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.stop_rule import Moment, StopRule
from ansible_collections.mec.migration.plugins.module_utils.kernel.cpu_quota import CpuQuota
from ansible_collections.mec.migration.plugins.module_utils.source import move as move_module
from ansible_collections.mec.migration.plugins.module_utils.source import precopy as module
from ansible_collections.mec.migration.plugins.module_utils.source.log_copy import LogCopy
from ansible_collections.mec.migration.plugins.module_utils.source.precopy import PreCopy
from ansible_collections.mec.migration.plugins.module_utils.source.throttle import Throttle, processor_seconds

PID = 42
# What /proc/PID/cgroup says, where the files lie, what is in them before, and with one and a half processors.
VERSIONS = {
    "v1": (
        "3:cpu,cpuacct:/docker/x\n0::/\n",
        "cpu,cpuacct/docker/x",
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "50000"},
        "75000",
    ),
    "v2": ("0::/docker/x\n", "docker/x", {"cpu.max": "max 100000"}, "150000 100000"),
    "limited": ("0::/docker/x\n", "docker/x", {"cpu.max": "90000 40000"}, "60000 40000"),
}


@pytest.fixture(params=list(VERSIONS))
def host(request, tmp_path):
    line, directory, files, limited = VERSIONS[request.param]
    (tmp_path / "proc" / str(PID)).mkdir(parents=True)
    (tmp_path / "proc" / str(PID) / "cgroup").write_text(line)
    place = tmp_path / "cgroup" / directory
    place.mkdir(parents=True)
    for name, value in files.items():
        (place / name).write_text(value + "\n")
    first, before = next(iter(files.items()))

    def quota(pid):
        return CpuQuota(pid, str(tmp_path / "cgroup"), str(tmp_path / "proc"))

    # A file of the kernel takes what is written as a whole; this one keeps what is longer.
    return SimpleNamespace(
        quota=quota,
        file=place / first,
        before=before,
        limited=limited,
        read=lambda: (place / first).read_text().strip(),
    )


def test_a_quota_is_of_processors_and_put_back(host):
    quota = host.quota(PID)
    assert quota.before == host.before
    host.file.write_text("")
    quota.limit(1.5)
    assert host.read() == host.limited
    host.file.write_text("")
    quota.limit(0)
    # The kernel takes no less.
    assert host.read().split()[0] == "1000"
    host.file.write_text("")
    quota.put_back()
    assert host.read() == host.before
    host.file.unlink()
    with pytest.raises(FileNotFoundError):
        quota.put_back()
    assert not host.file.exists()


def test_a_host_without_that_controller(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "cgroup").write_text("0::/\n")
    with pytest.raises(FileNotFoundError, match="no CPU controller"):
        CpuQuota(PID, str(tmp_path), str(tmp_path))


class Quota:
    """Remembers what it was told; its file is real, for the guard."""

    def __init__(self, path, fails=False):
        self.path, self.before, self.fails = str(path), "max 100000", fails
        self.told = []

    def limit(self, processors):
        if self.fails:
            raise PermissionError(1, "Operation not permitted")
        self.told.append(processors)

    def put_back(self):
        self.told.append("put back")


@pytest.fixture
def quota(tmp_path):
    (tmp_path / "cpu.max").write_text("1000 100000")
    return Quota(tmp_path / "cpu.max")


def test_steps_lead_to_the_floor_of_what_it_used(quota, monkeypatch):
    # A clock of its own: how much of a processor we are given meanwhile is not ours to say.
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    throttle = Throttle(lambda: [os.getpid()], 20, lambda pid: quota)
    throttle.watch()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    now[0] = 0.6
    percents = []
    while throttle.lower():
        percents.append(throttle.percent)
    assert percents == [60, 36, 21.6, 20]
    used = quota.told[0] / 0.6
    assert 0.4 < used < 1
    assert quota.told == pytest.approx([used * percent / 100 for percent in percents])
    throttle.put_back()
    throttle.put_back()
    assert quota.told[4:] == ["put back"]
    assert (throttle.percent, throttle.lowest_percent, throttle.obstacle) == (100, 20, "")
    # The child did nothing, for nobody died.
    assert pathlib.Path(quota.path).read_text() == "1000 100000"
    assert throttle.lower()
    throttle.put_back()


def test_what_cannot_be_slowed_is_said_and_left_alone(quota):
    quota.fails = True
    throttle = Throttle(lambda: [os.getpid()], 20, lambda pid: quota)
    assert not throttle.lower()
    assert throttle.obstacle == "the service cannot be slowed down: [Errno 1] Operation not permitted"
    assert quota.told == ["put back"]
    assert not throttle.lower()
    assert Throttle(list, 20, lambda pid: quota).lower() is False


DIES = """
import os, signal, sys
from ansible_collections.mec.migration.plugins.module_utils.source.throttle import Throttle

class Quota:
    path, before = sys.argv[1], "max 100000"
    def limit(self, processors):
        with open(self.path, "w") as file:
            file.write("1000 100000")

throttle = Throttle(lambda: [os.getpid()], 20, lambda pid: Quota())
assert throttle.lower()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_agent_leaves_no_limit(tmp_path):
    path = tmp_path / "cpu.max"
    # ansible-test finds the collection by a loader of its own, which another process does not have.
    collections = str(pathlib.Path(__file__).parents[7])
    found = os.pathsep.join([collections, os.environ.get("PYTHONPATH", "")])
    environment = dict(os.environ, PYTHONPATH=found)
    died = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False, env=environment)
    assert died.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while path.read_text() != "max 100000":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_processors_used_are_counted():
    before = processor_seconds([os.getpid(), 2**22 + 1])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert 0.1 < processor_seconds([os.getpid()]) - before < 1


class Slowed:
    """A throttle without a cgroup: the service writes as fast as it is let."""

    def __init__(self, steps):
        self.percent, self.steps, self.watched = 100.0, list(steps), 0

    def watch(self):
        self.watched += 1

    def lower(self):
        if not self.steps:
            return False
        self.percent = self.steps.pop(0)
        return True


def copy_of(monkeypatch, throttle, pages_per_s, lines):
    """Rounds of a service of 64 MiB at 4 MB/s; each takes as long as it would, without waiting for it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    last = SimpleNamespace(at=0.0, number=0)

    def round_of_memory(channel, processes, most_bytes=0):
        writes = (clock.now - last.at) * pages_per_s * (throttle.percent if throttle else 100) / 100
        changed = 16384 if not last.number else int(min(writes, 16384))
        last.at, last.number = clock.now, last.number + 1
        clock.now += 0.01 + changed * 4096 / 4e6
        return SimpleNamespace(
            number=last.number,
            pages_scanned=changed,
            pages_changed=changed,
            changed_bytes=changed * 4096,
            sent_bytes=changed * 4096,
            frozen_ms=0.0,
        )

    service = SimpleNamespace(processes=dict, memory_bytes=64 << 20, cgroup=SimpleNamespace(pids=list))
    memory = SimpleNamespace(
        between_rounds=lambda: None, looks_at_all=False, round=round_of_memory, acknowledged=lambda: None
    )
    files = SimpleNamespace(
        round=lambda channel, **more: SimpleNamespace(sent_bytes=0, changed_files=0, deleted_files=0),
        in_memory=list,
    )
    copy = PreCopy(service, memory, files, lambda: SimpleNamespace(answer=lambda kind: None))
    copy.throttle = throttle
    copy.progress = lambda **line: lines.append(line)
    return copy


def test_rounds_that_do_not_converge_slow_the_service_down(monkeypatch):
    lines = []
    throttle = Slowed([60.0, 36.0, 21.6])
    copy = copy_of(monkeypatch, throttle, 3000, lines)
    rounds = copy.run(StopRule())
    assert throttle.watched == 1
    assert "no further convergence" not in copy.stop_reason
    assert rounds[0].cpu_percent == 100
    assert rounds[-1].cpu_percent < 60
    assert [line["cpu_percent"] for line in lines if "cpu_percent" in line][:1] == [60.0]
    assert rounds[-1].residual_bytes < rounds[1].residual_bytes / 10


def test_at_the_floor_the_rounds_end(monkeypatch):
    throttle = Slowed([60.0])
    copy = copy_of(monkeypatch, throttle, 30_000, [])
    rounds = copy.run(StopRule(max_rounds=10))
    assert throttle.percent == 60
    assert copy.stop_reason.startswith("no further convergence")
    assert len(rounds) <= 13


def test_without_it_they_end_as_before(monkeypatch):
    copy = copy_of(monkeypatch, None, 3000, [])
    rounds = copy.run(StopRule())
    assert copy.stop_reason.startswith("no further convergence")
    assert {done.cpu_percent for done in rounds} == {100.0}
    assert len(copy_of(monkeypatch, None, 3000, []).run(StopRule(max_rounds=1))) == 1


def test_a_converging_service_is_left_alone(monkeypatch):
    throttle = Slowed([60.0])
    copy_of(monkeypatch, throttle, 100, []).run(StopRule())
    assert throttle.percent == 100


def test_whatever_ends_the_rounds_gives_it_back(monkeypatch):
    service = SimpleNamespace(cgroup=SimpleNamespace(pids=lambda: [os.getpid()]))
    moved = move_module.Move(service, SimpleNamespace(), "/nowhere", LogCopy(None, {}))
    ended = []
    fields = {"throttle": True, "throttle_floor_percent": 30, "postcopy": "never"}
    copy = SimpleNamespace(throttle=None)
    moved._may_slow_down(fields, copy)
    assert copy.throttle is moved._throttle
    monkeypatch.setattr(copy.throttle, "put_back", lambda: ended.append(True))
    moved.end_target("handover.abort", "cancelled")
    moved.close()
    moved._may_slow_down(dict(fields, throttle=False), copy)
    assert ended == [True] * 3
    assert copy.throttle is None
    assert moved._throttled() == {"cpu_percent": 100.0, "throttle_obstacle": ""}


def test_memory_that_takes_long_to_look_at_slows_nobody():
    rule = StopRule(downtime_ms=30)
    assert rule.worth_slowing(Moment(1000, 4096, 4e6, 0.0))
    assert not rule.worth_slowing(Moment(100, 4096, 4e6, 5.0))
    # What is wanted may be longer than what is worth it.
    assert not StopRule(downtime_ms=2000).worth_slowing(Moment(1000, 4096, 4e6, 0.0))
