"""A service whose processes share memory in many ways and write it; answers.py looks at all of it."""

import ctypes
import fcntl
import mmap
import os
import struct
import time

PAGE = 4096
SIZE = 8 << 20
# fcntl(2)
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEAL, SHRINK, GROW, WRITE = 1, 2, 4, 8
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.shmat.restype = ctypes.c_void_p
MADV_REMOVE = 9
content = os.urandom(SIZE)
checks: dict = {}
# What the child counts in, on its second page.
counted: dict = {}


def made(name, size=SIZE, flags=os.MFD_ALLOW_SEALING):
    descriptor = os.memfd_create(name, flags)
    os.truncate(descriptor, size)
    os.pwrite(descriptor, content[:size], 0)
    return descriptor


def same(held):
    """Of content that a child counts in, beside its count."""
    return bytes(held[:PAGE]) == content[:PAGE] and bytes(held[2 * PAGE :]) == content[2 * PAGE : len(held)]


def count_in(held):
    return struct.unpack_from("q", held, PAGE)[0]


# Mapped by two processes, and never open.
anonymous = mmap.mmap(-1, SIZE)
anonymous[:] = content
counted["anonymous"] = anonymous

# Open twice, with a position of its own each, and mapped; a later mapping and read(2) must see the same.
opened = made("opened twice")
again = os.open(f"/proc/self/fd/{opened}", os.O_RDWR | os.O_APPEND)
duplicate = os.dup(opened)
os.fchmod(opened, 0o640)
os.lseek(opened, 12345, os.SEEK_SET)
os.lseek(again, 54321, os.SEEK_SET)
mapped = mmap.mmap(opened, SIZE)
counted["open and mapped"] = mapped


def is_open():
    place = os.lseek(duplicate, 0, os.SEEK_CUR), os.lseek(again, 0, os.SEEK_CUR)
    read = os.read(opened, 100) == content[12345:12445] and os.lseek(duplicate, 0, os.SEEK_CUR) == 12445
    flags = [fcntl.fcntl(each, fcntl.F_GETFL) & os.O_APPEND for each in (opened, duplicate, again)]
    about = os.fstat(opened)
    named = os.readlink(f"/proc/self/fd/{again}") == "/memfd:opened twice (deleted)"
    return (
        place == (12345, 54321)
        and read
        and flags == [0, 0, os.O_APPEND]
        and (about.st_mode & 0o7777, about.st_size) == (0o640, SIZE)
        and named
    )


def by_read():
    held = os.pread(again, SIZE, 0)
    return same(held) and count_in(held) > 0


def by_later_mapping():
    with mmap.mmap(again, SIZE) as later:
        later[SIZE - 1 :] = content[SIZE - 1 :]
        before = count_in(later)
        end = time.monotonic() + 60
        while count_in(later) == before and time.monotonic() < end:
            time.sleep(0.01)
        return same(later) and count_in(later) > before


def by_fork():
    asking = os.fork()
    if asking == 0:
        os._exit(0 if same(mapped) and same(anonymous) and same(os.pread(opened, SIZE, 0)) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(asking, 0)[1]) == 0


checks["open file"] = is_open
checks["content by read(2)"] = by_read
checks["content by a later mapping"] = by_later_mapping
checks["content in a later child"] = by_fork

# Sealed against another size, and against more seals; not sealed at all; and never to be sealed.
sealed = made("sealed")
of_sealed = mmap.mmap(sealed, SIZE)
fcntl.fcntl(sealed, F_ADD_SEALS, SHRINK | GROW | SEAL)
counted["sealed"] = of_sealed
unsealed = made("unsealed")
of_unsealed = mmap.mmap(unsealed, SIZE)
never = made("never sealed", flags=0)
of_never = mmap.mmap(never, SIZE)
# Those CRIU has to make: no more to be written, and one that somebody may only read.
unwritable = made("unwritable")
fcntl.fcntl(unwritable, F_ADD_SEALS, WRITE)
of_unwritable = mmap.mmap(os.open(f"/proc/self/fd/{unwritable}", os.O_RDONLY), SIZE, prot=mmap.PROT_READ)
readable = made("readable")
reader = os.open(f"/proc/self/fd/{readable}", os.O_RDONLY)
of_readable = mmap.mmap(readable, SIZE)
counted["readable"] = of_readable


def seals():
    return [fcntl.fcntl(each, F_GET_SEALS) for each in (sealed, unsealed, never, unwritable, readable)]


checks["seals"] = lambda: seals() == [SHRINK | GROW | SEAL, 0, SEAL, WRITE, 0]
checks["sealed content"] = lambda: of_unwritable[:] == content and os.pread(unwritable, SIZE, 0) == content
checks["content that was not sealed"] = lambda: of_unsealed[:] == content and of_never[:] == content


def only_reads():
    try:
        os.pwrite(reader, b"x", 0)
    except OSError:
        return same(os.pread(reader, SIZE, 0))
    return False


checks["descriptor for reading"] = only_reads

# A size that is no whole number of pages, which goes on growing; pages that are given back again and again.
growing = made("growing", SIZE + 100)
of_growing = mmap.mmap(growing, SIZE + 100)
sparse = made("sparse")
of_sparse = mmap.mmap(sparse, SIZE)
at_sparse = ctypes.addressof(ctypes.c_char.from_buffer(of_sparse))
libc.madvise(at_sparse, SIZE // 2, MADV_REMOVE)
checks["size"] = lambda: (
    os.fstat(growing).st_size >= SIZE + 100 and set(os.pread(growing, 1 << 20, SIZE + 100)) <= set(b"g")
)
checks["holes"] = lambda: (
    # To look at a hole through a mapping makes pages of it.
    os.fstat(sparse).st_blocks * 512 <= SIZE // 2 + PAGE
    and of_sparse[PAGE : SIZE // 2] == bytes(SIZE // 2 - PAGE)
    and of_sparse[SIZE // 2 :] == content[SIZE // 2 :]
)

# Mapped with an offset, twice, and partly for reading only.
pieces = made("pieces")
first = mmap.mmap(pieces, SIZE // 2, offset=SIZE // 2)
second = mmap.mmap(pieces, SIZE // 4, offset=SIZE // 2)
libc.mprotect(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(first))), PAGE, mmap.PROT_READ)
PRIVATE = mmap.mmap(pieces, SIZE, flags=mmap.MAP_PRIVATE)
PRIVATE[:4] = b"mine"


def in_pieces():
    second[PAGE : PAGE + 5] = b"hello"
    return (
        first[PAGE : PAGE + 5] == b"hello"
        and os.pread(pieces, 5, SIZE // 2 + PAGE) == b"hello"
        and PRIVATE[:4] == b"mine"
        and os.pread(pieces, 4, 0) == content[:4]
    )


checks["pieces"] = in_pieces

# System V's, of a size that is no whole number of pages and large enough to be filled beside CRIU.
MANY = 5
number = libc.shmget(0x5EED, MANY * SIZE - 100, 0o1640)
attached = memoryview((ctypes.c_char * (MANY * SIZE - 100)).from_address(libc.shmat(number, None, 0))).cast(
    "B"
)
for at in range(MANY - 1):
    attached[at * SIZE : (at + 1) * SIZE] = content
attached[(MANY - 1) * SIZE :] = content[:-100]
counted["System V"] = attached[:SIZE]


def rest_of_it():
    pieces = [bytes(attached[at * SIZE : (at + 1) * SIZE]) for at in range(1, MANY)]
    with open("/proc/sysvipc/shm", encoding="ascii") as lines:
        (size,) = [int(line.split()[3]) for line in lines if line.split()[1] == str(number)]
    return pieces == [content] * (MANY - 2) + [content[:-100]] and size == MANY * SIZE - 100


checks["System V's, the rest of it"] = rest_of_it
checks["System V's key"] = lambda: libc.shmget(0x5EED, 0, 0) == number


def attached_later():
    place = libc.shmat(number, None, 0)
    held = ctypes.string_at(place, SIZE)
    libc.shmdt(ctypes.c_void_p(place))
    return same(held)


checks["System V's, attached later"] = attached_later

child = os.fork()
if child == 0:
    count = 0
    while True:
        count += 1
        for each in counted.values():
            struct.pack_into("q", each, PAGE, count)
        if count % 10 == 0:
            os.pwrite(growing, b"g", os.fstat(growing).st_size)
        # Written, and given back.
        of_sparse[:4] = b"some"
        libc.madvise(at_sparse, PAGE, MADV_REMOVE)
        time.sleep(0.005)


def counts(held):
    before = count_in(held)
    end = time.monotonic() + 60
    while count_in(held) <= before and time.monotonic() < end:
        time.sleep(0.01)
    return same(held) and count_in(held) > before > 0


for name, held in counted.items():
    checks[f"{name}, that a child writes"] = lambda held=held: counts(held)
