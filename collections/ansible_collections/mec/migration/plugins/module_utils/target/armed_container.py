# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container on the target that waits, started as far as Docker can, for the images of its memory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ..base.crash_points import around
from ..base.errors import MigrationError
from ..base.page_ranges import Range
from ..base.paths import ARMED_DIR, RUNTIME_NAME
from ..criu.images import RESTORE_STATS, read_restore_stats
from ..criu.log import cause_line, explain, log_tail
from ..docker.container_networks import plan_endpoints
from ..docker.container_state import ABSENT, FROZEN, RUNNING, container_state, created_container
from ..image.opened import open_store
from ..kernel.cgroup import container_processes, end_container
from ..kernel.processes import start_time
from .runtime_calls import RUNTIME_END_S, end_restore, put_away

RESTORE_LOG = "restore.log"
# Of what this file and the armed runtime say to each other.
PROTOCOL = 6
# The network comes from the target's Docker; connections to the old address cannot be kept.
# Its log of every step costs more than some of the steps; errors and warnings are enough.
CRIU_CONFIG = "tcp-close\nlink-remap\nfile-locks\nghost-limit 1073741824\nverbosity=2\n"


class ArmedContainer:
    """Creates the container, starts it into the armed runtime, restores it, or destroys it.

    :param client: a ``docker.APIClient`` without a read time-out: ``start`` blocks until the restore.
    :param work_dir: on tmpfs; CRIU's log and configuration.
    """

    def __init__(self, client: Any, spec: dict[str, Any], work_dir: str) -> None:
        self._client = client
        self._spec = spec
        self.work_dir = work_dir
        self._listener: socket.socket | None = None
        self._stream: Any = None
        self._connection: socket.socket | None = None
        self._runtime_pid, self._runtime_started = 0, ""
        self._start_error: str | None = None
        self._started = threading.Event()
        self._restoring = False
        self._broken_off = False
        # Seen with an empty cgroup after the last process that could have restored it had ended.
        self.destroyed = False
        self._later: dict[str, Any] = {}
        self._network_error = ""
        self._starting = False
        # An error of Docker's start, of a container that was seen to run all the same.
        self.docker_said = ""
        self.id = ""
        self.rootfs = ""
        self.mount_sources: dict[str, str] = {}

    def create(self, note: Callable[[str], object]) -> None:
        """``docker create`` with the source's configuration, under the armed runtime.

        :param note: is given its id as soon as there is one.
        :raises MigrationError: Docker refused, or *note* failed; nothing is left behind.
        """
        name = self._spec["name"]
        body = dict(self._spec["create"])
        body["HostConfig"] = dict(body["HostConfig"], Runtime=RUNTIME_NAME)
        body["Image"] = self._image(body["Image"])
        try:
            self._create_volumes()
            networks = {name: self._client.inspect_network(name) for name in self._spec["networks"]}
            plan = plan_endpoints(self._spec, self._client.version()["Version"], networks)
            self._later = plan.after_start
            if plan.create:
                body["NetworkingConfig"] = {"EndpointsConfig": plan.create}
            self.id = self._client.create_container_from_config(body, name)["Id"]
            note(self.id)
            self._connect(plan.before_start)
            # Asked now: once it is being started, Docker does not answer questions about it.
            mounts = self._client.inspect_container(self.id)["Mounts"]
            self.mount_sources = {mount["Destination"]: mount["Source"] for mount in mounts}
        except Exception as error:
            with contextlib.suppress(MigrationError):
                # Its answer may be lost, and the container there.
                self.id = self.id or created_container(self._client, name, RUNTIME_NAME)
            self._remove()
            if isinstance(error, MigrationError):
                raise
            raise MigrationError(
                f"Docker did not create container {name} on the target: {_docker_message(error)}",
                phase="arm",
                container_state="absent",
                rolled_back=True,
            ) from error

    def _create_volumes(self) -> None:
        """The volumes that are not there yet, with the options and labels of the source's."""
        there = {volume["Name"] for volume in self._client.volumes().get("Volumes") or []}
        for mount in self._spec["mounts"]:
            if mount["type"] == "volume" and mount["name"] not in there:
                self._client.create_volume(
                    mount["name"],
                    driver=mount["driver"] or "local",
                    driver_opts=mount.get("options"),
                    labels=mount.get("labels"),
                )

    def _connect_later(self) -> None:
        """The service runs already: a network that is missing is told at the end, and no reason to stop."""
        try:
            self._connect(self._later)
        except Exception as error:
            self._network_error = _docker_message(error)

    def _connect(self, endpoints: dict[str, Any]) -> None:
        for network, settings in endpoints.items():
            self._client.connect_container_to_network(self.id, network, **_connect_arguments(settings))

    def _image(self, name: str) -> str:
        """The image by its name, or by the id it has here where the name means another image.

        From the container's creation on Docker keeps the image; until then it may be removed.

        :raises MigrationError: it is not here.
        """
        image_id = str(self._spec["image_id"])
        store = open_store(self._client)
        if store.image_id_of(name) == image_id:
            return name
        image = store.find(image_id)
        if image is None:
            raise MigrationError(
                f"image {image_id} of container {self._spec['name']} is not on the target, or not all of "
                "it. Did something remove images there (`docker image prune`)? Migrate again: what is "
                "missing is sent",
                phase="arm",
                container_state="absent",
                rolled_back=True,
            )
        return image.local_id

    def start(self, timeout_s: float = 60.0) -> None:
        """``docker start``, until the armed runtime waits.

        :raises MigrationError: Docker or the runtime refused; the container is removed again.
        """
        try:
            self._start(timeout_s)
        except Exception as error:
            self.destroy(str(error))
            raise MigrationError(
                f"container {self._spec['name']} could not be armed on the target: {error}",
                phase="arm",
                container_state="absent",
                rolled_back=True,
            ) from error

    def _start(self, timeout_s: float) -> None:
        os.makedirs(ARMED_DIR, mode=0o700, exist_ok=True)
        path = os.path.join(ARMED_DIR, self.id)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(1)
        self._listener.settimeout(0.05)
        self._starting = True
        threading.Thread(target=self._docker_start, daemon=True).start()
        end = time.monotonic() + timeout_s
        while self._stream is None:
            try:
                self._connection, _peer = self._listener.accept()
                self._stream = self._connection.makefile("rw", encoding="utf-8")
            except (TimeoutError, socket.timeout):
                if self._started.is_set() or time.monotonic() > end:
                    raise MigrationError(
                        self._start_error
                        or f"the armed runtime did not report within {timeout_s:g} s; `journalctl -u "
                        "docker` there may tell why"
                    ) from None
        waiting = self._read_event()
        self._runtime_pid = int(waiting["pid"])
        self._runtime_started = start_time(self._runtime_pid)
        if waiting.get("protocol") != PROTOCOL:
            raise MigrationError(
                "the armed runtime there is of another version; apply role mec.migration.edge_host again"
            )
        with open(os.path.join(waiting["bundle"], "config.json"), encoding="utf-8") as config_file:
            self.rootfs = json.load(config_file)["root"]["path"]

    @property
    def waiting(self) -> bool:
        """Whether Docker's start is still waiting for the images."""
        return self._stream is not None and not self._started.is_set()

    @property
    def runs(self) -> bool:
        """Whether processes of it are there, or Docker says so (which it does only after the start)."""
        return bool(container_processes(self.id)) or bool(self._client.containers(filters={"id": self.id}))

    @property
    def start_error(self) -> str:
        return self._start_error or ""

    def prepare(self, images_dir: str, criu_config: str, lazy: bool, timeout_s: float = 60.0) -> None:
        """Start the restore, up to the point where CRIU would read the images.

        :param images_dir: holds ``descriptors.json`` already; the images come later.
        :param criu_config: further lines of CRIU's configuration.
        :param lazy: somebody serves ``lazy-pages.socket`` in the work directory.
        :raises MigrationError: it did not get there; the container is destroyed.
        """
        config = os.path.join(self.work_dir, "criu-restore.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(CRIU_CONFIG + criu_config)
        event = self._order(
            timeout_s,
            command="prepare",
            images=images_dir,
            work=self.work_dir,
            criu_config=config,
            lazy=lazy,
        )
        if event.get("event") != "prepared":
            reason = str(event.get("reason", "the armed runtime gave no answer"))
            if event.get("event") != "failed":
                self._end_restore()
            self.destroy(reason)
            raise MigrationError(
                f"the restore of container {self._spec['name']} could not be prepared: {reason}",
                phase="handover",
                container_state="absent",
                rolled_back=True,
            )

    def allocate(self, segments: list[tuple[str, list[Range]]], timeout_s: float = 60.0) -> None:
        """Make pages of shared memory as processes of the container would; they count as its memory.

        :param segments: path of each, and pairs of start and end.
        :raises OSError: there is no room for them.
        :raises MigrationError: there was so little room that the restore was ended; the container is
            destroyed.
        """
        event = self._order(timeout_s, command="allocate", segments=segments)
        if event.get("event") == "allocated":
            return
        reason = str(event.get("reason", "the armed runtime gave no answer"))
        if event.get("event") == "not allocated":
            raise OSError(reason)
        self._end_restore()
        self.destroy(reason)
        raise MigrationError(
            f"memory that processes of container {self._spec['name']} share could not be made on the target: "
            f"{reason}. Has the container, or the host, memory enough?",
            phase="handover",
            container_state="absent",
            rolled_back=True,
        )

    def restore(self, timeout_s: float) -> dict[str, Any]:
        """Bring the processes back; returns ``restore_ms`` and CRIU's own figures.

        :raises MigrationError: the restore failed, or Docker gave up the start meanwhile. Nothing runs; the
            container is destroyed.
        """
        self._restoring = True
        ordered = self.waiting
        event = self._order(timeout_s, command="restore") if ordered else {"code": -1}
        code = event.get("code")
        if code != 0:
            tail = log_tail(os.path.join(self.work_dir, RESTORE_LOG))
            if ordered:
                self._end_restore()
            self.destroy("restore failed")
            cause = cause_line(tail)
            reason = f"({cause or f'runc restore: {code}'}). {explain(tail)}"
            # The runtime may still have said by which signal its restore ended.
            if self._start_error and (code == -1 or self._broken_off):
                gave_up = f"because Docker there gave up its start: {self._start_error}"
                reason = f"{gave_up} {reason}" if cause else gave_up
            raise MigrationError(
                f"CRIU could not restore container {self._spec['name']} on the target {reason}",
                phase="handover",
                container_state="absent",
                log_tail=tail,
                rolled_back=True,
            )
        figures = {key: value for key, value in event.items() if key.endswith("_ms")}
        # The service runs: what cannot be read of how long it took (a full disk) must not look like a
        # failure.
        with contextlib.suppress(Exception):
            for key, value in read_restore_stats(self.work_dir).items():
                if key.endswith("_us"):
                    figures["criu_" + key[:-3] + "_ms"] = value / 1000
        return figures

    def _order(self, timeout_s: float, **words: Any) -> dict[str, Any]:
        """Tell the armed runtime; returns its answer, or one with code -1 if there is none."""
        try:
            if self._connection is not None:
                self._connection.settimeout(timeout_s)
            with around(f"criu.{words['command']}"):
                self._stream.write(json.dumps(words) + "\n")
                self._stream.flush()
                return self._read_event()
        except (OSError, ValueError) as error:
            return {"code": -1, "reason": str(error)}

    def wait_started(self, timeout_s: float = 30.0) -> None:
        """Wait until Docker, too, regards the container as started.

        :raises MigrationError: it does not. The processes may run all the same.
        """
        started = self._started.wait(timeout_s)
        if started and self._start_error and container_state(self._client, self.id)[0] in (RUNNING, FROZEN):
            # Only its answer was lost, or Docker is about to end what it cannot keep account of.
            self.docker_said, self._start_error = self._start_error, ""
            self._connect_later()
        if not started or self._start_error:
            raise MigrationError(
                f"Docker did not take over the restored container {self._spec['name']}: "
                f"{self._start_error or 'no answer to docker start'}",
                phase="verify",
            )
        self._disarm()
        if self._network_error:
            raise MigrationError(
                f"container {self._spec['name']} runs on the target, but Docker did not connect it to the "
                f"networks {', '.join(self._later)}: {self._network_error}. Connect it by `docker network "
                "connect`, or let mec.migration.resolve decide",
                phase="verify",
                container_state="running",
            )

    def destroy(self, reason: str) -> None:
        """Make sure that no copy runs here, and leave nothing.

        :raises MigrationError: processes of the container are still alive.
        """
        if self._stream is not None:
            # Even if Docker's start is over: with the daemon dead the armed runtime waits on.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(json.dumps({"command": "abort", "reason": reason}) + "\n")
                self._stream.flush()
            with contextlib.suppress(OSError, ValueError):
                self._stream.close()
        if self._starting:
            self._started.wait(20)
        self._let_runtime_end()
        self._disarm()
        self.kill()
        self._remove()
        # Removing it may have taken the daemon a while; nothing may have come up meanwhile.
        self.kill()
        self.destroyed = True

    def is_gone(self) -> bool:
        """Whether Docker knows nothing of it any more; while its daemon is dead nobody can tell.

        The journal stays until then, so that the next migration to this host removes what is left.
        """
        try:
            return container_state(self._client, self.id)[0] == ABSENT
        except MigrationError:
            return False

    def kill(self) -> None:
        """End whatever could still restore the container, then every process; put away what is left of it.

        :raises MigrationError: processes of it are left.
        """
        if self.id:
            end_restore(self.id)
            end_container(self.id)
            put_away(self.id)

    def _end_restore(self) -> None:
        """End a restore that hangs: the armed runtime and all that came out of it."""
        end_restore(self.id, self._runtime_pid if self._runtime_is_there() else 0)

    def _runtime_is_there(self) -> bool:
        # If its start differs it has ended, and the number may be another's.
        return bool(self._runtime_started) and start_time(self._runtime_pid) == self._runtime_started

    def _let_runtime_end(self) -> None:
        """Only runc puts away what it has mounted and made (its directory, cgroups), unless it is killed.

        Docker's start is over once runc has ended; or, long before that, once Docker's daemon is dead.
        """
        end = time.monotonic() + RUNTIME_END_S
        while self._runtime_is_there() and time.monotonic() < end:
            time.sleep(0.01)

    def _docker_start(self) -> None:
        try:
            self._client.start(self.id)
            if self._stream is not None:
                # From here on it is a container like any other: somebody may restart it while it is filled.
                self._disarm()
            self._connect_later()
        except Exception as error:
            self._start_error = _docker_message(error)
        finally:
            self._started.set()
        # A daemon that comes back cannot take over what its dead one had not noted: it must not come to run.
        # Once it runs CRIU writes its statistics.
        stats = os.path.join(self.work_dir, RESTORE_STATS)
        if self._start_error and self._restoring and not os.path.exists(stats):
            self._broken_off = True
            self._end_restore()

    def _read_event(self) -> dict[str, Any]:
        line = self._stream.readline()
        if not line:
            raise ValueError("the armed runtime ended")
        event = json.loads(line)
        if not isinstance(event, dict):
            raise ValueError(f"the armed runtime said {line[:80]!r}")
        return event

    def _disarm(self) -> None:
        if self._listener is not None:
            self._listener.close()
        # Where nobody listens any more it harms nothing.
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(ARMED_DIR, self.id))

    def _remove(self) -> None:
        if self.id:
            with contextlib.suppress(Exception):
                self._client.remove_container(self.id, force=True)


def _connect_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    ipam = settings.get("IPAMConfig") or {}
    # The option is newer than the oldest SDK.
    fixed = {"mac_address": settings["MacAddress"]} if settings.get("MacAddress") else {}
    return {
        **fixed,
        "aliases": settings.get("Aliases"),
        "links": settings.get("Links"),
        "driver_opt": settings.get("DriverOpts"),
        "ipv4_address": ipam.get("IPv4Address"),
        "ipv6_address": ipam.get("IPv6Address"),
    }


def _docker_message(error: Exception) -> str:
    """Docker's own words without the wrapping of the SDK."""
    return str(getattr(error, "explanation", None) or error)
