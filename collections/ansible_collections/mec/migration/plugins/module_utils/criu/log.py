# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRIU's logs say, and what to do about it."""

from __future__ import annotations

import re
from typing import NamedTuple

TAIL_LINES = 12
# Said where CAP_SYS_RESOURCE is missing; CRIU goes on.
HARMLESS = r"Can't setup RLIMIT_NOFILE|No parent image found|Can't open .*stats|Unable to remove .*\.img"
# Said after the reason: they only tell that it stopped.
CONSEQUENCE = (
    r"(Pre-)?[Dd]umping FAILED|Restoring FAILED|Dump files \(pid: \d+\) failed|Lazy pages transfer FAILED|"
    r"Can't (dump|checkpoint) (task|tasks)|exited, status=|killed by signal|Unable to (infect|cure)|"
    r"(?<!Ring setup )failed with -?\d+|Can't release|Unlink remap|cgroupd: recv req error|Restorer fail \d+"
)


class Cause(NamedTuple):
    """A message of CRIU, and what it means for the service.

    :param pattern: of the message; groups may be used in *reason* as ``{0}``.
    :param reason: what is in the way, in words of the service.
    :param remedy: what to do.
    """

    pattern: str
    reason: str
    remedy: str


# The texts are those of CRIU 3.19 to 4.2 (criu/*.c); the more special ones come first.
CAUSES = (
    Cause(
        r"Can't get 1:16 opt",
        "this CRIU cannot dump TCP sockets on this kernel",
        "install CRIU 4.2",
    ),
    Cause(
        r"Unsupported proto 262\b",
        "the service has a socket of MPTCP, multipath TCP",
        "start it with GODEBUG=multipathtcp=0 if it is a Go program, or the container with "
        "`--sysctl net.mptcp.enabled=0`",
    ),
    Cause(
        r"Unsupported (?:proto|type) \(?(\d+)|Sockets \(family (\d+) proto \d+\) are not collected",
        "the service has a socket of a protocol or type that CRIU cannot dump (number {0})",
        "close it before the move",
    ),
    Cause(
        r"fsnotify: Can't dump that handle|Can't (?:dump|open) (?:handle|file) .*(?:inotify|fanotify)",
        "the service watches something by inotify or fanotify that has no name in its file systems (a "
        "deleted file), or is one of /proc or /sys",
        "let it end that watch",
    ),
    Cause(
        r"fsnotify: Can't create inotify .*Too many open files",
        "the user whom the service runs as may have no more instances of inotify on the target, all services "
        "together",
        "raise it there: `sysctl -w fs.inotify.max_user_instances=NUMBER`",
    ),
    Cause(
        r"fsnotify: Can't add watch .*No space left on device",
        "the user whom the service runs as may have no more watches of inotify on the target, all services "
        "together",
        "raise it there: `sysctl -w fs.inotify.max_user_watches=NUMBER`",
    ),
    Cause(
        r"Ring setup failed with -11",
        "the target has no more room for asynchronous reads and writes (io_setup), all services together",
        "raise it there: `sysctl -w fs.aio-max-nr=NUMBER`",
    ),
    Cause(
        r"Dump eventpoll \(pid: \d+\) failed",
        "an epoll of the service waits for a file that its process does not have open any more",
        "let the service take a file out of the epoll (EPOLL_CTL_DEL) before it closes it",
    ),
    Cause(
        r"in-flight socket|In-flight connection|Dangling connection",
        "a UNIX connection with data, or of a client that has gone, is not accepted yet",
        "start the migration again; that is over as soon as the service accepts the connection",
    ),
    Cause(
        r"PIDFD_THREAD flag is currently not supported",
        "the service has a pidfd of a single thread (PIDFD_THREAD)",
        "let it close that before the move",
    ),
    Cause(
        r"Can't create memfd in victim: Too many open files",
        "a process of the service has as many files open as it may have",
        "let it close some, or raise its limit (`prlimit --nofile`)",
    ),
    Cause(
        r"Couldn't unlink remap .*File name too long",
        "the service has a file open whose name was removed and is too long for CRIU to add to it",
        "let it close that file before the move",
    ),
    Cause(
        r"remote mmap\(\) failed: Cannot allocate memory",
        "a process of the service may not have the memory that CRIU needs in it for a moment",
        "raise its limit of address space (`prlimit --as`), or free memory on the host",
    ),
    Cause(
        r"The socket has data to read",
        "a netlink socket of the service holds messages that it has not read yet",
        "start the migration again; that is over as soon as the service reads them",
    ),
    Cause(
        r"External socket is used|with unreachable peer|Can't dump half of stream unix|"
        r"Can't dump name-less external socket",
        "a UNIX socket of the service is connected to a process outside the container",
        "let the service close that connection before the move",
    ),
    Cause(
        r"send_fds failed \(-22\)|io_uring",
        "the service has an io_uring open, which the kernel does not pass on",
        "switch io_uring off in the service",
    ),
    Cause(
        r"zombie \d+ \(comm [^)]*\) found while seizing|SEIZE \d+: can't seize|Unable to seize",
        "a process of the service is traced by another one (a debugger, strace, a sandbox)",
        "end the tracer, or let it detach",
    ),
    Cause(
        r"Can't get rlimit \d+",
        "CRIU may not read the resource limits of another user's process on this host: CAP_SYS_RESOURCE is "
        "missing",
        "give the host that capability, or let all of the service run as one user",
    ),
    Cause(
        r"Lazy pages transfer FAILED",
        "CRIU's page server failed; from 4.3 on it needs a pipe of 3.2 MiB, which takes CAP_SYS_RESOURCE or "
        "such pipes for everybody",
        "give root of the host that capability, or set `sysctl -w fs.pipe-max-size=4194304`",
    ),
    Cause(
        r"create_page_pipe: Can't allocate (\d+) bytes",
        "a process has reserved so much address space that CRIU needs {0} bytes to walk through it",
        "let the service reserve less, or free memory on this host",
    ),
    Cause(
        r"Bad format in \d+ mountinfo",
        "this CRIU cannot read a line of more than 4095 bytes in the table of mounts, as a container with "
        "some 69 layers makes it",
        "stop that container for the time of the move, or install a later CRIU",
    ),
    Cause(
        r"has unreachable sharing|doesn't have a proper root mount|No mapping for .* mountpoint|"
        r"autodetected external mount",
        "a mount of the container is not where CRIU was told",
        "check that no destination of a mount leads through a symbolic link, and that none was added later",
    ),
    Cause(
        r"Nested mount namespaces are not supported|Can't dump nested (\w+) namespace",
        "a process of the service is in a namespace of its own",
        "start it without `unshare` or a sandbox of its own",
    ),
    Cause(
        r"Can't dump file \d+ of that type \[[0-7]+\] \((\w+ [^)]*)\)",
        "the service has something open that CRIU cannot dump ({0})",
        "close it before the move",
    ),
    Cause(
        r"Unaccessible path opened|Can't (?:create|make) link remap|Unable to .*link.?remap|link_remap",
        "the service has a file open whose name is gone while another link to it is left, or means another "
        "file now",
        "let the service open it anew",
    ),
    Cause(
        r"Strange file mapped|Can't handle non-regular mapping|Unsupported mapping found|Bogus mapping",
        "the service has mapped something that CRIU cannot dump (a device, secret memory)",
        "start it without what needs that",
    ),
    Cause(
        r"Can't lookup mount=\d+ for fd=\d+ path=(\S+)",
        "a process of the service has {0} open on a mount that the container does not have, as what "
        "`docker exec` started and left to it has /dev/null of the host",
        "end that process, or start it with `< /dev/null` in the container",
    ),
    Cause(
        r"Can't dump ghost file|ghost file .* too big",
        "the service holds a deleted file open that is larger than what CRIU is allowed to take along",
        "let the service close it",
    ),
    Cause(
        r"Can't bind inet socket|Address already in use",
        "a port or address of the service is taken on the target, or is not there",
        "see what listens there",
    ),
    Cause(
        r"File (\S+) has bad (?:size|mode|build-ID)",
        "the file {0} is not the same on the target",
        "mount the same content there, or let it move, too",
    ),
    Cause(
        r"Can't open file (\S+) on restore",
        "the file {0} of the service is missing on the target",
        "mount the same content there, or let it move, too",
    ),
    Cause(
        r"Pid \d+ do(?:es)? not match expected|Can't (?:fork|clone) for \d+: File exists",
        "a process number of the service is taken on the target",
        "start the migration again",
    ),
    Cause(
        r"Can't create posix timer|Can't restore posix timers|Unable to convert the notify thread id",
        "a timer of the service (timer_create) cannot be made again: one that signals the first thread of a "
        "process by its number (SIGEV_THREAD_ID) is none that CRIU restores",
        "let no profiler run during the move",
    ),
    Cause(
        r"mqueue isn't empty",
        "there is a POSIX message queue in the container, which CRIU does not dump",
        "let the service remove it before the move",
    ),
    Cause(
        r"Control messages in queue, not supported",
        "a UNIX socket of the service holds data with its sender (SO_PASSCRED), not read yet",
        "start the migration again; that is over as soon as the service reads it",
    ),
    Cause(
        r"no dirty tracking|soft-dirty",
        "the kernel does not track changed pages as asked",
        "use the tracker `compare`",
    ),
    Cause(
        r"No space left on device",
        "the images directory is full",
        "give it more room (a larger tmpfs)",
    ),
    Cause(
        r"Cannot allocate memory|Can't allocate \d+ bytes|Out of memory",
        "there is not enough memory",
        "free some on the host, or raise the container's limit",
    ),
    Cause(
        r"\btty: |/dev/pts/|\bptmx\b",
        "a terminal of the service leads outside the container",
        "start it without `-t`, and end `docker exec -t` sessions before the move",
    ),
    Cause(
        r"Permission denied|Operation not permitted",
        "the host does not allow CRIU what it needs",
        "see `criu check` there",
    ),
)


def log_tail(path: str) -> str:
    """The last lines of a CRIU log that say why it stopped: errors first, else simply the last ones."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            lines = log.read().splitlines()
    except OSError:
        return ""
    telling = [line for line in lines if "Error" in line and not re.search(HARMLESS, line)] or lines
    return "\n".join(telling[-TAIL_LINES:])


def cause_line(log: str) -> str:
    """The line that says why CRIU stopped: one that is known, else the last that is not a consequence."""
    lines = [line for line in log.splitlines() if line.strip() and not re.search(HARMLESS, line)]
    telling = [line for line in lines if not re.search(CONSEQUENCE, line)] or lines
    for cause in CAUSES:
        known = [line for line in telling if re.search(cause.pattern, line)]
        if known:
            telling = known
            break
    return re.sub(r"^\(\d+\.\d+\)\s*", "", telling[-1]).strip() if telling else ""


def explain(log: str) -> str:
    """What *log* means for the service and what to do, as sentences; or where to look."""
    found = _cause(cause_line(log))
    if found is None:
        return "See log_tail for CRIU's own words."
    cause, groups = found
    reason = cause.reason.format(next((group for group in groups if group), "unknown"))
    return f"That means: {reason}. Remedy: {cause.remedy}."


def _cause(line: str) -> tuple[Cause, tuple[str | None, ...]] | None:
    for cause in CAUSES:
        match = re.search(cause.pattern, line)
        if match:
            return cause, match.groups()
    return None
