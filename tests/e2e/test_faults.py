"""Whatever breaks: at most one copy runs, the client loses nothing, and the next migration works."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Serve
from .edge import SMALL, Host, Lab, Play, Service, kill_group, wait_for

# Slow enough that a round, or the frozen window of a busy service, lasts for seconds.
SLOW_MBIT = 100
KILL_RECEIVER = "kill -9 $RECEIVER"
KILL_HANDOVER = "kill -9 $HANDOVER"
KILL_DOCKERD = "pkill -9 -x dockerd"
RUNS_ON = "redis is running on edge-a"
# Of module_utils/base/crash_points.py.
ARMED_FILE = "/run/mec-migration/crash-point"
RESTORING = "journal:target:restoring"
GATE = "[c]riu_gate.py"


@pytest.fixture
def redis(serve: Serve) -> Service:
    return serve("redis", client=["--preload-mib=32"])


@pytest.fixture
def busy(serve: Serve, source: Host) -> Service:
    """The load generator behind a slow link: its frozen window lasts for seconds."""
    service = serve("load", MEMORY_MIB="32", DIRTY_PAGES="3000")
    source.slow_down(SLOW_MBIT)
    return service


class InTheRestore:
    """A command on the target in the midst of the restore, which is held for it: it is over in no time.

    :param ends_it: the fault must end the restore, so there is nothing to let go afterwards.
    """

    def __init__(self, target: Host, command: str, *, ends_it: bool = False) -> None:
        self._held = target.when("gate", f"pkill -STOP -f {GATE}")
        ended = f"for _ in $(seq 600); do pgrep -f {GATE} > /dev/null || exit 0; sleep 0.1; done; exit 1"
        # Where the fault kills an agent, its guard may have ended the restore already.
        afterwards = ended if ends_it else f"pkill -CONT -f {GATE} || true"
        self._then = target.when(RESTORING, f"{command}; {afterwards}")

    def fired(self, play: Play) -> None:
        self._held.fired(play)
        self._then.fired(play)


def delete_binary(service: Service) -> str:
    """Takes the service's program away in the file system of the container that waits on the target."""
    pid = service.source.inspect(service.name)["State"]["Pid"]
    program = service.source.run(f"readlink /proc/{pid}/exe").strip()
    roots = "$(awk '$2 ~ /merged$/ {print $2}' /proc/mounts)"
    return f"for root in {roots}; do rm -f $root{program}; done"


def docker_gets_over_it(service: Service, target: Host) -> None:
    """Docker does not give back the port of a container in whose start its daemon was killed.

    Only its next start does. The preflight says so.
    """
    target.heal()
    if target.run("pgrep -x docker-proxy", check=False):
        service.migrate(target).refused("docker-proxy", "Restart Docker")
        target.restart_docker()


def test_receiver_killed_while_armed(redis: Service, source: Host, target: Host) -> None:
    kill_receiver_while_armed(redis, source, target)


def kill_receiver_while_armed(redis: Service, source: Host, target: Host) -> None:
    fault = target.when("round:1", KILL_RECEIVER)
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused(RUNS_ON)
    redis.goes_on(source)


def test_docker_daemon_killed_while_armed(redis: Service, source: Host, target: Host) -> None:
    fault = target.when("round:1", KILL_DOCKERD)
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused(RUNS_ON, "no longer waits on the target")
    docker_gets_over_it(redis, target)
    redis.goes_on(source)


def test_connection_cut_in_a_round(redis: Service, source: Host, target: Host) -> None:
    source.slow_down(SLOW_MBIT)
    fault = source.when("sending", source.cut_from(target, reset=True))
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused("the connection broke", RUNS_ON)
    redis.goes_on(source)


@pytest.mark.parametrize(
    ("command", "undo"),
    [("docker update --memory 900m --memory-swap 900m", ""), ("docker pause", "docker unpause")],
)
def test_changed_with_docker_in_a_round(
    command: str, undo: str, redis: Service, source: Host, target: Host
) -> None:
    """The container on the target was made before that, and the move would undo it."""
    source.slow_down(SLOW_MBIT)
    fault = source.when("sending", f"{command} redis")
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused("has been changed since its migration began", " ".join(command.split()[:3]))
    if undo:
        assert source.inspect("redis")["State"]["Paused"]
        source.run(f"{undo} redis")
    else:
        assert source.inspect("redis")["HostConfig"]["Memory"] == 900 << 20
    redis.goes_on(source)


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "silence"])
def test_connection_cut_in_the_final_transfer(
    reset: bool, busy: Service, lab: Lab, source: Host, target: Host
) -> None:
    """The source thaws by itself while the network stays cut."""
    fault = source.when("frozen", source.cut_from(target, reset=reset))
    failed = busy.migrate(target, migrate_tracker="compare", migrate_max_rounds=2)
    fault.fired(failed)
    failed.refused("was thawed and runs on this host")
    assert lab.runs_on() == [source.name]
    busy.goes_on(source)


def test_handover_killed_while_frozen(busy: Service, source: Host, target: Host) -> None:
    """Its guard thaws the service."""
    fault = source.when("frozen", KILL_HANDOVER)
    failed = busy.migrate(target, migrate_tracker="compare", migrate_max_rounds=2)
    fault.fired(failed)
    failed.refused()
    busy.goes_on(source)


def meanwhile(source: Host, point: str, command: str) -> subprocess.Popen[str]:
    """Runs a command on the source while its agent is stopped at a crash point."""
    source.run(f"umask 077; mkdir -p /run/mec-migration; echo {point} stop > {ARMED_FILE}")
    return source.spawn(
        f"while [ -e {ARMED_FILE} ]; do sleep 0.01; done; sleep 0.2; {command}; sleep 1; "
        "for stat in $(grep -ls ' (python3) T ' /proc/[0-9]*/stat); do "
        "p=${stat%/stat}; kill -CONT ${p#/proc/}; done"
    )


@pytest.mark.parametrize(
    ("options", "command", "said", "state"),
    [
        (
            ["--restart", "always"],
            "kill -9 $PID",
            # By Docker, if it notes the end once the policy is there.
            "anew: its restart policy is always",
            "running",
        ),
        (
            ["--restart", "no"],
            "kill -9 $PID",
            "it has ended (exit code 137), and stays so: its restart policy is no",
            "exited",
        ),
        (
            ["--restart", "on-failure:3"],
            "docker kill load",
            "it was stopped with Docker (docker stop or docker kill; exit code 137), and stays so",
            "exited",
        ),
        (
            ["--restart", "no", "--rm"],
            "docker kill load",
            "Docker has removed it, as it was started with --rm",
            "absent",
        ),
        (["--restart", "always"], "docker rm -f load", "somebody has removed it (docker rm)", "absent"),
    ],
    ids=["started anew", "no policy", "docker kill", "removes itself", "docker rm"],
)
def test_a_service_that_is_killed_in_the_hand_over_is_treated_as_docker_does(
    options: list[str], command: str, said: str, state: str, serve: Serve, source: Host, target: Host
) -> None:
    """Its policy is "no" at that moment, so Docker leaves it: who gives the policy back does what it says."""
    service = serve("load", docker=options, MEMORY_MIB="16", DIRTY_PAGES="10")
    before = source.inspect("load")
    died = before["State"]["Pid"]
    killer = meanwhile(source, "source/first/cgroup.freeze/after", command.replace("$PID", str(died)))
    failed = service.migrate(target)
    killer.communicate(timeout=60)
    failed.refused("The service did not go on here: ", said, f". load is {state} on edge-a.")
    assert "resolve" not in failed.text
    assert source.state("load") == state
    if state != "absent":
        now = source.inspect("load")
        assert now["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]
        assert now["State"]["Pid"] != died
    assert (target.running(), target.leftovers()) == ([], [])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("timeout 2 docker stop --time 60 load", "it was sent SIGTERM there (docker stop"),
        ("docker kill load", "it was sent SIGKILL there (docker stop"),
        ("docker rm -f load", "it was sent SIGKILL there and its container was removed there (docker stop"),
    ],
    ids=["docker stop", "docker kill", "docker rm"],
)
def test_what_is_done_to_the_frozen_service_after_the_mark_is_told(
    command: str, said: str, serve: Serve, source: Host, target: Host
) -> None:
    """It runs on the target already, and whoever did it must hear that."""
    service = serve("load", MEMORY_MIB="16", DIRTY_PAGES="10")
    killer = meanwhile(source, "source/last/journal.handed_over/before", command)
    moved = service.migrate(target)
    killer.communicate(timeout=60)
    moved.ok()
    assert f"while it was frozen on the source {said}" in moved.text
    service.lost_nothing()
    assert (source.state("load"), target.state("load")) == ("absent", "running")


def test_restore_fails_on_the_target(redis: Service, source: Host, target: Host) -> None:
    fault = target.when("round:1", delete_binary(redis))
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused("could not restore", RUNS_ON, "CRIU said:", "Error")
    redis.goes_on(source)


def test_no_space_left_on_the_target(redis: Service, source: Host, target: Host) -> None:
    for host in (source, target):
        host.run(f"mkdir -p {SMALL} && mount -t tmpfs -o size=256m,mode=0700 mec-small {SMALL}")
    source.slow_down(SLOW_MBIT)
    fault = target.when(f"round:1:{SMALL}", f"head -c 300M /dev/zero > {SMALL}/fill || true")
    failed = redis.migrate(target, migrate_images_dir=SMALL)
    fault.fired(failed)
    failed.refused("No space left on device", "larger tmpfs", RUNS_ON)
    assert target.run(f"ls -A {SMALL}").split() == ["fill"]
    redis.goes_on(source)


def test_controller_killed_in_precopy(redis: Service, lab: Lab, source: Host, target: Host) -> None:
    """The agents do not need it: they bring the move to its end."""
    source.slow_down(SLOW_MBIT)
    fault = target.when("round:1", "true")
    controller = lab.start("migrate", service="redis", target=target.name)
    fault.fired()
    kill_group(controller)
    controller.communicate()
    wait_for("it runs on the target", lambda: lab.runs_on() == [target.name])
    wait_for("nothing is left", lambda: source.leftovers() + target.leftovers() == [])
    assert source.state("redis") == "absent"
    redis.goes_on(target)


def test_controller_killed_in_a_hook(
    redis: Service, lab: Lab, source: Host, target: Host, tmp_path: Path
) -> None:
    """Without it nobody can say that the hook is done; whoever moves the service next takes over."""
    hook = tmp_path / "before.yml"
    hook.write_text("- name: Wait for somebody\n  ansible.builtin.pause:\n    seconds: 600\n")
    hooks = {"before_handover": str(hook)}
    controller = lab.start("migrate", service="redis", target=target.name, migrate_hooks=hooks)
    after = 'grep -l \'"phase": "after pre-copy"\' /var/lib/mec-migration/*.source.json'
    wait_for("pre-copy has ended", lambda: source.run(after, check=False))
    kill_group(controller)
    controller.communicate()
    assert lab.runs_on() == [source.name]
    # As long as an agent may be idle between two steps of a play that still runs.
    time.sleep(62)
    redis.goes_on(source)


def test_answer_lost_and_the_target_runs_it(redis: Service, lab: Lab, source: Host, target: Host) -> None:
    fault = InTheRestore(target, target.cut_from(source, reset=False))
    failed = redis.migrate(target, migrate_answer_timeout_s=3)
    fault.fired(failed)
    failed.refused("mec.migration.resolve", "no one can know")
    redis.is_in_doubt()
    assert lab.runs_on() == [target.name]
    # Whom --limit leaves out is asked all the same.
    redis.resolve("--limit", source.name).ok()
    assert source.state("redis") == "absent"
    redis.goes_on(target)


def test_answer_lost_and_the_restore_failed(redis: Service, lab: Lab, source: Host, target: Host) -> None:
    broken = target.when("round:1", delete_binary(redis))
    fault = InTheRestore(target, target.cut_from(source, reset=False))
    failed = redis.migrate(target, migrate_answer_timeout_s=3)
    broken.fired(failed)
    fault.fired(failed)
    failed.refused("mec.migration.resolve", "no one can know")
    redis.is_in_doubt()
    assert lab.runs_on() == []
    redis.resolve().ok()
    redis.goes_on(source)


def test_receiver_killed_after_the_mark(redis: Service, source: Host, target: Host) -> None:
    """The target's copy may have served somebody, so only the operator can give it up."""
    fault = InTheRestore(target, KILL_RECEIVER)
    failed = redis.migrate(target, migrate_answer_timeout_s=3)
    fault.fired(failed)
    failed.refused("mec.migration.resolve")
    redis.is_in_doubt()
    redis.resolve().refused("resolve_from_older_state=true", "would be lost")
    redis.is_in_doubt()
    redis.resolve(resolve_from_older_state="true").ok()
    redis.goes_on(source)


def test_docker_daemon_killed_after_the_mark(redis: Service, lab: Lab, source: Host, target: Host) -> None:
    """Its next one could not take the service over, so the restore is ended before the service runs."""
    fault = InTheRestore(target, KILL_DOCKERD, ends_it=True)
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused("gave up its start", RUNS_ON)
    assert lab.runs_on() == [source.name]
    docker_gets_over_it(redis, target)
    redis.goes_on(source)


def test_resolve_fails_where_nobody_answers(lab: Lab) -> None:
    lab.play("resolve", service="redis", ansible_port=1).refused(
        "nothing is known of redis", "nothing was done"
    )


def test_an_unhealthy_copy_is_kept_by_resolve(serve: Serve, source: Host, target: Host) -> None:
    """It is complete and has served clients: that its own check does not like it is no reason to go back."""
    health = ["--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1"]
    redis = serve("redis", docker=health)
    fault = target.when("journal:target:filled", "docker exec redis touch /sick")
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused("unhealthy by its own health check", "mec.migration.resolve")
    redis.is_in_doubt()
    redis.resolve().ok()
    assert source.state("redis") == "absent"
    assert target.inspect("redis")["State"]["Health"]["Status"] == "unhealthy"
    target.docker("exec", "redis", "rm", "/sick")
    redis.goes_on(target)
