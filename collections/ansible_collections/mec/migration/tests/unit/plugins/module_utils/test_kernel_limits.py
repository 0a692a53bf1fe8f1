# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real processes take of what a kernel limits, beside the limits of a target."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel import kernel_limits
from ansible_collections.mec.migration.plugins.module_utils.preflight.limits import (
    MAPPINGS_OF_RESTORE,
    limit_problems,
)
from ansible_collections.mec.migration.plugins.module_utils.preflight.pair import Pair
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
from test_holdings import Victim
from test_preflight import container, host, only

# A mapping of which every second page may not be written is many mappings.
PROGRAM = """
import ctypes, mmap, resource, tempfile
libc = ctypes.CDLL(None, use_errno=True)
def directory():
    keep.append(tempfile.TemporaryDirectory())
    return keep[-1].name.encode()
instances = [libc.inotify_init() for _ in range(2)]
for number in range(100):
    assert libc.inotify_add_watch(instances[number % 2], directory(), 2) > 0
memory = mmap.mmap(-1, 2000 * mmap.PAGESIZE)
first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, 2000, 2):
    assert not libc.mprotect(ctypes.c_void_p(first + page * mmap.PAGESIZE), mmap.PAGESIZE, mmap.PROT_READ)
setup = {"x86_64": 206, "aarch64": 0}[os.uname().machine]
for _ in range(3):
    assert not libc.syscall(setup, 500, ctypes.byref(ctypes.c_ulong(0)))
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 700))
"""


@pytest.fixture(scope="module")
def service():
    with Victim(PROGRAM) as victim:
        return container("redis")._replace(inventory=judge("redis", victim.holdings()))


def problems(service, **limits):
    target = host("east")
    target["limits"].update(limits)
    return list(limit_problems(Pair(host("west"), target, service)))


def need(service, limit):
    (found,) = [one.amount for one in service.inventory.needs if one.limit == limit]
    return found


def test_what_a_service_takes(service):
    assert need(service, kernel_limits.INSTANCES) == 2
    assert need(service, kernel_limits.WATCHES) == 100
    assert need(service, kernel_limits.DESCRIPTORS) == 700
    assert 2000 < need(service, kernel_limits.MAPPINGS) < 2500
    # The kernel rounds a ring up to whole pages, and CRIU asks for all that fits into them.
    assert 1500 <= need(service, kernel_limits.ASYNCHRONOUS_IO) < 1800
    assert problems(service) == []


@pytest.mark.parametrize(
    ("limit", "more"),
    [
        (kernel_limits.INSTANCES, 0),
        (kernel_limits.WATCHES, 0),
        (kernel_limits.DESCRIPTORS, 0),
        (kernel_limits.ASYNCHRONOUS_IO, 0),
        (kernel_limits.MAPPINGS, MAPPINGS_OF_RESTORE),
    ],
)
def test_each_limit_of_the_target(limit, more, service):
    least = need(service, limit) + more
    target = {limit: least - 1}
    said = only(problems(service, **target))
    assert "of container redis " in said or said.startswith("container redis ")
    assert f"east allows {least - 1} ({limit})" in said
    assert f"sysctl -w {limit}=" in said
    assert problems(service, **{limit: least}) == []


def test_what_other_services_use_of_a_limit_counts(service):
    requests = need(service, kernel_limits.ASYNCHRONOUS_IO)
    limits = {kernel_limits.ASYNCHRONOUS_IO: requests + 10, kernel_limits.ASYNCHRONOUS_IO_USED: 10}
    assert problems(service, **limits) == []
    limits[kernel_limits.ASYNCHRONOUS_IO_USED] = 11
    assert "of which others use 11" in only(problems(service, **limits))


def test_a_limit_that_a_kernel_does_not_have_is_left_out(service):
    target = host("east")
    target["limits"] = {}
    assert list(limit_problems(Pair(host("west"), target, service))) == []


def test_the_limits_of_this_machine():
    assert set(kernel_limits.kernel_limits()) == set(kernel_limits.NAMES)
