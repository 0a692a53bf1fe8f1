# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container has printed goes to the target: whole entries, in order, nothing twice."""

from __future__ import annotations

import errno
import gzip
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest
from ansible_collections.mec.migration.plugins.module_utils.docker.container_log import (
    CACHED,
    FRAME_LENGTH,
    FRAMES,
    JSON_LINES,
    ContainerLog,
    LogFile,
    LogLimits,
)
from ansible_collections.mec.migration.plugins.module_utils.preflight.logs import log_warnings
from ansible_collections.mec.migration.plugins.module_utils.preflight.pair import Container
from ansible_collections.mec.migration.plugins.module_utils.source import log_copy
from ansible_collections.mec.migration.plugins.module_utils.source.log_copy import LogCopy
from ansible_collections.mec.migration.plugins.module_utils.target import log_receiver
from ansible_collections.mec.migration.plugins.module_utils.target.log_receiver import LogReceiver
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Message
from peers import Peer

HERE, THERE = "a" * 64, "b" * 64


def line(number: int) -> bytes:
    return b'{"log":"line %d\\n"}\n' % number


def frame(number: int) -> bytes:
    words = b"entry %d" % number
    return FRAME_LENGTH.pack(len(words)) + words + FRAME_LENGTH.pack(len(words))


ENTRY = {JSON_LINES: line, FRAMES: frame, CACHED: frame}


def entries(form: str, first: int, last: int) -> bytes:
    return b"".join(ENTRY[form](number) for number in range(first, last))


@pytest.fixture(name="roots")
def fixture_roots(tmp_path: Path) -> SimpleNamespace:
    """Two hosts' Docker directories; on the target there is a container that was not started yet."""
    (tmp_path / "source" / "containers" / HERE).mkdir(parents=True)
    (tmp_path / "target" / "containers" / THERE).mkdir(parents=True)
    return SimpleNamespace(
        source=tmp_path / "source", target=tmp_path / "target", staging=tmp_path / "staging"
    )


def log_of(roots: SimpleNamespace, form: str, content: bytes) -> Path:
    path = Path(ContainerLog.at(str(roots.source), HERE, form).path)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def arrived(roots: SimpleNamespace, form: str, suffix: str | None = None) -> bytes:
    """What a file of the log holds; with several, what Docker takes for the newest full one."""
    # Docker packs frames if nobody says otherwise.
    suffix = {JSON_LINES: ".1"}.get(form, ".1.gz") if suffix is None else suffix
    content = Path(ContainerLog.at(str(roots.target), THERE, form).path + suffix).read_bytes()
    return gzip.decompress(content) if suffix.endswith(".gz") else content


class Move:
    """A log on its way: both halves, with a real channel between."""

    def __init__(
        self, roots: SimpleNamespace, most_bytes: int = 1 << 20, most_files: int | str = 4, **options: str
    ) -> None:
        self.receiver = LogReceiver(str(roots.target), str(roots.staging))
        options = {name.replace("_", "-"): value for name, value in options.items()}
        if most_files:
            options |= {"max-file": str(most_files), "cache-max-file": str(most_files)}
        self.copy = LogCopy(ContainerLog.find(str(roots.source), HERE), options)
        self.most_bytes = most_bytes

    def __enter__(self) -> Move:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.copy.close()

    def send(self) -> None:
        with self.peer() as peer:
            self.copy.send(peer.channel, self.most_bytes)
        self.receiver.place(THERE)

    def send_new(self) -> None:
        with self.peer() as peer:
            self.copy.send_new(peer.channel)

    def direct(self) -> Any:
        """A channel without a thread behind: each part is taken while it is sent."""

        def send(kind: str, body: bytes, **fields: object) -> None:
            self.receiver.handlers[kind](Message(kind, dict(fields), body), cast(Any, None))

        return SimpleNamespace(send=send)

    def peer(self) -> Peer:
        return Peer(self.receiver.handlers)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as log:
        log.write(content)


@pytest.mark.parametrize("form", [JSON_LINES, FRAMES, CACHED])
def test_it_arrives_whole_and_goes_on(form: str, roots: SimpleNamespace) -> None:
    path = log_of(roots, form, entries(form, 0, 50))
    with Move(roots) as move:
        move.send()
        assert arrived(roots, form) == entries(form, 0, 50)
        append(path, entries(form, 50, 60))
        move.send_new()
        move.send_new()
    assert arrived(roots, form) == entries(form, 0, 60)
    assert (move.receiver.told, move.copy.error) == ({"log_error": ""}, "")
    where = Path(ContainerLog.at(str(roots.target), THERE, form).path)
    (where,) = where.parent.glob("*log.1*")
    assert stat.S_IMODE(where.stat().st_mode) == 0o640


def test_a_log_without_an_entry_goes_on(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, b"")
    with Move(roots, most_files="") as move:
        move.send()
        append(path, entries(FRAMES, 0, 3))
        move.send_new()
    assert arrived(roots, FRAMES) == entries(FRAMES, 0, 3)


def test_in_a_single_file_there_is_room_for_what_comes(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 50))
    with Move(roots, most_files="") as move:
        move.send()
        opened = arrived(roots, JSON_LINES, "")
        assert opened.strip(b" \n") == entries(JSON_LINES, 0, 50).strip()
        append(path, entries(JSON_LINES, 50, 60))
        move.send_new()
        append(path, entries(JSON_LINES, 60, 70))
        move.send_new()
    after = arrived(roots, JSON_LINES, "")
    # Docker shows what is before the length that it found.
    assert len(after) == len(opened)
    # The spaces are no line, which `docker logs --tail` would count.
    assert after.rstrip(b" ") == entries(JSON_LINES, 0, 70)
    assert move.copy.error == ""


def test_a_single_file_has_room_for_a_minute(roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_of(roots, JSON_LINES, b"")
    now = [100.0]
    monkeypatch.setattr(log_copy.time, "monotonic", lambda: now[0])
    with Move(roots, most_files=1) as move:
        append(path, line(1) * 20000)
        now[0] += 2
        move.send()
    there = arrived(roots, JSON_LINES, "")
    room_bytes = len(there) - len(there.rstrip(b" "))
    assert room_bytes == min(len(line(1)) * 10000 * 60, log_copy.MOST_ROOM_BYTES)


def test_what_finds_no_room_is_told(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, line(1))
    with Move(roots, most_files=1) as move:
        move.send()
        opened = arrived(roots, JSON_LINES, "")
        append(path, entries(JSON_LINES, 10000, 20000))
        move.send_new()
    after = arrived(roots, JSON_LINES, "")
    assert len(after) == len(opened)
    kept = after.rstrip(b" \n") + b"\n"
    assert (line(1) + entries(JSON_LINES, 10000, 20000)).startswith(kept)
    assert kept.endswith(b"}\n")
    left_bytes = len(line(1) + entries(JSON_LINES, 10000, 20000)) - len(kept)
    assert f"no room for {left_bytes} bytes" in move.copy.error


def test_of_a_single_file_of_frames_what_comes_stays_behind(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 0, 5))
    with Move(roots, most_files=1) as move:
        move.send()
        append(path, entries(FRAMES, 5, 6))
        move.send_new()
    assert arrived(roots, FRAMES, "") == entries(FRAMES, 0, 5)
    assert f"no room for {len(frame(5))} bytes" in move.copy.error


@pytest.mark.parametrize("full_bytes", [1000, 100000, 300000, 10_000_000])
def test_the_room_lets_docker_write(full_bytes: int, roots: SimpleNamespace) -> None:
    """Docker empties a single file when it is full, spaces or not."""
    log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 40))
    with Move(roots, most_files=1, max_size=f"{full_bytes / 1000}k") as move:
        move.send()
    there = arrived(roots, JSON_LINES, "")
    assert there.rstrip(b" ") == entries(JSON_LINES, 0, 40)
    assert full_bytes - len(there) >= (full_bytes - len(entries(JSON_LINES, 0, 40))) // 2
    assert len(there.rstrip(b" ")) < len(there)


def test_where_the_file_is_full_there_is_no_room(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 100))
    with Move(roots, most_files=1, max_size="1k") as move:
        move.send()
        append(path, entries(JSON_LINES, 100, 101))
        move.send_new()
    assert arrived(roots, JSON_LINES, "") == entries(JSON_LINES, 0, 100)
    assert f"no room for {len(line(100))} bytes" in move.copy.error


def test_room_of_an_earlier_move_stays_behind(roots: SimpleNamespace) -> None:
    spaces = b" " * (3 * log_copy.CHUNK_BYTES)
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 5) + spaces)
    with Move(roots, 1 << 30, most_files=1) as move:
        move.send()
        append(path, entries(JSON_LINES, 5, 6) + b" " * 100)
        move.send_new()
    there = arrived(roots, JSON_LINES, "")
    assert there.rstrip(b" ") == entries(JSON_LINES, 0, 6)
    assert len(there) <= len(entries(JSON_LINES, 0, 5)) + log_copy.LEAST_ROOM_BYTES
    assert move.copy.error == ""


@pytest.mark.parametrize("form", [JSON_LINES, FRAMES])
@pytest.mark.parametrize("most_files", [2, 3])
def test_many_moves_lose_nothing_that_docker_keeps(
    form: str, most_files: int, roots: SimpleNamespace
) -> None:
    full_bytes = len(entries(form, 100, 140))
    printed = 100
    log_of(roots, form, b"")
    for _turn in range(12):
        path = Path(ContainerLog.at(str(roots.source), HERE, form).path)
        append(path, entries(form, printed, printed + 15))
        printed += 15
        with Move(roots, most_files=most_files, max_size=f"{full_bytes / 1000}k") as move:
            move.send()
        assert (move.copy.error, move.receiver.told) == ("", {"log_error": ""})
        there = Path(ContainerLog.at(str(roots.target), THERE, form).path)
        # The target is the source of the next move; what Docker writes to is empty there.
        for old in path.parent.glob("*log*"):
            old.unlink()
        for new in there.parent.glob("*log*"):
            os.rename(new, path.with_name(new.name.replace(there.name, path.name)))
        path.touch()
    log = ContainerLog.at(str(roots.source), HERE, form)
    kept = b"".join(file.open().read() for file in reversed(log.files()))
    assert kept.endswith(entries(form, 200, printed))
    assert kept == entries(form, printed - len(kept) // len(ENTRY[form](100)), printed)
    assert (most_files - 1) * full_bytes <= len(kept) <= 2 * (most_files - 1) * full_bytes


def test_a_full_file_that_is_damaged_keeps_nothing_else_back(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 10, 20))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(entries(FRAMES, 0, 10))[:-9])
    with Move(roots) as move:
        move.send()
    assert arrived(roots, FRAMES) == entries(FRAMES, 10, 20)
    assert (Path(ContainerLog.at(str(roots.target), THERE, FRAMES).path + ".2.gz")).read_bytes()


def test_of_a_log_that_cannot_be_read_to_its_end_nothing_is_placed(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 10, 20))
    Path(f"{path}.1").write_bytes(entries(JSON_LINES, 0, 10))
    read = LogFile.open

    def damaged(file: LogFile) -> BinaryIO:
        if not file.number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file)

    monkeypatch.setattr(LogFile, "open", damaged)
    with Move(roots) as move:
        move.send()
        append(path, entries(JSON_LINES, 20, 21))
        move.send_new()
    assert arrived(roots, JSON_LINES) == b""
    assert os.strerror(errno.EIO) in move.copy.error


def test_a_newer_file_that_cannot_be_opened_goes_with_what_is_printed_next(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))

    def renamed(file: LogFile) -> BinaryIO:
        raise FileNotFoundError(errno.ENOENT, "it has another name now", file.path)

    with Move(roots) as move:
        move.send()
        os.rename(path, f"{path}.1")
        path.write_bytes(entries(JSON_LINES, 10, 20))
        with monkeypatch.context() as patch:
            patch.setattr(LogFile, "open", renamed)
            move.send_new()
        assert "another name" in move.copy.error
        move.send_new()
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 0, 20)
    assert move.copy.error == ""


def test_a_file_that_is_being_packed_goes_as_it_was(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 10, 20))
    Path(f"{path}.1").write_bytes(entries(FRAMES, 0, 10))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(entries(FRAMES, 0, 10))[:20])
    with Move(roots) as move:
        move.send()
    assert arrived(roots, FRAMES) == entries(FRAMES, 0, 20)


def test_files_that_docker_renames_while_they_are_read_go_once(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 10, 20))
    Path(f"{path}.1").write_bytes(entries(JSON_LINES, 0, 10))
    newest = ContainerLog.newest

    def renames_afterwards(log: ContainerLog, most_bytes: int) -> object:
        found = newest(log, most_bytes)
        if not Path(f"{path}.2").exists():
            os.rename(f"{path}.1", f"{path}.2")
            os.rename(path, f"{path}.1")
            path.write_bytes(entries(JSON_LINES, 20, 30))
        return found

    monkeypatch.setattr(ContainerLog, "newest", renames_afterwards)
    with Move(roots, max_size="0.3k") as move:
        move.send()
    there = [arrived(roots, JSON_LINES, suffix) for suffix in (".3", ".2", ".1")]
    assert b"".join(there) == entries(JSON_LINES, 0, 30)
    assert move.copy.error == ""


@pytest.mark.parametrize("form", [JSON_LINES, FRAMES, CACHED])
@pytest.mark.parametrize("last", [21, 60])
def test_what_is_printed_after_somebody_has_emptied_it_goes_along(
    form: str, last: int, roots: SimpleNamespace
) -> None:
    """As `logrotate` does it (copytruncate), however long it is by the next look."""
    path = log_of(roots, form, entries(form, 0, 10))
    with Move(roots) as move:
        channel = move.direct()
        move.copy.send(channel, move.most_bytes)
        move.receiver.place(THERE)
        append(path, entries(form, 10, 20))
        move.copy.send_new(channel)
        os.truncate(path, 0)
        append(path, entries(form, 20, last))
        move.copy.send_new(channel)
        append(path, entries(form, last, 70))
        move.copy.send_new(channel)
    assert arrived(roots, form) == entries(form, 0, 70)
    assert move.copy.error == ""


def test_an_entry_that_is_half_written_goes_with_the_next(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 0, 3) + frame(3)[:5])
    with Move(roots) as move:
        move.send()
        assert arrived(roots, FRAMES) == entries(FRAMES, 0, 3)
        assert "last 5 bytes are no whole entry" in move.copy.error
        append(path, frame(3)[5:])
        move.send_new()
    assert arrived(roots, FRAMES) == entries(FRAMES, 0, 4)
    assert move.copy.error == ""


def test_parts_end_with_an_entry(roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_copy, "CHUNK_BYTES", 100)
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 50))
    parts: list[bytes] = []
    with Move(roots) as move:
        channel = move.direct()
        take = channel.send

        def noted(kind: str, body: bytes, **fields: object) -> None:
            parts.append(body)
            take(kind, body, **fields)

        channel.send = noted
        move.copy.send(channel, move.most_bytes)
        move.receiver.place(THERE)
        append(path, entries(JSON_LINES, 50, 70))
        move.copy.send_new(channel)
    assert len(parts) > 10
    assert all(part.endswith(b"}\n") for part in parts if part)
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 0, 70)


def test_files_that_are_full_go_along(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 30, 40))
    for number, content in ((1, entries(FRAMES, 20, 30)), (3, entries(FRAMES, 0, 10))):
        Path(f"{path}.{number}").write_bytes(content)
    Path(f"{path}.2.gz").write_bytes(gzip.compress(entries(FRAMES, 10, 20)))
    Path(f"{path}.tmp").write_bytes(b"none of its files")
    with Move(roots, most_files=5, max_size="0.2k") as move:
        move.send()
    assert arrived(roots, FRAMES) == entries(FRAMES, 30, 40)
    # Not packed yet when it was sent.
    assert arrived(roots, FRAMES, ".2.gz") == entries(FRAMES, 20, 30)
    assert arrived(roots, FRAMES, ".3.gz") == entries(FRAMES, 10, 20)
    assert arrived(roots, FRAMES, ".4.gz") == entries(FRAMES, 0, 10)
    # Docker shows no fourth one beside the one that it writes.
    assert sorted(each.name for each in (roots.target / "containers" / THERE / "local-logs").iterdir()) == [
        "container.log.1.gz",
        "container.log.2.gz",
        "container.log.3.gz",
        "container.log.4.gz",
    ]


def test_where_there_is_no_place_for_one_more_file_the_newest_two_are_one(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 30, 40))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(entries(FRAMES, 20, 30)))
    Path(f"{path}.2.gz").write_bytes(gzip.compress(entries(FRAMES, 10, 20)))
    Path(f"{path}.3.gz").write_bytes(b"older than what Docker shows")
    with Move(roots, most_files=3, max_size="0.2k") as move:
        move.send()
    assert arrived(roots, FRAMES) == entries(FRAMES, 20, 40)
    assert arrived(roots, FRAMES, ".2.gz") == entries(FRAMES, 10, 20)
    assert len(list((roots.target / "containers" / THERE / "local-logs").iterdir())) == 2


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_docker_begins_a_new_file_meanwhile(times: int, packed: bool, roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        append(path, entries(JSON_LINES, 10, 20))
        for turn in range(times):
            for number in range(turn, -1, -1):
                older = f"{path}.{number}" if number else str(path)
                os.rename(older, f"{path}.{number + 1}")
            path.write_bytes(entries(JSON_LINES, 20 + 10 * turn, 30 + 10 * turn))
        if packed:
            oldest = Path(f"{path}.{times}")
            oldest.with_name(oldest.name + ".gz").write_bytes(gzip.compress(oldest.read_bytes()))
            oldest.unlink()
        move.send_new()
        append(path, entries(JSON_LINES, 90, 95))
        move.send_new()
    expected = entries(JSON_LINES, 0, 20 + 10 * times) + entries(JSON_LINES, 90, 95)
    assert arrived(roots, JSON_LINES) == expected
    assert move.copy.error == ""


def test_what_docker_removed_meanwhile_is_told(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        path.unlink()
        path.write_bytes(entries(JSON_LINES, 20, 30))
        move.send_new()
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 0, 10) + entries(JSON_LINES, 20, 30)
    assert "Docker removed" in move.copy.error


def test_what_is_written_right_before_a_new_file_is_begun_goes_along(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        send = move.copy._send_rest

        def writes_meanwhile(log: BinaryIO) -> None:
            send(log)
            if not Path(f"{path}.1").exists():
                append(path, entries(JSON_LINES, 10, 11))
                os.rename(path, f"{path}.1")
                path.write_bytes(entries(JSON_LINES, 11, 12))

        monkeypatch.setattr(move.copy, "_send_rest", writes_meanwhile)
        move.send_new()
        move.send_new()
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 0, 12)


def test_of_a_container_that_is_removed_the_end_goes_along(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        append(path, entries(JSON_LINES, 10, 11))
        path.unlink()
        move.send_new()
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 0, 11)


@pytest.mark.parametrize(("form", "most_files"), [(JSON_LINES, 1), (JSON_LINES, 4), (FRAMES, 4)])
def test_on_a_new_connection_nothing_is_missing_or_twice(
    form: str, most_files: int, roots: SimpleNamespace
) -> None:
    path = log_of(roots, form, entries(form, 0, 10))
    with Move(roots, most_files=most_files) as move:
        move.send()
        append(path, entries(form, 10, 20))
        # What is sent on this one never arrives.
        lost = Peer(move.receiver.handlers, limit=0)
        move.copy.send_new(lost.channel)
        lost.close()
        append(path, entries(form, 20, 30))
        move.send_new()
    there = arrived(roots, form, None if most_files > 1 else "")
    assert (there if form == FRAMES else there.rstrip(b" \n") + b"\n") == entries(form, 0, 30)
    assert move.receiver.told == {"log_error": ""}


@pytest.mark.parametrize("form", [JSON_LINES, FRAMES])
@pytest.mark.parametrize("most_entries", [0.5, 1, 7.3, 30, 99])
def test_of_a_long_log_the_newest_entries_go(form: str, most_entries: float, roots: SimpleNamespace) -> None:
    entry_bytes = len(ENTRY[form](100))
    log_of(roots, form, entries(form, 100, 130))
    log = ContainerLog.find(str(roots.source), HERE)
    assert log is not None
    files, older_bytes = log.newest(int(most_entries * entry_bytes))
    with Move(roots, int(most_entries * entry_bytes)) as move:
        move.send()
    kept = min(int(most_entries), 30)
    assert older_bytes == (30 - kept) * entry_bytes
    assert sum(file.size_bytes - file.offset for file in files) == kept * entry_bytes
    assert arrived(roots, form) == entries(form, 130 - kept, 130)


def test_a_full_file_goes_whole_or_not(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 20, 30))
    Path(f"{path}.1").write_bytes(entries(JSON_LINES, 10, 20))
    Path(f"{path}.2").write_bytes(entries(JSON_LINES, 0, 1))
    log = ContainerLog.find(str(roots.source), HERE)
    assert log is not None
    files, older_bytes = log.newest(len(entries(JSON_LINES, 11, 30)))
    assert [file.number for file in files] == [0]
    assert older_bytes == len(entries(JSON_LINES, 10, 20)) + len(entries(JSON_LINES, 0, 1))


@pytest.mark.parametrize("form", [FRAMES, JSON_LINES])
def test_a_damaged_log_ends_where_it_is_damaged(form: str, roots: SimpleNamespace) -> None:
    log_of(roots, form, b"\xff" * 100)
    log = ContainerLog.find(str(roots.source), HERE)
    assert log is not None
    (file,), older_bytes = log.newest(10)
    assert file.offset == older_bytes == 100


def test_nothing_is_sent_where_there_is_none(roots: SimpleNamespace) -> None:
    assert ContainerLog.find(str(roots.source), HERE) is None
    with Move(roots) as move:
        move.send()
    log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 3))
    with Move(roots, most_bytes=0) as move:
        move.send()
    assert os.listdir(roots.target / "containers" / THERE) == []


def test_a_target_that_cannot_write_says_so_and_goes_on(roots: SimpleNamespace) -> None:
    log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 3))
    roots.staging.write_text("a file where a directory should be")
    with Move(roots) as move:
        move.send()
        move.send_new()
    assert "exists" in move.receiver.told["log_error"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"form": "journald", "file": "", "offset": 0}, "damaged"),
        ({"form": JSON_LINES, "file": "/../x", "offset": 0}, "damaged"),
        ({"form": JSON_LINES, "file": "", "offset": 1 << 40}, "damaged"),
        ({"form": JSON_LINES, "file": "", "offset": 10}, "missing"),
        ({"form": JSON_LINES, "file": ".7", "offset": 0}, "missing"),
    ],
)
def test_a_part_that_is_none_is_not_written(
    fields: dict[str, object], said: str, roots: SimpleNamespace
) -> None:
    receiver = LogReceiver(str(roots.target), str(roots.staging))
    with Peer(receiver.handlers) as peer:
        peer.channel.send("log.part", b"", form=JSON_LINES, file="", offset=0, first=True)
    receiver.place(THERE)
    with Peer(receiver.handlers) as peer:
        peer.channel.send("log.part", b"x", first=False, **fields)
    assert said in receiver.told["log_error"]
    assert [path.stat().st_size for path in roots.target.rglob("*.log*")] == [0]


def test_after_docker_has_begun_a_new_file_the_rest_comes_into_the_old_one(roots: SimpleNamespace) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        there = ContainerLog.at(str(roots.target), THERE, JSON_LINES).path
        os.rename(f"{there}.1", f"{there}.2")
        Path(f"{there}.1").write_bytes(entries(JSON_LINES, 20, 30))
        append(path, entries(JSON_LINES, 10, 12))
        move.send_new()
    assert arrived(roots, JSON_LINES, ".2") == entries(JSON_LINES, 0, 12)
    assert arrived(roots, JSON_LINES, ".1") == entries(JSON_LINES, 20, 30)


def disk_full(*_unused: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_of_a_log_of_which_a_part_is_missing_nothing_is_placed(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 10, 20))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(entries(FRAMES, 0, 10)))
    monkeypatch.setattr(log_receiver, "os", SimpleNamespace(**vars(os)))
    monkeypatch.setattr(log_receiver.os, "pwrite", disk_full)
    with Move(roots, max_size="0.1k") as move:
        move.send()
    assert list((roots.target / "containers" / THERE).rglob("*")) == []
    assert list(roots.staging.iterdir()) == []
    assert move.receiver.told["log_error"].endswith(f"on the target: {os.strerror(errno.ENOSPC)}")


@pytest.mark.parametrize("form", [JSON_LINES, FRAMES])
def test_of_a_later_part_nothing_is_left_if_it_cannot_be_written(
    form: str, roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, form, entries(form, 0, 10))
    with Move(roots) as move:
        channel = move.direct()
        move.copy.send(channel, move.most_bytes)
        move.receiver.place(THERE)
        append(path, entries(form, 10, 20))
        writes = [lambda descriptor, data, at: os.pwrite(descriptor, data[:7], at), disk_full]

        def pwrite(descriptor: int, data: bytes, at: int) -> int:
            return writes.pop(0)(descriptor, data, at)

        monkeypatch.setattr(log_receiver, "os", SimpleNamespace(**vars(os)))
        monkeypatch.setattr(log_receiver.os, "pwrite", pwrite)
        move.copy.send_new(channel)
        move.copy.send_new(channel)
    assert arrived(roots, form) == entries(form, 0, 10)
    assert move.receiver.told["log_error"].endswith(f"on the target: {os.strerror(errno.ENOSPC)}")


def test_a_log_that_comes_again_is_whole_though_it_failed_before(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 20, 30))
    for number in (1, 2):
        Path(f"{path}.{number}").write_bytes(entries(JSON_LINES, 20 - 10 * number, 30 - 10 * number))
    with Move(roots, max_size="0.3k") as move:
        with monkeypatch.context() as patch:
            patch.setattr(log_receiver, "os", SimpleNamespace(**vars(os)))
            patch.setattr(log_receiver.os, "pwrite", disk_full)
            with move.peer() as peer:
                move.copy.send(peer.channel, move.most_bytes)
        Path(f"{path}.2").unlink()
        move.send()
    assert arrived(roots, JSON_LINES) == entries(JSON_LINES, 20, 30)
    assert arrived(roots, JSON_LINES, ".2") == entries(JSON_LINES, 10, 20)
    assert not Path(ContainerLog.at(str(roots.target), THERE, JSON_LINES).path + ".3").exists()
    assert move.receiver.told == {"log_error": ""}


@pytest.mark.parametrize(
    ("form", "options", "limits"),
    [
        (JSON_LINES, {}, (1, float("inf"), False)),
        (FRAMES, {}, (5, 20 << 20, True)),
        (CACHED, {"max-file": "2", "cache-max-file": "3", "cache-compress": "false"}, (3, 20 << 20, False)),
        (JSON_LINES, {"max-size": "10m", "max-file": "3", "compress": "true"}, (3, 10_000_000, True)),
        (JSON_LINES, {"max-size": "1.5 KiB", "compress": "true"}, (1, 1500, False)),
        (FRAMES, {"max-size": "5", "compress": "0"}, (5, 5, False)),
    ],
)
def test_what_docker_keeps(form: str, options: dict[str, str], limits: tuple[int, float, bool]) -> None:
    assert LogLimits.of(form, options) == limits


@pytest.mark.parametrize(("log_mib", "warned"), [(0, True), (1, True), (3, False)])
def test_the_plan_says_what_stays_behind(log_mib: int, warned: bool, roots: SimpleNamespace) -> None:
    log_of(roots, JSON_LINES, line(1) * (2 * (1 << 20) // len(line(1))))
    source = {"docker": {"root_dir": str(roots.source)}}
    container = Container({"Id": HERE}, {"name": "talker"}, 0)
    told = list(log_warnings(source, container, log_mib))
    assert [f"newest {log_mib} MiB move" in each and "log_mib" in each for each in told] == [True] * warned
