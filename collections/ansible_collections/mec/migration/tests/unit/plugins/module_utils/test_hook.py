# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the hand-over: what it is told, and that its failure is no failure of the move."""

from __future__ import annotations

import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.target.hook import Hook, published_ports


def test_it_is_told_what_it_needs(tmp_path):
    out = tmp_path / "out"
    hook = Hook(
        ["sh", "-c", f'echo "$MEC_SOURCE $MEC_PORTS $0" > {out}', "it's"], 60, {"MEC_SOURCE": "edge-a"}
    )
    done = hook.run(MEC_PORTS="6379:6379/tcp")
    assert done.error == ""
    assert done.ms > 0
    assert out.read_text() == "edge-a 6379:6379/tcp it's\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sh", "-c", "echo no such address; exit 3"], "sh ended with 3: no such address"),
        (["/no/such/program"], "/no/such/program could not be started"),
        (["sh", "-c", "kill -9 $$"], "sh ended with -9"),
    ],
)
def test_a_failure_is_told(argv, words):
    assert words in Hook(argv, 60, {}).run().error


def test_one_that_hangs_is_ended_with_its_children():
    # A slow machine may not have begun it after the shortest.
    for seconds in (0.2, 2, 20):
        start = time.monotonic()
        done = Hook(["sh", "-c", "echo begun; sleep 120 & wait"], seconds, {}).run()
        assert f"was ended after {seconds} s: " in done.error
        assert time.monotonic() - start < seconds + 60
        if "begun" in done.error:
            break
    assert done.error.endswith("begun\n")


@pytest.mark.parametrize(
    ("seconds", "ends", "error"), [(60, "exit 0", ""), (2, "sleep 120", "was ended after 2 s")]
)
def test_what_it_leaves_running_in_a_session_of_its_own_is_not_waited_for(seconds, ends, error):
    """As a daemon is, which has its output open for as long as it runs."""
    start = time.monotonic()
    done = Hook(["sh", "-c", f"setsid sleep 300 & echo $!; {ends}"], seconds, {}).run()
    assert time.monotonic() - start < 100
    assert error in done.error
    assert bool(done.error) == bool(error)


def test_of_much_output_the_end_is_told():
    done = Hook(["sh", "-c", "yes 0123456789 | head -c 1100000; echo the end; exit 1"], 60, {}).run()
    assert done.error.startswith("sh ended with 1: ")
    assert done.error.endswith("0123456789\nthe end")
    assert len(done.error) < 600


def test_ports_are_written_as_docker_does():
    bindings = {
        "6379/tcp": [{"HostIp": "", "HostPort": "6379"}],
        "53/udp": [{"HostPort": "5353"}],
        "1/tcp": None,
    }
    spec = {"create": {"HostConfig": {"PortBindings": bindings}}}
    assert published_ports(spec) == "6379:6379/tcp 5353:53/udp"
    assert published_ports({"create": {"HostConfig": {}}}) == ""
