# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime calls of an armed container: `create` waits for the images and restores from them.

Docker has then paid its whole start path (rootfs, cgroup, shim) before the source is frozen. On the
receiver's word `prepare` so have runc and the network: `runc restore` is started with a `criu` of ours
first in its path, which stops at the gate right before it becomes the real one.

The receiver of the migration listens on /run/mec-migration/armed/<container id>; the two speak lines
of JSON. Without a receiver, or with an abort from it, `create` fails and nothing has run.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any

ARMED_DIR = "/run/mec-migration/armed"
# Of what the receiver and this file say to each other; the receiver compares it with its own.
PROTOCOL = 6
GATE_DIR = os.path.join(os.path.dirname(os.path.realpath(__file__)), "gate")
GATE_TIMEOUT_S = 30.0
HOOK_TIMEOUT_S = 30.0
OPTIONS_WITH_VALUE = ("--root", "--log", "--log-format", "--criu", "--rootless", "--bundle", "--pid-file")
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_SLAVE = 1 << 14, 1 << 19
ETH_P_ARP, SIOCGIFADDR, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x0806, 0x8915, 0x8913, 0x8914
IFF_UP = 1
PR_SET_PDEATHSIG = 1


NETWORK_HOOKS = ("prestart", "createRuntime")


def parse(argv: list[str]) -> tuple[list[str], str, dict[str, str], str]:
    """Split a runtime call into global options, command, the command's options and the container's id."""
    options: list[str] = []
    command = ""
    values: dict[str, str] = {}
    index = 0
    while index < len(argv) - 1:
        word = argv[index]
        name, has_value, value = word.partition("=")
        taken = [word]
        if not word.startswith("-"):
            command = command or word
            taken = []
        elif not has_value and name in OPTIONS_WITH_VALUE:
            index += 1
            value = argv[index]
            taken.append(value)
        if command:
            if word.startswith("-"):
                values[name] = value
        else:
            options += taken
        index += 1
    return options, command, values, argv[-1]


def fail(options: list[str], message: str) -> int:
    """Tell containerd, which shows the last line of the runtime's log to the user."""
    for name, value in zip(options, options[1:]):
        if name == "--log":
            with open(value, "a", encoding="utf-8") as log:
                log.write(json.dumps({"level": "error", "msg": message}) + "\n")
    print(message, file=sys.stderr)
    return 1


def last_error(options: list[str]) -> str:
    """What runc wrote last into its log, which *options* name as containerd gave them; empty if nothing."""
    words = ""
    for name, value in zip(options, options[1:]):
        if name == "--log":
            with contextlib.suppress(OSError), open(value, encoding="utf-8", errors="replace") as log:
                for line in log:
                    with contextlib.suppress(ValueError, AttributeError):
                        words = str(json.loads(line).get("msg") or words)
    return words


class Bundle:
    """The container's config.json, as Docker wrote it for runc."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.path.join(path, "config.json")
        with open(self._file, encoding="utf-8") as config_file:
            self.config: dict[str, Any] = json.load(config_file)

    @property
    def network(self) -> dict[str, str] | None:
        """The network namespace that is to be made for the container; None if it shares another one."""
        for namespace in self.config.get("linux", {}).get("namespaces", []):
            if namespace["type"] == "network" and not namespace.get("path"):
                return dict(namespace)
        return None

    @property
    def network_sysctls(self) -> dict[str, str]:
        every = self.config.get("linux", {}).get("sysctl") or {}
        return {name: value for name, value in every.items() if name.startswith("net.")}

    def write(self, *, criu_config: str, network_path: str) -> None:
        """Name CRIU's configuration file (annotation org.criu.config) and the network made before.

        The hooks that made the network must not do so again.
        """
        config = dict(self.config)
        config["annotations"] = dict(config.get("annotations") or {}, **{"org.criu.config": criu_config})
        if network_path:
            linux = config["linux"] = dict(config["linux"])
            linux["namespaces"] = [
                dict(namespace, path=network_path) if namespace == self.network else namespace
                for namespace in linux["namespaces"]
            ]
            hooks = config.get("hooks") or {}
            config["hooks"] = {kind: hooks[kind] for kind in hooks if kind not in NETWORK_HOOKS}
        with open(self._file, "w", encoding="utf-8") as config_file:
            json.dump(config, config_file)


class Network:
    """A network namespace for the container, wired by Docker's own hook before the service is there.

    From Docker 28 on there is no hook: Docker wires the namespace when `create` has returned.
    """

    def __init__(self, sysctls: dict[str, str]) -> None:
        ready, child_ready = os.pipe()
        child_end, self._end = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                os.close(self._end)
                hold_network(sysctls, child_ready, child_end)
                code = 0
            finally:
                os._exit(code)
        os.close(child_ready)
        os.close(child_end)
        made = os.read(ready, 1)
        os.close(ready)
        if not made:
            raise OSError("no network namespace could be made")
        self.path = f"/proc/{self._child}/ns/net"

    def run_hooks(self, bundle: Bundle, container_id: str) -> None:
        """The hooks that runc would run once the container's namespaces are there.

        :raises OSError: one of them failed.
        """
        state = {
            "ociVersion": bundle.config.get("ociVersion", "1.0.2"),
            "id": container_id,
            "status": "creating",
            "pid": self._child,
            "bundle": bundle.path,
        }
        hooks = bundle.config.get("hooks") or {}
        for hook in [hook for kind in NETWORK_HOOKS for hook in hooks.get(kind) or []]:
            done = subprocess.run(
                hook.get("args") or [hook["path"]],
                executable=hook["path"],
                env=dict(word.partition("=")[::2] for word in hook.get("env") or []),
                input=json.dumps(state),
                capture_output=True,
                text=True,
                timeout=hook.get("timeout") or HOOK_TIMEOUT_S,
                check=False,
            )
            if done.returncode:
                raise OSError(f"hook {hook['path']} failed: {(done.stderr or done.stdout).strip()}")

    def close(self) -> None:
        """The container's own processes hold the namespace from here on, or nobody does."""
        os.close(self._end)
        os.waitpid(self._child, 0)


def hold_network(sysctls: dict[str, str], ready: int, end: int) -> None:
    """In a child: a fresh network namespace, until the parent closes its side or dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        request = fcntl.ioctl(query.fileno(), SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(query.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    for name, value in sysctls.items():
        with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as setting:
            setting.write(value)
    os.write(ready, b"r")
    os.close(ready)
    os.read(end, 1)


def announce(pid: int) -> None:
    """Say in the container's network where its address is now, by a gratuitous ARP on each interface.

    Clients that tried the address before it was there have left the host with an unresolved neighbour,
    for which it would ask again only after up to a second.
    """
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        return
    for _index, name in socket.if_nameindex():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link, contextlib.suppress(OSError):
            link.bind((name, ETH_P_ARP))
            mac = link.getsockname()[4]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
                answer = fcntl.ioctl(query.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
            address = answer[20:24]
            if len(mac) == 6 and any(mac):
                head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
                link.send(head + mac + address + bytes(6) + address)


def apart() -> None:
    """In a child, before it executes: mounts of its own, so that none of the host's is unmounted.

    runc mounts what the container has as bind mounts, with all that is mounted below, and unmounts it again.
    Where the host's mounts are shared, which is usual, the latter would reach the host's own.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace could be made")


class Restore:
    """`runc restore`, started and stopped at the gate."""

    def __init__(self, options: list[str], values: dict[str, str], container_id: str) -> None:
        self._options, self._values, self._id = options, values, container_id
        self._network: Network | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._gate: socket.socket | None = None

    @property
    def prepared(self) -> bool:
        return self._gate is not None

    def prepare(self, order: dict[str, Any]) -> None:
        """Everything up to CRIU itself.

        :raises OSError: it did not get there.
        """
        bundle = Bundle(self._values["--bundle"])
        if bundle.network is not None:
            self._network = Network(bundle.network_sysctls)
            self._network.run_hooks(bundle, self._id)
        bundle.write(
            criu_config=order["criu_config"], network_path=self._network.path if self._network else ""
        )
        argv = ["runc", *self._options, "restore", "--detach"]
        argv += ["--image-path", order["images"], "--work-path", order["work"]]
        if order.get("lazy"):
            argv += ["--lazy-pages"]
        argv += ["--bundle", bundle.path, "--pid-file", self._values["--pid-file"], self._id]
        path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        gate_path = os.path.join(order["work"], "gate.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(gate_path)
        # The service is frozen while CRIU runs; CRIU gives the restored processes their own priority back.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -15)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(gate_path)
            listener.listen(1)
            listener.settimeout(0.02)
            for_gate = {
                "MEC_GATE": gate_path,
                "MEC_PATH": path,
                "MEC_IMAGES": order["images"],
                "MEC_CRIU_CONFIG": order["criu_config"],
            }
            environment = dict(os.environ, PATH=f"{GATE_DIR}:{path}", **for_gate)
            self._process = subprocess.Popen(argv, env=environment, preexec_fn=apart)  # noqa: PLW1509
            end = time.monotonic() + GATE_TIMEOUT_S
            while self._gate is None:
                try:
                    self._gate, _peer = listener.accept()
                except (TimeoutError, socket.timeout):
                    if self._process.poll() is not None:
                        why = last_error(self._options) or "it gave no reason"
                        raise OSError(f"runc restore ended with {self._process.returncode}: {why}") from None
                    if time.monotonic() > end:
                        raise OSError("runc restore did not start CRIU in time") from None
        os.unlink(gate_path)

    def allocate(self, segments: list[Any]) -> str:
        """Have the process at the gate make pages of shared memory; returns why it could not, or nothing.

        It is in the container's cgroup, so they count as the container's.

        :raises OSError: it has ended.
        """
        if self._gate is None:
            return "the restore is not prepared"
        answer = b""
        with contextlib.suppress(ConnectionError):
            self._gate.sendall(json.dumps(segments).encode() + b"\n")
            while not answer.endswith(b"\n") and (piece := self._gate.recv(4096)):
                answer += piece
        if not answer.endswith(b"\n"):
            raise OSError("the process that was to make it was ended")
        return answer.decode().strip()

    def run(self) -> int:
        """Open the gate; returns runc's exit code once the service runs, or has failed to."""
        if self._gate is None or self._process is None:
            return -1
        self._gate.send(b"\n")
        code = self._process.wait()
        if code == 0:
            # Before Docker 28 the network is there by now; from 28 on Docker announces it itself.
            with (
                contextlib.suppress(OSError, ValueError),
                open(self._values["--pid-file"], encoding="ascii") as pid,
            ):
                announce(int(pid.read()))
        return code

    def close(self) -> None:
        """End what has not been let through the gate."""
        if self._gate is not None:
            self._gate.close()
        if self._process is not None:
            if self._gate is None:
                # It hangs where no gate can end it.
                self._process.kill()
            self._process.wait()
        if self._network is not None:
            self._network.close()


def create(options: list[str], values: dict[str, str], container_id: str) -> int:
    """Report to the receiver, prepare on its word, wait for the images, restore."""
    restore = Restore(options, values, container_id)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.path.join(ARMED_DIR, container_id))
            stream = connection.makefile("rw", encoding="utf-8")
            tell(stream, event="waiting", bundle=values["--bundle"], pid=os.getpid(), protocol=PROTOCOL)
            while True:
                line = stream.readline()
                if not line:
                    return fail(options, "mec-runtime: the migration's receiver ended before the images came")
                order: dict[str, Any] = json.loads(line)
                if order["command"] == "prepare":
                    start = time.monotonic()
                    restore.prepare(order)
                    tell(stream, event="prepared", prepare_ms=(time.monotonic() - start) * 1000)
                elif order["command"] == "allocate":
                    reason = restore.allocate(order["segments"])
                    tell(stream, event="not allocated" if reason else "allocated", reason=reason)
                elif order["command"] == "restore" and restore.prepared:
                    break
                else:
                    reason = order.get("reason", "no reason given")
                    return fail(options, f"mec-runtime: migration aborted: {reason}")
            start = time.monotonic()
            code = restore.run()
            with contextlib.suppress(OSError):
                # Should the receiver be gone: the service runs, and whoever asks next sees it in Docker.
                tell(stream, event="restored", code=code, restore_ms=(time.monotonic() - start) * 1000)
            return code
        except (OSError, subprocess.SubprocessError) as error:
            with contextlib.suppress(OSError, NameError):
                tell(stream, event="failed", code=-1, reason=str(error))
            return fail(options, f"mec-runtime: {error}")
        finally:
            restore.close()


def tell(stream: Any, **words: Any) -> None:
    stream.write(json.dumps(words) + "\n")
    stream.flush()


def main() -> int:
    options, command, values, container_id = parse(sys.argv[1:])
    if command == "create":
        return create(options, values, container_id)
    if command == "start":
        # Restored processes run already.
        return 0
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
