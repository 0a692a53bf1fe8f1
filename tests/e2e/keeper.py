"""A service with protected files, marks of System V segments and sources of a multicast group."""
# ruff: noqa: SIM115 - what it holds stays open

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
checks: dict = {}

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND, NODUMP = 0x10, 0x20, 0x40


def flags(path, new=None):
    opened = os.open(path, os.O_RDONLY)
    try:
        present = struct.unpack("i", fcntl.ioctl(opened, GETFLAGS, bytes(4)))[0]
        if new is not None:
            fcntl.ioctl(opened, SETFLAGS, struct.pack("i", present | new))
        return present & (IMMUTABLE | APPEND | NODUMP)
    finally:
        os.close(opened)


def is_refused(path, mode):
    try:
        open(path, mode).close()
    except PermissionError:
        return True
    return False


log = open("/data/log", "ab", buffering=0)
log.write(b"first\n")
os.makedirs("/data/fixed")
for path, content in (("/data/fixed/file", "fixed"), ("/etc/fixed", "of the container"), ("/data/plain", "")):
    Path(path).write_text(content)
protected = {
    "/data/log": APPEND,
    "/data/fixed/file": IMMUTABLE,
    "/data/fixed": IMMUTABLE,
    "/etc/fixed": IMMUTABLE,
    "/data/plain": NODUMP,
}
for path, new in protected.items():
    flags(path, new)
checks["flags"] = lambda: {path: flags(path) for path in protected} == protected
checks["immutable"] = lambda: all(
    is_refused(path, mode)
    for path, mode in (("/data/fixed/file", "ab"), ("/data/fixed/new", "xb"), ("/etc/fixed", "ab"))
)


def grows():
    before = Path("/data/log").read_bytes()
    log.write(b"more\n")
    return Path("/data/log").read_bytes() == before + b"more\n" and is_refused("/data/log", "wb")


checks["append-only"] = grows

segments = {}
for marks in (0o1000, 0o2000, 0o3000, 0):
    number = libc.shmget(0, 1 << 16, 0o600)
    at = libc.shmat(number, None, 0)
    ctypes.memmove(at, b"shared", 6)
    for command, mark in ((11, 0o2000), (0, 0o1000)):
        if marks & mark:
            assert libc.shmctl(number, command, None) == 0
    segments[number] = marks


def marked():
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {int(row[1]): int(row[2], 8) & 0o3000 for row in rows} == segments


checks["marks of segments"] = marked

hears = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
request = socket.inet_aton("232.1.2.3") + socket.inet_aton("127.0.0.1") + socket.inet_aton("10.1.2.3")
hears.setsockopt(0, 39, request)  # IP_ADD_SOURCE_MEMBERSHIP
others = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
others.setsockopt(0, 35, socket.inet_aton("239.1.2.3") + socket.inet_aton("127.0.0.1"))
others.setsockopt(0, 38, request.replace(socket.inet_aton("232.1.2.3"), socket.inet_aton("239.1.2.3")))
sources = Path("/proc/net/mcfilter").read_text()
checks["sources"] = lambda: Path("/proc/net/mcfilter").read_text() == sources and "0x0a010203" in sources
