# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of a migration: one small JSON file a migration and side, on disk, mode 0600.

It outlives the process that wrote it, dockerd, the controller and a reboot, so that ``mec.migration.resolve``
can end what was left open. A state is on disk, directory included, before what it announces is done.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..base.crash_points import around
from ..base.errors import MigrationError

JOURNAL_DIR = "/var/lib/mec-migration"
FORMAT = 2
SOURCE, TARGET = "source", "target"

# The source's states, in order. ``open``: nothing of the service was touched. ``frozen``: it may be frozen,
# and the mark was not sent. ``mark_sent``: the mark may have been sent. ``handed_over``: the target said that
# it runs there.
OPEN, FROZEN, MARK_SENT, HANDED_OVER, SETTLED = "open", "frozen", "mark_sent", "handed_over", "settled"
SOURCE_STATES = (OPEN, FROZEN, MARK_SENT, HANDED_OVER, SETTLED)
# The target's states, in order. ``open``: an agent listens. ``armed``: a container waits. ``restoring``: it
# may run. ``running``: it runs, and pages may be missing. ``filled``: it runs and needs the source no more.
ARMED, RESTORING, RUNNING, FILLED = "armed", "restoring", "running", "filled"
TARGET_STATES = (OPEN, ARMED, RESTORING, RUNNING, FILLED, SETTLED)
STATES = {SOURCE: SOURCE_STATES, TARGET: TARGET_STATES}
# How a side was settled. ``destroyed`` is written only after the container's cgroup was seen empty.
COMMITTED, ROLLED_BACK, KEPT, DESTROYED = "committed", "rolled_back", "kept", "destroyed"
OUTCOMES = {SOURCE: (COMMITTED, ROLLED_BACK), TARGET: (KEPT, DESTROYED)}


class Entry(NamedTuple):
    """What one side knows of one migration.

    :ivar time: of the last write, seconds since the epoch on this host's clock.
    :ivar opened: when the migration was opened on this side, likewise.
    :ivar outcome: set in state ``settled`` only.
    :ivar phase: what is being done, in words; it decides nothing.
    :ivar started_by: user and controller.
    :ivar container_id: of this side's container, ``peer_container_id`` of the other side's.
    :ivar restart_policy: what the container had before the migration, as Docker writes it.
    :ivar images_dir: on the target, where the images of its memory lie.
    :ivar staging_dir: on the target, where layers of its image wait for Docker.
    :ivar lazy: on the target, whether pages may be missing while it is ``restoring`` or ``running``.
    :ivar reason: why it came to this state.
    """

    migration_id: str
    side: str
    state: str = ""
    service: str = ""
    time: float = 0.0
    opened: float = 0.0
    outcome: str = ""
    phase: str = ""
    started_by: str = ""
    engine_id: str = ""
    address: str = ""
    peer_engine_id: str = ""
    peer_address: str = ""
    container_id: str = ""
    peer_container_id: str = ""
    restart_policy: dict[str, Any] | None = None
    images_dir: str = ""
    staging_dir: str = ""
    lazy: bool = False
    reason: str = ""
    format: int = FORMAT

    @classmethod
    def parse(cls, text: str) -> Entry:
        """An entry from its JSON.

        :raises ValueError: it is none; says what is wrong with it.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise ValueError("it holds no JSON object")
        if fields.get("format") != FORMAT:
            raise ValueError(f"its format is {fields.get('format')!r}, and {FORMAT} is needed")
        missing = [name for name in ("migration_id", "side", "state") if not fields.get(name)]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        known = {name: value for name, value in fields.items() if name in cls._fields}
        for name, value in known.items():
            _check_type(name, value)
        if known["side"] not in STATES or known["state"] not in STATES[known["side"]]:
            raise ValueError(f"{known['side']} has no state {known['state']!r}")
        if known.get("outcome") and known["outcome"] not in OUTCOMES[known["side"]]:
            raise ValueError(f"{known['side']} has no outcome {known['outcome']!r}")
        return cls(**known)

    def to_json(self) -> str:
        return json.dumps(self._asdict())


def _check_type(name: str, value: object) -> None:
    """:raises ValueError: a field of an entry has the wrong type."""
    if name == "restart_policy":
        right = value is None or isinstance(value, dict)
    elif name in ("time", "opened"):
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif name == "format":
        right = True
    elif name == "lazy":
        right = isinstance(value, bool)
    else:
        right = isinstance(value, str)
    if not right:
        raise ValueError(f"its {name} is {value!r}")


class DamagedEntry(NamedTuple):
    """A journal that cannot be read. ``migration_id`` and ``side`` are those of its file's name."""

    path: str
    migration_id: str
    side: str
    why: str


class Journals(NamedTuple):
    """All journals of a host, oldest first, and those that cannot be read: of which service is unknown."""

    entries: list[Entry]
    damaged: list[DamagedEntry]


class Journal:
    """The journal of one side of one migration.

    :param directory: :data:`JOURNAL_DIR` if None.
    :raises MigrationError: it is there and cannot be read.
    """

    def __init__(self, migration_id: str, side: str, directory: str | None = None) -> None:
        self._directory = directory or JOURNAL_DIR
        self._path = os.path.join(self._directory, f"{migration_id}.{side}.json")
        self.entry = Entry(migration_id, side)
        try:
            with open(self._path, encoding="utf-8") as kept:
                self.entry = Entry.parse(kept.read())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise MigrationError(
                f"the journal {self._path} cannot be read: {error}. Look at both hosts of migration "
                f"{migration_id} by hand, see which one has the service, then remove that file",
                phase="resolve",
            ) from error

    @property
    def state(self) -> str:
        return self.entry.state

    @property
    def exists(self) -> bool:
        return bool(self.entry.state)

    def write(self, state: str, **facts: Any) -> None:
        """Record *state*: durably, file and directory, before this returns. A crash leaves the old or the
        new.

        :raises MigrationError: it could not be written; what it announces must not be done.
        """
        self.prepare(state, **facts)()

    def prepare(self, state: str, **facts: Any) -> Callable[[], None]:
        """Write all but the name; the function that is returned makes *state* the journal's, durably.

        It takes half as long as :meth:`write`, for where every millisecond counts.

        :raises MigrationError: as :meth:`write`, also from what is returned.
        """
        entry = self.entry._replace(**facts, state=state, time=time.time())
        if state not in STATES[entry.side]:
            raise ValueError(f"{entry.side} has no state {state!r}")
        temporary = f"{self._path}.{state}.new"
        try:
            _make_directory(self._directory)
            descriptor = -1 if self.exists else _nameless(self._directory)
            nameless = descriptor >= 0
            if not nameless:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            out = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115  A nameless file is gone once closed.
            out.write(entry.to_json())
            out.flush()
            os.fsync(out.fileno())
            if not nameless:
                out.close()
        except OSError as error:
            raise self._unwritten(state, error) from error

        def make_it_so() -> None:
            try:
                with around(f"journal.{state}"):
                    if nameless:
                        _name(out.fileno(), self._path)
                    else:
                        os.replace(temporary, self._path)
                    sync_directory(self._directory)
            except OSError as error:
                raise self._unwritten(state, error) from error
            finally:
                out.close()
            self.entry = entry

        return make_it_so

    def note(self, **facts: Any) -> None:
        """Record what decides nothing (``phase``), without waiting for the disk; a failure is no failure."""
        entry = self.entry._replace(**facts)
        temporary = f"{self._path}.new"
        with contextlib.suppress(OSError):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as out:
                out.write(entry.to_json())
            os.replace(temporary, self._path)
            self.entry = entry

    def remove(self) -> None:
        with around("journal.remove"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
            sync_directory(self._directory)
        for part in ("new", *(f"{state}.new" for state in STATES[self.entry.side])):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{part}")

    def _unwritten(self, state: str, error: OSError) -> MigrationError:
        return MigrationError(
            f"the journal {self._path} could not be brought to state {state}: {error.strerror or error}. "
            f"Is there space on the disk of {self._directory}?",
            phase="handover",
        )


def sync_directory(path: str) -> None:
    """Bring the names in a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _nameless(directory: str) -> int:
    """A new file of which nothing is left unless it gets a name; -1 where there are none."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            return -1
        raise


def _name(descriptor: int, path: str) -> None:
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Without a directory Python calls link(), which does not follow the link in /proc.
        os.link(f"/proc/self/fd/{descriptor}", path, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def _make_directory(path: str) -> None:
    if not os.path.isdir(path):
        os.makedirs(path, mode=0o700, exist_ok=True)
        sync_directory(os.path.dirname(path))


def read_journals(service: str | None = None, directory: str | None = None) -> Journals:
    """All journals on this host; of those that can be read only *service*'s, if given.

    :raises MigrationError: the directory is there and cannot be read.
    """
    directory = directory or JOURNAL_DIR
    found, damaged = [], []
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return Journals([], [])
    except OSError as error:
        raise MigrationError(f"cannot read the journals in {directory}: {error}", phase="resolve") from error
    for name in names:
        migration_id, _dot, side = name[: -len(".json")].rpartition(".")
        if not name.endswith(".json") or side not in STATES:
            continue
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as kept:
                entry = Entry.parse(kept.read())
            if (entry.migration_id, entry.side) != (migration_id, side):
                raise ValueError(f"it is that of {entry.migration_id}, {entry.side}")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            damaged.append(DamagedEntry(path, migration_id, side, str(error)))
            continue
        if service in (None, entry.service):
            found.append(entry)
    return Journals(sorted(found, key=lambda entry: entry.time), damaged)
