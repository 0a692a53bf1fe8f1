# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source for ansible-rulebook: users who have moved to another cell of a policy's map."""

from __future__ import annotations

DOCUMENTATION = r"""
name: user_cells
short_description: Events when users have moved to another cell
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Looks again and again where users are, in the format that C(docs/loop.md) describes, and sends an event
    when a user is in another cell of the policy's map and has stayed there for O(debounce_seconds). A user
    who goes to and fro at a border makes no event.
  - All users for whom that is so at the same look are in one event.
  - A file that is half written, a URL that does not answer, a command that fails or a user outside the map
    are logged once as a warning; users are taken to be where they were until positions can be read again.
  - Where users are at the first look is where they start from. That is no event, unless O(at_start).
options:
  file:
    description:
      - File of positions. It is read again when it has changed.
      - Give one of O(file), O(url), O(command) and O(service).
    type: path
  url:
    description: HTTP or HTTPS address that answers with positions.
    type: str
  command:
    description: Command that prints positions, as a list of words or as one string. No shell is involved.
    type: raw
  service:
    description:
      - A location service of the network that is asked, as P(mec.migration.location_positions#lookup)
        describes it, or whose events are heard. C(type) is then V(camara_geofencing), with C(url), C(users)
        and the tokens as there.
      - C(areas) of V(camara_geofencing) is a list of circles with C(latitude), C(longitude) and C(radius_m);
        a user who has entered one and not left it is taken to be in its middle, or in the C(cell) it names.
      - C(sink) is the HTTPS address at which the service reaches this machine, C(listen) has the C(port) and
        C(address) (127.0.0.1) to listen at, and C(certificate) and C(key) unless something before it ends
        TLS.
      - Subscriptions last C(expiry_seconds) (3600) and are renewed before; they are taken back at the end.
    type: dict
  policy:
    description: Name or path of the policy; a name is looked for in O(policy_path), then in the collection.
    type: str
    default: default
  policy_path:
    description: Directory to look for policies in; else the one that E(MEC_MIGRATION_POLICY_PATH) names.
    type: path
    default: policies
  debounce_seconds:
    description: How long a user must stay in a new cell.
    type: float
    default: 10
  poll_seconds:
    description:
      - Time from one look to the next.
      - If it is left out it is 10 with a O(service) that is asked, else 1.
    type: float
  timeout_seconds:
    description: How long the URL or the command may take.
    type: float
    default: 10
  at_start:
    description: Send an event for the users of the first look, too.
    type: bool
    default: false
requirements:
  - numpy >= 1.26 in the Python of ansible-rulebook
"""

EXAMPLES = r"""
- mec.migration.user_cells:
    file: /srv/mec/positions.json
    policy: /srv/mec/policies/city.yml
    debounce_seconds: 30
"""

RETURN = r"""
changes:
  description:
    - Of each user C(user), C(old_cell), C(new_cell) and C(position).
    - C(old_cell) is null for a user who was not seen before.
  type: list
  elements: dict
positions:
  description: Positions of these users alone, as C(mec.migration.follow_users) takes them.
  type: dict
policy:
  description: Path of the policy.
  type: str
time:
  description: When the event was sent, UTC.
  type: str
"""

import asyncio
import contextlib
import http.client
import logging
import os
import shlex
import stat
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# ansible-rulebook runs this file by its path, so the collection is no package that it knows.
COLLECTIONS = str(Path(__file__).resolve().parents[7])
if COLLECTIONS not in sys.path:
    sys.path.append(COLLECTIONS)

from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import number
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    check,
    find_policy,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.strict_json import parsed
from ansible_collections.mec.migration.plugins.plugin_utils.location.geofencing import Geofences
from ansible_collections.mec.migration.plugins.plugin_utils.location.service import LocationService
from ansible_collections.mec.migration.plugins.plugin_utils.location.settings import GEOFENCING
from ansible_collections.mec.migration.plugins.plugin_utils.loop.user_cells import (
    CellChanges,
    CellFinder,
    Change,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.model import build_map

logger = logging.getLogger("mec.migration.user_cells")

SOURCES = ("file", "url", "command", "service")
# A hundred thousand users with routes; what is longer is no document of positions.
MAX_BYTES = 64 << 20
DEFAULTS = {"debounce_seconds": 10.0, "poll_seconds": 1.0, "timeout_seconds": 10.0}
# A service of an operator counts its requests.
SERVICE_POLL_S = 10.0
OPTIONS = (*SOURCES, "policy", "policy_path", "at_start", *DEFAULTS)


class Positions:
    """Where positions come from. :meth:`read` gives the document, or None where it is the last one still."""

    def __init__(self, kind: str, where: Any, timeout_s: float) -> None:
        self._kind = kind
        self._where = where
        self._timeout_s = timeout_s
        self._read: tuple[int, ...] | None = None
        # What is wrong with the users who are not in the document that was read.
        self.problems: list[str] = []

    async def start(self) -> None:
        """Where positions come as events: begin to listen.

        :raises DecisionError: that cannot be.
        """
        if isinstance(self._where, Geofences):
            self._where.start()

    async def stop(self) -> None:
        """End what was begun."""
        if isinstance(self._where, Geofences):
            await asyncio.to_thread(self._where.stop)

    async def read(self) -> Any:
        """:raises OSError, ValueError, DecisionError: there are no positions to be had."""
        try:
            return await self._document()
        except (http.client.HTTPException, RecursionError, MemoryError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    async def _document(self) -> Any:
        if self._kind == "file":
            status = os.stat(self._where)
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            if version == self._read:
                return None
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no regular file")
            with Path(self._where).open("rb") as stream:
                document = _parsed(stream.read(MAX_BYTES + 1))
            self._read = version
            return document
        if self._kind == "service":
            document, self.problems = await asyncio.to_thread(self._where.read)
            return document
        if self._kind == "url":
            return _parsed(await asyncio.to_thread(self._fetch))
        return _parsed(await self._run())

    def _fetch(self) -> bytes:
        # The time-out of urlopen is for each packet; an answer that trickles in must end, too.
        deadline = time.monotonic() + self._timeout_s
        content = bytearray()
        # Its scheme was checked.
        with urllib.request.urlopen(self._where, timeout=self._timeout_s) as answer:  # noqa: S310
            while len(content) <= MAX_BYTES:
                part = answer.read1(1 << 16)
                if not part:
                    # Unlike read, read1 does not tell that a connection ended early.
                    if answer.length:
                        raise ValueError(f"the answer ended {answer.length} bytes early")
                    break
                content += part
                if time.monotonic() > deadline:
                    raise ValueError(f"no whole answer within {self._timeout_s:g} s")
        return bytes(content)

    async def _run(self) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *self._where, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            output = await asyncio.wait_for(self._output(process), self._timeout_s)
        except asyncio.TimeoutError as error:
            raise ValueError(f"no answer within {self._timeout_s:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                # What it had started may hold its pipe for as long as it likes; nobody waits for that.
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_emptied(process), 1.0)
        if process.returncode:
            raise ValueError(f"exit status {process.returncode}")
        return output

    async def _output(self, process: asyncio.subprocess.Process) -> bytes:
        content = bytearray()
        while process.stdout is not None and (part := await process.stdout.read(1 << 16)):
            content += part
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
        await process.wait()
        return bytes(content)


async def _emptied(process: asyncio.subprocess.Process) -> None:
    """The end of a process; its pipe must be read to the end, or the wait for it would not end."""
    while process.stdout is not None and await process.stdout.read(1 << 16):
        pass
    await process.wait()


def _parsed(content: bytes) -> Any:
    """The document of JSON; a name that is twice in an object, or NaN, is no position of anyone."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return parsed(content)


def positions_from(args: Mapping[str, Any]) -> tuple[Positions, str]:
    """The source that *args* name, and its name for people."""
    given = [name for name in SOURCES if args.get(name)]
    if len(given) != 1:
        raise DecisionError(f"give one of {', '.join(SOURCES)}; given: {', '.join(given) or 'none'}")
    kind = given[0]
    where = args[kind]
    if kind == "url" and not str(where).startswith(("http://", "https://")):
        raise DecisionError(f"url is {where!r}; allowed: http:// or https://")
    name = f"{kind} {where}"
    if kind == "service":
        # Its settings may have a token, so they are not shown.
        where = Geofences(where) if _is_geofencing(args) else LocationService(where)
        name = where.name
    elif kind == "command" and isinstance(where, str):
        where = shlex.split(where)
    return Positions(kind, where, _seconds(args, "timeout_seconds")), name


def _is_geofencing(args: Mapping[str, Any]) -> bool:
    service = args.get("service")
    return isinstance(service, Mapping) and service.get("type") == GEOFENCING


def _poll_seconds(args: Mapping[str, Any]) -> float:
    if args.get("service") and not _is_geofencing(args) and args.get("poll_seconds") in (None, ""):
        return SERVICE_POLL_S
    return _seconds(args, "poll_seconds")


def _seconds(args: Mapping[str, Any], name: str) -> float:
    given = args.get(name)
    value = number(DEFAULTS[name] if given in (None, "") else given, name)
    if value < 0:
        raise DecisionError(f"{name} is {value:g}; allowed: at least 0")
    return value


class Warnings:
    """Says what is wrong when it begins, not at each look."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def say(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self._said:
                logger.warning("%s", problem)
        if self._said and not problems:
            logger.warning("positions can be read again")
        self._said = problems


async def events(
    args: Mapping[str, Any],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[dict[str, Any], None]:
    """The events, for ever.

    :param clock: seconds that never go back.
    :raises DecisionError: an option or the policy is wrong.
    """
    unknown = sorted(name for name in args if name not in OPTIONS and not name.startswith("eda_"))
    if unknown:
        raise DecisionError(f"unknown option {unknown[0]}; allowed: {', '.join(OPTIONS)}")
    source, name = positions_from(args)
    place = args.get("policy_path") or os.environ.get("MEC_MIGRATION_POLICY_PATH") or "policies"
    policy = find_policy(str(args.get("policy") or "default"), [str(place)])
    finder = CellFinder(build_map(check(read_policy(policy))))
    changes = CellChanges(_seconds(args, "debounce_seconds"), at_start=bool(args.get("at_start")))
    poll_s = _poll_seconds(args)
    warnings = Warnings()
    cells: dict[str, str] = {}
    users: Mapping[str, Any] = {}
    # What their routes count from.
    moments: dict[str, Any] = {}
    problems: list[str] = []
    logger.info("watching %s with policy %s", name, policy)
    await source.start()
    try:
        while True:
            settled: list[Change] = []
            try:
                document = await source.read()
                if document is not None:
                    cells, problems = finder.cells_of(document)
                    problems = [*source.problems, *problems]
                    moments = {key: document[key] for key in ("now", "time") if key in document}
                    users = {str(name).strip(): place for name, place in document["users"].items()}
                warnings.say(problems)
                settled = changes.see(cells, clock())
            except (OSError, ValueError, DecisionError) as error:
                # Nobody settles while no one knows where they are.
                warnings.say([f"{name}: {error}; users are taken to be where they were"])
            if settled:
                now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
                yield {
                    "changes": [{**vars(one), "position": users[one.user]} for one in settled],
                    "positions": {
                        "format": 1,
                        # The others may well be there.
                        "partial": True,
                        **moments,
                        "users": {one.user: users[one.user] for one in settled},
                    },
                    "policy": os.path.abspath(policy),
                    "time": now,
                }
            await sleep(poll_s)
    finally:
        await source.stop()


async def main(queue: asyncio.Queue[Any], args: dict[str, Any]) -> None:
    """What ansible-rulebook calls."""
    stream = events(args)
    try:
        async for event in stream:
            await queue.put(event)
    finally:
        # Subscriptions are taken back even where it is cancelled while an event waits.
        await stream.aclose()
