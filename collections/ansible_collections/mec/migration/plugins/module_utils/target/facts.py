# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the target is, for the source's preflight: over their connection, while the source looks at itself."""

from __future__ import annotations

from ..base.errors import TransferError
from ..preflight.host_facts import collect
from ..transport.wire import Channel, Message


def tell_facts(message: Message, channel: Channel) -> None:
    """Answer with this host's facts, see :func:`collect`.

    :raises TransferError: what was asked is none.
    """
    paths = message.fields.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise TransferError("a question for facts needs paths, a list of texts")
    channel.send("ok", facts=collect(message.text("images_dir"), paths))
