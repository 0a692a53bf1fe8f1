# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that changed a little travel as what changed: XOR with what the target holds, then zstd.

XOR turns bytes that stayed into zeros, which zstd all but removes; where in the page they lie does not
matter. (Svärd et al., "Evaluation of delta compression techniques for efficient live migration of large
virtual machines", VEE 2011, use XOR with run lengths for the same reason.)
"""

from __future__ import annotations

from typing import Any

from ..transport.compression import Body, LookAway, Packed
from ..transport.wire import Channel

# A difference that leaves more than this of a message is not worth its unpacking.
WORTHWHILE = 0.5
MAX_LOOK_AWAY = 16
# numpy is some times as fast, but takes a tenth of a second to load: so much is done without it.
WITHOUT_NUMPY_BYTES = 1 << 20
# Python's integers are slow where they do not fit into the processor's cache.
PIECE_BYTES = 1 << 16

numpy: Any = None
_looked_for = False


def load_numpy() -> None:
    """Use numpy from now on, if the host has it. Never in the frozen window: it takes a while."""
    global numpy, _looked_for  # noqa: PLW0603  A process loads it once.
    if _looked_for:
        return
    _looked_for = True
    try:
        import numpy as found  # noqa: PLC0415
    except ImportError:
        return
    numpy = found


def xor(one: Body, other: Body) -> bytes:
    """The bytewise exclusive or of two bodies of the same length."""
    if numpy is not None and len(one) % 8 == 0:
        words = numpy.frombuffer(one, numpy.uint64) ^ numpy.frombuffer(other, numpy.uint64)
        return bytes(words.tobytes())
    pieces = []
    for start in range(0, len(one), PIECE_BYTES):
        piece, against = one[start : start + PIECE_BYTES], other[start : start + PIECE_BYTES]
        number = int.from_bytes(piece, "little") ^ int.from_bytes(against, "little")
        pieces.append(number.to_bytes(len(piece), "little"))
    return b"".join(pieces)


class DeltaEncoder:
    """Finds out for each message whether differences pay.

    Pages that are written anew as a whole make it look away for a while, up to 16 messages.
    """

    def __init__(self) -> None:
        self._look_away = LookAway(MAX_LOOK_AWAY)
        self._compared_bytes = 0

    def between_rounds(self) -> None:
        """Load numpy if there is much to compare. The service runs meanwhile."""
        if self._compared_bytes >= WITHOUT_NUMPY_BYTES:
            load_numpy()

    def encode(self, channel: Channel, new: Body, old: Body) -> Packed | None:
        """The packed difference, or None where *new* should travel as it is."""
        if self._look_away.now():
            return None
        self._compared_bytes += len(new)
        packed = channel.pack(xor(new, old))
        paid = packed is not None and len(packed.frame) <= WORTHWHILE * len(new)
        self._look_away.learn(paid)
        return packed if paid else None
