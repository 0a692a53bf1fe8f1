# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of blocks: the same for the same content, of each block its own, by each function."""

from __future__ import annotations

import ctypes
import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.files.digest import (
    DIGEST_BYTES,
    block_digests,
    by_hashlib,
    by_xxhash,
)

BLOCK = 4096


def xxhash(seed=7):
    return by_xxhash(ctypes.CDLL("libxxhash.so.0"), seed)


@pytest.mark.parametrize(
    "digests",
    [xxhash(), by_hashlib("sha256"), by_hashlib("blake2b"), block_digests],
    ids=["xxhash", "sha256", "blake2b", "chosen"],
)
def test_each_block_has_its_own(digests):
    data = os.urandom(3 * BLOCK + 5)
    found = digests(data, BLOCK)
    assert len(found) == 4 * DIGEST_BYTES
    assert found == digests(bytes(bytearray(data)), BLOCK)
    changed = bytearray(data)
    changed[BLOCK] ^= 1
    again = digests(bytes(changed), BLOCK)
    same = [
        found[at : at + DIGEST_BYTES] == again[at : at + DIGEST_BYTES]
        for at in range(0, len(found), DIGEST_BYTES)
    ]
    assert same == [True, False, True, True]
    assert digests(data[-5:], BLOCK) == found[-DIGEST_BYTES:]


@pytest.mark.parametrize("digests", [xxhash(), by_hashlib("blake2b")], ids=["xxhash", "blake2b"])
def test_nothing_has_a_digest_and_no_other_length_has_it(digests):
    empty = digests(b"", BLOCK)
    assert len(empty) == DIGEST_BYTES
    assert empty != digests(b"\0", BLOCK) != digests(b"\0\0", BLOCK)


def test_another_seed_makes_other_digests():
    assert xxhash(1)(b"x" * 100, BLOCK) != xxhash(2)(b"x" * 100, BLOCK)
