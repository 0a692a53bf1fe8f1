"""Workloads as processes in a freezer of their own: the programs of workload.py, and Redis."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup import Cgroup

HERE = Path(__file__).resolve().parent
NAMES = ["mappings", "threads", "redis", "forks", "huge-pages", "heap", "programs", "filtered"]
NAMES += ["again", "waits"]


class Group:
    """A new cgroup with a freezer, and the program that is started in it."""

    def __init__(self, command: list[str]) -> None:
        v1 = Path("/sys/fs/cgroup/freezer")
        self._dir = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / f"mec-uffd-{os.getpid()}"
        self._dir.mkdir(exist_ok=True)
        enter = f'echo 0 > {self._dir}/cgroup.procs && exec "$@"'
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", enter, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def cgroup(self) -> Cgroup:
        return Cgroup(self.process.pid)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        if self.process.poll() is None or self._pids():
            for state in ("THAWED", "0"):
                for name in ("freezer.state", "cgroup.freeze"):
                    if (self._dir / name).exists() and (name == "cgroup.freeze") == (state == "0"):
                        (self._dir / name).write_text(state)
            for pid in self._pids():
                os.kill(pid, 9)
        self.process.wait()
        for _ in range(200):
            try:
                self._dir.rmdir()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError(f"processes {self._pids()} do not end")

    def _pids(self) -> list[int]:
        return [int(pid) for pid in (self._dir / "cgroup.procs").read_text().split()]


class Program(Group):
    """A program of workload.py."""

    def __init__(self, name: str, seed: int, directory: Path) -> None:
        super().__init__([sys.executable, "-I", "-S", str(HERE / "workload.py"), name, str(seed)])
        assert self.line() == "ready", f"{name} does not start"

    def verdict(self) -> str:
        """Let it look at all its memory; ``right`` or what is wrong."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.line()


class Redis(Group):
    """Redis under load, which saves its data to disk all the time (by a fork)."""

    def __init__(self, name: str, seed: int, directory: Path) -> None:
        server = shutil.which("redis-server")
        assert server, "redis-server is not there; install the package redis-server"
        path = directory / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(directory)]
        super().__init__([server, *options, "--logfile", str(directory / "redis.log")])
        self._socket = socket.socket(socket.AF_UNIX)
        while self._socket.connect_ex(str(path)):
            assert self.process.poll() is None, "Redis does not start"
            time.sleep(0.01)
        self._answers = self._socket.makefile("rb")
        self._choice = random.Random(seed)
        self._data: dict[bytes, bytes] = {}
        self._end = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._load)
        self._thread.start()

    def _ask(self, *words: bytes) -> bytes:
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self._socket.sendall(request)
        first = self._answers.readline().rstrip()
        if first.startswith(b"$") and first != b"$-1":
            return self._answers.read(int(first[1:]) + 2)[:-2]
        return first

    def _load(self) -> None:
        turn = 0
        while not self._end.is_set() and not self._failure:
            turn += 1
            key = b"key-%d" % self._choice.randrange(3000)
            what = self._choice.random()
            if what < 0.7:
                self._data[key] = self._choice.randbytes(self._choice.choice([20, 500, 9000]))
                if self._ask(b"SET", key, self._data[key]) != b"+OK":
                    self._failure = "a write was not acknowledged"
            elif what < 0.8:
                self._ask(b"DEL", key)
                self._data.pop(key, None)
            elif key in self._data and self._ask(b"GET", key) != self._data[key]:
                self._failure = f"{key!r} was read wrong"
            if turn % 500 == 0:
                self._ask(b"BGSAVE")

    def verdict(self) -> str:
        self._end.set()
        self._thread.join()
        wrong = [key for key, value in self._data.items() if self._ask(b"GET", key) != value]
        return self._failure or (f"{len(wrong)} keys are wrong" if wrong else "right")

    def end(self) -> None:
        self._end.set()
        super().end()
        self._thread.join()
        self._socket.close()


def start(name: str, seed: int, directory: Path) -> Program | Redis:
    return (Redis if name == "redis" else Program)(name, seed, directory)
