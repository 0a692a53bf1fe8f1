"""What may befall a move: each fault comes once, at a moment and to a host that the dice say."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from typing import NamedTuple

from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from crash.run import NEEDS_NO_IMAGE
from crash.service import Moved
from e2e.edge import ON_HOST, Host, Play, kill_group

LIVE_RESTORE = """python3 - <<'END'
import json
path = "/etc/docker/daemon.json"
kept = json.load(open(path))
kept["live-restore"] = {on}
open(path, "w").write(json.dumps(kept, indent=4))
END
pkill -HUP -x dockerd; sleep 1"""
# Of a file system that will be full.
SMALL_MIB = 256


class Scene(NamedTuple):
    """One move that a fault may strike.

    :ivar precious: something on the target must not be started anew, or may not be by then.
    """

    service: Moved
    source: Host
    target: Host
    precious: bool
    dice: random.Random


class Fault:
    """Comes once after the move was started; :meth:`heal` undoes what is left of it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        # While most moves last.
        self.after_s = scene.dice.uniform(0, 8)
        # Whether it came before the move was over.
        self.struck = False
        self.host = scene.dice.choice([scene.source, scene.target])
        self.second: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Before the move."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        """*after_s* seconds after its start."""

    def heal(self) -> None:
        """After the move."""

    def clear(self) -> None:
        """After all is settled."""

    def kind(self) -> str:
        return type(self).__name__

    def detail(self) -> str:
        """Which one of its kind."""
        return f"on {self.host.name}"


class NoFault(Fault):
    """The move is left alone."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.struck = False

    def detail(self) -> str:
        return ""


class AgentKilled(Fault):
    """An agent, at any moment of its life."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.after_s = 0.0
        # That of the source can be told from others only while it sends memory.
        self.age_s = scene.dice.uniform(0, 1 if self.host is scene.source else 4)

    def strike(self, controller: subprocess.Popen[str]) -> None:
        role = "handover" if self.host is self.scene.source else "receiver"
        killed = self.host.run(
            f"for i in $(seq 80); do pid=$(python3 {ON_HOST} pid {role} 2>/dev/null) && break; sleep 0.05; "
            "done; "
            f'[ -n "$pid" ] && sleep {self.age_s:.3f} && kill -9 $pid && echo it',
            check=False,
        )
        self.struck = "it" in killed.splitlines()


class AgentKilledAtAPoint(Fault):
    """An agent, at one of the crash points."""

    fault = crash_points.KILL

    def prepare(self) -> None:
        side = "source" if self.host is self.scene.source else "target"
        # Each host has the image.
        points = [
            point
            for point in crash_points.points()
            if point.startswith(side) and not any(word in point for word in NEEDS_NO_IMAGE)
        ]
        self.point = self.scene.dice.choice(points)
        self.host.run(f"umask 077; echo {self.point} {self.fault} > {crash_points.ARMED_FILE}")

    def heal(self) -> None:
        self.struck = self.host.run(f"ls {crash_points.ARMED_FILE} 2>/dev/null", check=False) == ""
        self.host.run(f"rm -f {crash_points.ARMED_FILE}")

    def detail(self) -> str:
        return self.point


class CallFails(AgentKilledAtAPoint):
    """A message, journal write, call of Docker or of CRIU fails."""

    fault = crash_points.ERROR


class DockerKilled(Fault):
    """The target's Docker daemon, or with live-restore that of either host, by SIGKILL; it comes back."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        # Without live-restore a daemon that starts ends the containers that its dead one has left.
        self.live = scene.precious or scene.dice.random() < 0.5
        self.host = self.host if self.live else scene.target

    def prepare(self) -> None:
        self.host.run(LIVE_RESTORE.format(on=self.live))

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run("pkill -9 -x dockerd", check=False)

    def heal(self) -> None:
        self.host.heal()
        self.host.run(LIVE_RESTORE.format(on=False))

    def kind(self) -> str:
        return f"DockerKilled {'with' if self.live else 'without'} live-restore"


class NetworkCut(Fault):
    """Between the hosts, for some seconds or until the move has ended."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.reset = scene.dice.random() < 0.5

    def prepare(self) -> None:
        peer = self.scene.target if self.host is self.scene.source else self.scene.source
        self.cut = self.host.cut_from(peer, reset=self.reset)

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run(self.cut)
        if self.scene.dice.random() < 0.5:
            time.sleep(self.scene.dice.uniform(0.2, 6))
            self.host.heal()

    def heal(self) -> None:
        self.host.heal()

    def kind(self) -> str:
        return f"NetworkCut by {'reset' if self.reset else 'drop'}"


class Full(Fault):
    """A file system of a host is small, and soon full."""

    directory = ""

    def prepare(self) -> None:
        # What is in it stays there.
        self.host.run(
            f"set -e; kept=$(mktemp -d); cp -a {self.directory}/. $kept; "
            f"mount -t tmpfs -o size={SMALL_MIB}m,mode=0700 mec-soak {self.directory}; "
            f"cp -a $kept/. {self.directory}; rm -r $kept"
        )

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run(f"head -c {SMALL_MIB}M /dev/zero > {self.directory}/fill", check=False)

    def heal(self) -> None:
        self.host.run(f"rm -f {self.directory}/fill")

    def clear(self) -> None:
        self.host.run(f"umount --lazy {self.directory}")

    def detail(self) -> str:
        return f"{self.directory} on {self.host.name}"


class ImagesFull(Full):
    """Below /run/mec-migration of the target."""

    directory = "/run/mec-migration"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.host = scene.target


class VarFull(Full):
    """That of the journals of either host, or that of what the target puts into the container."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.directory = scene.dice.choice(["/var/lib/mec-migration", "/var/lib/docker/tmp"])
        if "docker" in self.directory:
            self.host = scene.target


class ControllerKilled(Fault):
    """The playbook and all that it has started on the controller."""

    def detail(self) -> str:
        return f"after {self.after_s:.1f} s"

    def strike(self, controller: subprocess.Popen[str]) -> None:
        if controller.poll() is None:
            kill_group(controller)


class TwoOperators(Fault):
    """Somebody else moves the service, too."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        hosts = [host for host in scene.service.hosts if host is not scene.source]
        self.host = scene.dice.choice(hosts)

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.second = self.scene.service.start_move(self.scene.source, self.host)

    def heal(self) -> None:
        if self.second is not None:
            self.second.communicate(timeout=300)


FAULTS: list[tuple[type[Fault], int]] = [
    (NoFault, 3),
    (AgentKilled, 2),
    (AgentKilledAtAPoint, 3),
    (CallFails, 2),
    (DockerKilled, 2),
    (NetworkCut, 2),
    (ImagesFull, 1),
    (VarFull, 2),
    (ControllerKilled, 2),
    (TwoOperators, 2),
]


def struck(fault: Fault) -> Play:
    """The move, and the fault in its course."""
    scene = fault.scene
    began = time.monotonic()
    controller = scene.service.start_move(scene.source, scene.target)

    def strike() -> None:
        fault.struck = True
        fault.strike(controller)

    timer = threading.Timer(fault.after_s, strike)
    timer.start()
    output, _ = controller.communicate(timeout=400)
    timer.cancel()
    timer.join()
    return Play(controller.returncode, output, 0, time.monotonic() - began)
