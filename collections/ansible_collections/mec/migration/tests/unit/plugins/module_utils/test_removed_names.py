# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files whose name was removed while another link stays: found in images, and named on the target."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu.edits import MM_MAGIC
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import MAGIC, FilesImage
from ansible_collections.mec.migration.plugins.module_utils.criu.images import encode_field, write_messages
from ansible_collections.mec.migration.plugins.module_utils.criu.open_files import FDINFO_MAGIC, IDS_MAGIC
from ansible_collections.mec.migration.plugins.module_utils.criu.removed_names import (
    REMAP_MAGIC,
    RemovedName,
    removed_names,
)
from ansible_collections.mec.migration.plugins.module_utils.files import links
from ansible_collections.mec.migration.plugins.module_utils.files.apply import FileReceiver
from ansible_collections.mec.migration.plugins.module_utils.files.sync import FileSync
from ansible_collections.mec.migration.plugins.module_utils.files.trees import Tree
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import Mount
from ansible_collections.mec.migration.plugins.module_utils.kernel.removed_files import removed_on

sys.path.insert(0, str(Path(__file__).parent))
from peers import Peer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: sets owners")
OPENED, OPENED_LINK, MAPPED, MAPPED_LINK, GHOST, EXECUTED, EXECUTED_LINK = range(21, 28)
SHARED_FILE, PLAIN = 1 << 7, 1 << 9


def fields(*pairs):
    return b"".join(encode_field(number, value) for number, value in pairs)


def regular(number, name):
    entry = fields((1, number), (2, 0), (3, 0), (5, b""), (6, name))
    return fields((1, 1), (2, number), (3, entry))


def area(start, number, status):
    return fields((1, start), (2, start + 4096), (3, 0), (4, number), (5, 1), (6, 1), (7, status), (8, 1))


@pytest.fixture
def images(tmp_path):
    """One process, 7 in the container, with file descriptor 5, a mapping, and its program."""

    def write(name, magic, *messages):
        write_messages(str(tmp_path / name), magic, messages)

    names = [(OPENED, "/var/gone"), (OPENED_LINK, "/var/link_remap.1"), (GHOST, "/var/deleted")]
    names += [(MAPPED, "/var/map"), (MAPPED_LINK, b"/var/\xff/link_remap.2")]
    names += [(EXECUTED, "/bin/old"), (EXECUTED_LINK, "/bin/link_remap.3")]
    write("files.img", MAGIC, *(regular(number, name) for number, name in names))
    remaps = [(OPENED, OPENED_LINK, 0), (GHOST, 1, 1), (MAPPED, MAPPED_LINK, 0), (EXECUTED, EXECUTED_LINK, 0)]
    write("remap-fpath.img", REMAP_MAGIC, *(fields(*zip((1, 2, 3), each)) for each in remaps))
    write("ids-7.img", IDS_MAGIC, fields((1, 1), (2, 3), (3, 1), (4, 1)))
    other = fields((1, 99), (2, 0), (3, 1), (4, 4))
    write("fdinfo-3.img", FDINFO_MAGIC, other, fields((1, OPENED), (2, 0), (3, 1), (4, 5)))
    # A mapping of no file may have any number there.
    memory = [(12, EXECUTED), (14, area(0x1000, OPENED, PLAIN)), (14, area(0x2000, MAPPED, SHARED_FILE))]
    write("mm-7.img", MM_MAGIC, fields(*memory))
    return tmp_path


def test_each_name_of_crius_has_the_file_that_it_stands_for(images):
    assert sorted(removed_names(FilesImage(str(images)), {1234: 7})) == [
        RemovedName("/bin/link_remap.3", "/proc/1234/exe"),
        RemovedName("/var/link_remap.1", "/proc/1234/fd/5"),
        RemovedName(os.fsdecode(b"/var/\xff/link_remap.2"), "/proc/1234/map_files/2000-3000"),
    ]


def test_without_such_files_nothing_is_read(images):
    (images / "remap-fpath.img").unlink()
    (images / "files.img").write_bytes(b"no image")
    assert removed_names(FilesImage(str(images)), {1234: 7}) == []


def test_a_name_that_no_process_has_is_no_secret(images):
    with pytest.raises(MigrationError, match=r"link_remap\.1"):
        removed_names(FilesImage(str(images)), {1234: 8})


class Moved:
    """A volume at /data, and another mount that stays."""

    def __init__(self, base, monkeypatch):
        self.source, self.target = base / "source", base / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.sync = FileSync([Tree("/data", str(self.source), destination="/data", exclude=("nested",))])
        self.receiver = FileReceiver({"/data": str(self.target)})
        table = [("/", "overlay"), ("/data", "ext4"), ("/bound", "ext4"), ("/run/shm", "tmpfs")]
        mounts = [Mount("8:1", "/", point, [], kind, "", "rw") for point, kind in table]
        monkeypatch.setattr(links, "mounts", lambda pid: mounts)

    def send(self, *names):
        with Peer(self.receiver.handlers) as peer:
            self.sync.prepare(peer.channel)
            self.sync.round(peer.channel)
            self.sync.add_names(peer.channel, names, os.getpid())
            self.sync.round(peer.channel)


@pytest.fixture
def moved(tmp_path, monkeypatch):
    return Moved(tmp_path, monkeypatch)


@needs_root
def test_the_name_is_a_link_to_the_one_that_stays(moved):
    (moved.source / "deep").mkdir()
    with open(moved.source / "gone", "wb") as file:
        file.write(b"content")
        file.flush()
        os.link(file.name, moved.source / "deep" / "stays")
        os.unlink(file.name)
        moved.send(("/data/link_remap.1", f"/proc/self/fd/{file.fileno()}"))
    assert os.path.samefile(moved.target / "link_remap.1", moved.target / "deep" / "stays")
    assert (moved.target / "link_remap.1").read_bytes() == b"content"


@needs_root
@pytest.mark.parametrize("size", [5, 3_000_000])
def test_without_one_that_stays_the_content_is_sent(moved, tmp_path, size):
    content = os.urandom(size)
    with open(tmp_path / "elsewhere", "wb") as file:
        file.write(content)
        file.truncate(size + 1_000_000)
        os.fchmod(file.fileno(), 0o640)
        file.flush()
        moved.send(("/data/link_remap.1", f"/proc/self/fd/{file.fileno()}"))
    arrived = moved.target / "link_remap.1"
    assert arrived.read_bytes() == content + bytes(1_000_000)
    assert arrived.stat().st_mode & 0o777 == 0o640


@needs_root
@pytest.mark.parametrize("path", ["/bound/link_remap.1", "/data/nested/link_remap.1", "/link_remap.1"])
def test_what_does_not_move_is_refused(moved, tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(MigrationError, match="does not move"):
        moved.send((path, str(tmp_path / "file")))


@needs_root
def test_a_tmpfs_is_criu_s(moved, tmp_path):
    moved.send(("/run/shm/link_remap.1", str(tmp_path / "file")))
    assert list(moved.target.iterdir()) == []


def test_the_device_of_such_a_file(tmp_path):
    assert removed_on([os.getpid()]) == set()
    with open(tmp_path / "gone", "w") as file:
        os.link(file.name, tmp_path / "stays")
        os.unlink(file.name)
        device = os.stat(tmp_path).st_dev
        assert removed_on([os.getpid()]) == {f"{os.major(device)}:{os.minor(device)}"}
        os.unlink(tmp_path / "stays")
        assert removed_on([os.getpid()]) == set()
