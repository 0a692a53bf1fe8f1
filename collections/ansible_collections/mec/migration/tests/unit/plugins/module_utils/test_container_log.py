# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container has printed goes to the target: whole entries, in order, nothing twice."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from ansible_collections.mec.migration.plugins.module_utils.docker.container_log import (
    CACHED,
    FRAME_LENGTH,
    FRAMES,
    JSON_LINES,
    ContainerLog,
)
from ansible_collections.mec.migration.plugins.module_utils.preflight.logs import log_warnings
from ansible_collections.mec.migration.plugins.module_utils.preflight.pair import Container
from ansible_collections.mec.migration.plugins.module_utils.source import log_copy
from ansible_collections.mec.migration.plugins.module_utils.source.log_copy import LogCopy
from ansible_collections.mec.migration.plugins.module_utils.target.log_receiver import LogReceiver
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

    def __init__(self, roots: SimpleNamespace, most_bytes: int = 1 << 20, most_files: int | str = 4) -> None:
        self.receiver = LogReceiver(str(roots.target), str(roots.staging))
        options = {"max-file": str(most_files), "cache-max-file": str(most_files)} if most_files else {}
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
    assert after.rstrip(b" \n") + b"\n" == entries(JSON_LINES, 0, 70)
    assert after.endswith(b" \n")
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
    room_bytes = len(there) - len(line(1) * 20000)
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


def test_files_that_are_full_go_along(roots: SimpleNamespace) -> None:
    path = log_of(roots, FRAMES, entries(FRAMES, 30, 40))
    for number, content in ((1, entries(FRAMES, 20, 30)), (3, entries(FRAMES, 0, 10))):
        Path(f"{path}.{number}").write_bytes(content)
    Path(f"{path}.2.gz").write_bytes(gzip.compress(entries(FRAMES, 10, 20)))
    Path(f"{path}.tmp").write_bytes(b"none of its files")
    with Move(roots, most_files=4) as move:
        move.send()
    assert arrived(roots, FRAMES) == entries(FRAMES, 30, 40)
    # Not packed yet when it was sent.
    assert arrived(roots, FRAMES, ".2.gz") == entries(FRAMES, 20, 30)
    assert arrived(roots, FRAMES, ".3.gz") == entries(FRAMES, 10, 20)
    # Docker shows no fourth one beside the one that it writes.
    assert sorted(each.name for each in (roots.target / "containers" / THERE / "local-logs").iterdir()) == [
        "container.log.1.gz",
        "container.log.2.gz",
        "container.log.3.gz",
    ]


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
    begun = range(20 + 10 * (times - 1), 30 + 10 * (times - 1)) if packed else range(20, 20 + 10 * times)
    expected = entries(JSON_LINES, 0, 20) + b"".join(map(line, begun)) + entries(JSON_LINES, 90, 95)
    assert arrived(roots, JSON_LINES) == expected


def test_what_is_written_right_before_a_new_file_is_begun_goes_along(
    roots: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(roots, JSON_LINES, entries(JSON_LINES, 0, 10))
    with Move(roots) as move:
        move.send()
        send = move.copy._send_more

        def writes_meanwhile(log: BinaryIO) -> int:
            position = send(log)
            if not Path(f"{path}.1").exists():
                append(path, entries(JSON_LINES, 10, 11))
                os.rename(path, f"{path}.1")
                path.write_bytes(entries(JSON_LINES, 11, 12))
            return position

        monkeypatch.setattr(move.copy, "_send_more", writes_meanwhile)
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
    assert [file.suffix for file in files] == [""]
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
        peer.channel.send("log.part", b"", form=JSON_LINES, file="", offset=0)
    receiver.place(THERE)
    with Peer(receiver.handlers) as peer:
        peer.channel.send("log.part", b"x", **fields)
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


@pytest.mark.parametrize(("log_mib", "warned"), [(0, True), (1, True), (3, False)])
def test_the_plan_says_what_stays_behind(log_mib: int, warned: bool, roots: SimpleNamespace) -> None:
    log_of(roots, JSON_LINES, line(1) * (2 * (1 << 20) // len(line(1))))
    source = {"docker": {"root_dir": str(roots.source)}}
    container = Container({"Id": HERE}, {"name": "talker"}, 0)
    told = list(log_warnings(source, container, log_mib))
    assert [f"newest {log_mib} MiB move" in each and "log_mib" in each for each in told] == [True] * warned
