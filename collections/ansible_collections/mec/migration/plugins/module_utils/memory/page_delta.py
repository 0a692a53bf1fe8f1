# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that changed a little travel as what changed: XOR with what the target holds, then zstd.

XOR turns bytes that stayed into zeros, which zstd all but removes; where in the page they lie does not
matter. (Svärd et al., "Evaluation of delta compression techniques for efficient live migration of large
virtual machines", VEE 2011, use XOR with run lengths for the same reason.)
"""

from __future__ import annotations

from ..transport.compression import Body, LookAway, Packed
from ..transport.wire import Channel

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

# A difference that leaves more than this of a message is not worth its unpacking.
WORTHWHILE = 0.5
MAX_LOOK_AWAY = 16


def xor(one: Body, other: Body) -> bytes:
    """The bytewise exclusive or of two bodies of the same length."""
    if numpy is not None and len(one) % 8 == 0:
        words = numpy.frombuffer(one, numpy.uint64) ^ numpy.frombuffer(other, numpy.uint64)
        return bytes(words.tobytes())
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


class DeltaEncoder:
    """Finds out for each message whether differences pay.

    Pages that are written anew as a whole make it look away for a while, up to 16 messages.
    """

    def __init__(self) -> None:
        self._look_away = LookAway(MAX_LOOK_AWAY)

    def encode(self, channel: Channel, new: Body, old: Body) -> Packed | None:
        """The packed difference, or None where *new* should travel as it is."""
        if self._look_away.now():
            return None
        packed = channel.pack(xor(new, old))
        paid = packed is not None and len(packed.frame) <= WORTHWHILE * len(new)
        self._look_away.learn(paid)
        return packed if paid else None
