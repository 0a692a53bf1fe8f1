"""A service that holds one of many kinds of things; answers.py looks whether all is as it was."""
# ruff: noqa: SIM115 - what it holds stays open

import ctypes
import fcntl
import mmap
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
checks: dict = {}
ticks: list = []

signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)


def ticks_on():
    ticks.clear()
    time.sleep(0.5)
    return len(ticks) > 0


checks["itimer"] = ticks_on

timer = libc.timerfd_create(1, os.O_NONBLOCK)
libc.timerfd_settime(timer, 0, struct.pack("qqqq", 0, 50_000_000, 0, 50_000_000), None)
# By the clock that counts suspended time, and far away.
by_boot = libc.timerfd_create(7, os.O_NONBLOCK)
libc.timerfd_settime(by_boot, 0, struct.pack("qqqq", 7, 0, 5000, 0), None)


def goes_on():
    left = ctypes.create_string_buffer(32)
    libc.timerfd_gettime(by_boot, left)
    interval_s, _interval_ns, value_s, _value_ns = struct.unpack("qqqq", left.raw)
    return interval_s == 7 and 1000 < value_s < 5000


checks["timerfd by boot time"] = goes_on
checks["timerfd"] = lambda: int.from_bytes(os.read(timer, 8), "little") > 0

counter = libc.eventfd(5, os.O_NONBLOCK)
checks["eventfd"] = lambda: int.from_bytes(os.read(counter, 8), "little") == 5

# EFD_SEMAPHORE, in an epoll set and by two descriptors; and more than a counter of 32 bits holds.
semaphore = libc.eventfd(3, 1 | os.O_NONBLOCK)
semaphore_again = os.dup(semaphore)
of_semaphore = select.epoll()
of_semaphore.register(semaphore, select.EPOLLIN)


def one_at_a_time():
    takes = [int.from_bytes(os.read(each, 8), "little") for each in (semaphore, semaphore_again, semaphore)]
    waits = of_semaphore.poll(0) == []
    os.write(semaphore_again, (2).to_bytes(8, "little"))
    return takes == [1, 1, 1] and waits and of_semaphore.poll(0) == [(semaphore, select.EPOLLIN)]


checks["eventfd that is a semaphore"] = one_at_a_time
large = libc.eventfd(0, 0)
os.write(large, (1 << 40).to_bytes(8, "little"))
checks["eventfd of a large counter"] = lambda: int.from_bytes(os.read(large, 8), "little") == 1 << 40

reader, writer = os.pipe()
os.write(writer, b"in the pipe")
checks["pipe"] = lambda: os.read(reader, 99) == b"in the pipe"

poll = select.epoll()
full, filler = os.pipe()
os.write(filler, b"x")
poll.register(full, select.EPOLLIN)
checks["epoll"] = lambda: poll.poll(0) == [(full, select.EPOLLIN)]

os.mkfifo("/var/tmp/fifo")
fifo = os.open("/var/tmp/fifo", os.O_RDWR)
os.write(fifo, b"in the fifo")
checks["fifo"] = lambda: os.read(fifo, 99) == b"in the fifo"

master, slave = pty.openpty()


def terminal():
    os.write(slave, b"on the line\n")
    return os.read(master, 99) == b"on the line\r\n"


checks["terminal"] = terminal

typed, shown = pty.openpty()


def unread_on_terminal():
    """For the next time there is something to read again."""
    was_typed, was_shown = (os.read(each, 99) if ready(each) else b"" for each in (shown, typed))
    os.write(typed, b"typed\n")
    os.write(shown, b"shown")
    return was_typed == b"typed\n" and b"shown" in was_shown


def ready(file):
    return bool(select.select([file], [], [], 1)[0])


unread_on_terminal()
checks["unread on a terminal"] = unread_on_terminal

deleted = open("/var/tmp/deleted", "w+b")
deleted.write(b"d" * 100_000)
deleted.flush()
os.unlink("/var/tmp/deleted")
checks["deleted file"] = lambda: os.pread(deleted.fileno(), 200_000, 0) == b"d" * 100_000

unnamed = tempfile.TemporaryFile(dir="/var/tmp")
unnamed.write(b"unnamed")
unnamed.flush()
checks["unnamed file"] = lambda: os.pread(unnamed.fileno(), 99, 0) == b"unnamed"


def removed(name, stays, content):
    """A file that is open by a name that is gone, while it has another one."""
    file = open(name, "w+b")
    file.write(content)
    file.flush()
    os.link(name, stays)
    os.unlink(name)

    def same():
        file.write(b"!")
        file.flush()
        with open(stays, "rb") as other:
            kept = other.read() == content + b"!"
        return kept and (name == "/var/tmp/twice" or not os.path.exists(name))

    return same


os.mkdir("/var/tmp/mail")
checks["removed name"] = removed("/var/tmp/gone", "/var/tmp/mail/stays", b"delivered" * 30_000)
# Two files that had the same name, one after the other; a third one has it now.
checks["removed name, used again"] = removed("/var/tmp/twice", "/var/tmp/first", b"first")
checks["removed name, used twice"] = removed("/var/tmp/twice", "/var/tmp/second", b"secnd")
with open("/var/tmp/twice", "w") as file:
    file.write("third")
checks["the file that has the name now"] = lambda: open("/var/tmp/twice").read() == "third"
checks["removed name on tmpfs"] = removed("/dev/shm/gone", "/dev/shm/stays", b"in memory")
# With its directory; of a file of the image that was copied up.
os.mkdir("/var/tmp/left")
checks["removed name and directory"] = removed("/var/tmp/left/gone", "/var/tmp/elsewhere", b"moved")
os.rmdir("/var/tmp/left")
copied_up = open("/etc/issue", "ab")
os.link("/etc/issue", "/etc/issue.kept")
os.unlink("/etc/issue")


def copied():
    copied_up.write(b"!")
    copied_up.flush()
    return os.stat("/etc/issue.kept").st_ino == os.fstat(copied_up.fileno()).st_ino


checks["removed name of the image"] = copied
with open("/var/tmp/mapped", "w+b") as to_map:
    to_map.write(b"m" * 4096)
    to_map.flush()
    mapped = mmap.mmap(to_map.fileno(), 4096)
os.link("/var/tmp/mapped", "/var/tmp/still mapped")
os.unlink("/var/tmp/mapped")


def seen_in_the_file():
    mapped[:2] = b"MM"
    with open("/var/tmp/still mapped", "rb") as other:
        return other.read(3) == b"MMm"


checks["removed name of a mapped file"] = seen_in_the_file
checks["no name of CRIU's stays"] = lambda: (
    not [
        name
        for place in ("/var/tmp", "/var/tmp/mail", "/etc", "/dev/shm")
        for name in os.listdir(place)
        if name.startswith("link_remap")
    ]
)

memory_file = os.memfd_create("held", os.MFD_ALLOW_SEALING)
os.write(memory_file, b"sealed")
libc.fcntl(memory_file, 1033, 8)
checks["memfd"] = lambda: os.pread(memory_file, 99, 0) == b"sealed" and libc.fcntl(memory_file, 1034) & 8

one, other = socket.socketpair()
socket.send_fds(one, [b"with a descriptor"], [reader])


def passed():
    data, numbers, _flags, _address = socket.recv_fds(other, 99, 1)
    return data == b"with a descriptor" and len(numbers) == 1


checks["descriptor on the way"] = passed

# Nobody else may open it (TIOCEXCL).
private_master, private = pty.openpty()
fcntl.ioctl(private, 0x540C)
checks["terminal that nobody else may open"] = lambda: fcntl.ioctl(private, 0x80045440, bytes(4)) != bytes(4)

# Of both kinds that keep messages apart: two of a pair, and one to a name, of a sender that has closed.
kinds = (socket.SOCK_SEQPACKET, socket.SOCK_DGRAM)
pairs = [socket.socketpair(socket.AF_UNIX, kind) for kind in kinds]
for sender, _receiver in pairs:
    sender.send(b"one")
    sender.send(b"and two")
named = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
named.bind("/var/tmp/named")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"left", "/var/tmp/named")


def queued():
    read = [[receiver.recv(99), receiver.recv(99)] for _sender, receiver in pairs]
    back = [receiver.send(b"back") and sender.recv(99) for sender, receiver in pairs]
    return read == [[b"one", b"and two"]] * 2 and back == [b"back"] * 2 and named.recv(99) == b"left"


checks["messages that wait"] = queued

by_name = socket.socket(socket.AF_UNIX)
by_name.bind("/dev/shm/by name")
by_name.listen()


def found_by_name():
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect("/dev/shm/by name")
        return by_name.accept()[0].fileno() >= 0


checks["UNIX listener on tmpfs"] = found_by_name


def published(way, kind):
    """A socket that gets its name once it is ready, as HAProxy (rename) and supervisord (link) do it."""
    ready = socket.socket(socket.AF_UNIX, kind)
    first, name = f"/tmp/{way}-{kind}.tmp", f"/tmp/{way}-{kind}"
    if way == "elsewhere":
        name = f"/var/tmp/{way}-{kind}"
    ready.bind(first)
    os.chmod(first, 0o640)
    if way != "linked":
        os.rename(first, name)
    else:
        os.link(first, name)
        os.unlink(first)
    if kind == socket.SOCK_STREAM:
        ready.listen()

    def reached():
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(name)
            client.send(b"hello")
            server = ready.accept()[0] if kind == socket.SOCK_STREAM else ready
            mode = os.stat(name).st_mode & 0o777
            return server.recv(9) == b"hello" and mode == 0o640 and not os.path.exists(first)

    return reached


for way in ("renamed", "linked", "elsewhere"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        checks[f"UNIX socket that was {way}, type {int(kind)}"] = published(way, kind)

listeners = []
for family, address in ((socket.AF_INET, ("127.0.0.1", 7001)), (socket.AF_INET6, ("::1", 7002))):
    for _ in range(2):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind(address)
        except OSError:
            continue
        listener.listen()
        listeners.append(listener)


def connects():
    return all(socket.create_connection(one.getsockname()[:2], 2).fileno() >= 0 for one in listeners)


checks["listeners"] = connects
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 7003))


def udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", 7003))
    return datagrams.recv(99) == b"hello"


checks["udp"] = udp
# To other hosts, by the address that the container has, which is another one after the move.
elsewhere = ("192.0.2.7", 53)


def connected_datagrams(port=0):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", port))
    made.connect(elsewhere)
    return made


sending = [connected_datagrams(), connected_datagrams(7004)]
ports = [each.getsockname()[1] for each in sending]


def goes_out():
    own = connected_datagrams().getsockname()[0]
    return (
        [each.getpeername() for each in sending] == [elsewhere] * 2
        and [each.getsockname() for each in sending] == [(own, port) for port in ports]
        and [each.send(b"hello") for each in sending] == [5] * 2
    )


checks["connected udp"] = goes_out
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
checks["raw socket"] = lambda: raw.getsockopt(socket.SOL_SOCKET, 38) == socket.IPPROTO_ICMP

semaphores = libc.semget(0, 1, 0o1600)
libc.semctl(semaphores, 0, 16, 7)
checks["semaphores"] = lambda: libc.semctl(semaphores, 0, 12) == 7
queue = libc.msgget(0, 0o1600)
libc.msgsnd(queue, struct.pack("l8s", 1, b"waiting!"), 8, 0)


def message():
    buffer = ctypes.create_string_buffer(16)
    return libc.msgrcv(queue, buffer, 8, 0, 0o4000) == 8 and buffer.raw[8:] == b"waiting!"


checks["messages"] = message
segment = libc.shmget(0, 8192, 0o1600)
libc.shmat.restype = ctypes.c_void_p
at = libc.shmat(segment, None, 0)
ctypes.memmove(at, b"attached", 8)
checks["shared segment"] = lambda: ctypes.string_at(at, 8) == b"attached"

# One that nobody has attached any more.
segments = [libc.shmget(0, 9000, 0o1600)]
aside = libc.shmat(segments[0], None, 0)
ctypes.memmove(aside + 8000, b"detached", 8)
segments += [libc.shmget(0, 8 << 20, 0o1600), segment]
libc.shmdt(ctypes.c_void_p(aside))


def detached():
    again = libc.shmat(segments[0], None, 0)
    return ctypes.string_at(again, 1) == b"\0" and ctypes.string_at(again + 8000, 8) == b"detached"


checks["shared segment that nobody has"] = detached

shared = mmap.mmap(-1, 1 << 20)
shared[:6] = b"shared"
size = 8 << 20
content = os.urandom(size)
with open("/dev/shm/counted", "w+b") as to_count:
    to_count.write(content)
    to_count.flush()
    on_tmpfs = mmap.mmap(to_count.fileno(), size)
in_memory = os.memfd_create("counted")
os.write(in_memory, content)
of_memfd = mmap.mmap(in_memory, size)
attached = memoryview((ctypes.c_char * size).from_address(libc.shmat(segments[1], None, 0))).cast("B")
attached[:] = content
counted: dict = {"file on tmpfs": on_tmpfs, "memfd": of_memfd, "segment": attached}
child = os.fork()
if child == 0:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGUSR2, lambda *_: shared.__setitem__(slice(0, 6), b"change"))
    count = 0
    while True:
        count += 1
        for each in counted.values():
            each[4096:4104] = struct.pack("q", count)
        time.sleep(0.01)


def counts(held):
    """Whether the child's counting is seen here, and all else is as it was made."""
    before = struct.unpack("q", held[4096:4104])[0]
    end = time.monotonic() + 60
    while struct.unpack("q", held[4096:4104])[0] <= before and time.monotonic() < end:
        time.sleep(0.05)
    same = bytes(held[:4096]) == content[:4096] and bytes(held[4104:]) == content[4104:]
    return same and struct.unpack("q", held[4096:4104])[0] > before > 0


for name, held in counted.items():
    checks[f"{name} that a child writes"] = lambda held=held: counts(held)
checks["the file of a mapping on tmpfs"] = lambda: (
    open("/dev/shm/counted", "rb").read(4096) == on_tmpfs[:4096]
    and os.stat("/dev/shm/counted").st_size == size
)


def memory():
    os.kill(child, signal.SIGUSR2)
    end = time.monotonic() + 60
    while shared[:6] != b"change" and time.monotonic() < end:
        time.sleep(0.05)
    return shared[:6] == b"change"


checks["memory shared with a child"] = memory
handle = os.pidfd_open(child)


def lives():
    signal.pidfd_send_signal(handle, 0)
    return True


checks["pidfd"] = lives

locked = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(locked))), 4096)
checks["locked memory"] = lambda: "VmLck:\t       4 kB" in open("/proc/self/status").read()

lock_file = open("/var/tmp/lock", "w")
libc.flock(lock_file.fileno(), 2)


def lock():
    again = open("/var/tmp/lock", "w")
    return libc.flock(again.fileno(), 2 | 4) != 0


checks["file lock"] = lock

# By open file description (F_OFD_SETLK), and of a range by another process; a lease.
ranges = open("/var/tmp/ranges", "w+b")
ranges.write(b"x" * 100)
ranges.flush()
fcntl.fcntl(ranges, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10, 0))
end, other_end = os.pipe()
if os.fork() == 0:
    signal.setitimer(signal.ITIMER_REAL, 0)
    others = open("/var/tmp/ranges", "r+b")
    fcntl.lockf(others, fcntl.LOCK_EX, 10, 50)
    os.write(other_end, b"x")
    while True:
        time.sleep(1)
os.read(end, 1)


def is_locked(start):
    """Whether another process does not get a lock of the byte at *start*."""
    asking = os.fork()
    if asking == 0:
        try:
            with open("/var/tmp/ranges", "r+b") as again:
                fcntl.lockf(again, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(asking, 0)[1]) == 1


checks["locked ranges"] = lambda: [is_locked(start) for start in (5, 30, 55)] == [True, False, True]
leased = os.open("/var/tmp/leased", os.O_RDONLY | os.O_CREAT)
fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK)
checks["lease"] = lambda: fcntl.fcntl(leased, fcntl.F_GETLEASE) == fcntl.F_RDLCK

shutil.copy("/bin/cat", "/var/tmp/program")
program = subprocess.Popen(["/var/tmp/program"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
os.unlink("/var/tmp/program")


def answers():
    program.stdin.write(b"hello")
    return program.stdout.read(99) == b"hello" and "(deleted)" in os.readlink(f"/proc/{program.pid}/exe")


checks["program whose file is deleted"] = answers
