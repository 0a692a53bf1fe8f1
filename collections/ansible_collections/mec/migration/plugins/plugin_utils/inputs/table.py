# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV tables and their values, read strictly: what is wrong is an error that names file and line."""

from __future__ import annotations

import csv
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..base.errors import TraceError

MAX_FILE_BYTES = 256 << 20
# Seconds since 1970 up to the year 5138. What is larger counts milliseconds or less.
MAX_TIME_S = 1e11
TOO_LATE = (
    ", which in seconds would be after the year 5000; does it count milliseconds? "
    "allowed: seconds, or ISO 8601"
)
# How the moments of a table may be written.
SECONDS, ISO, ISO_WITHOUT_ZONE = "in seconds", "in ISO 8601 with a zone", "in ISO 8601 without a zone"
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)
_LEAP_SECOND = re.compile(r"(.*[T ][0-9]{2}:[0-9]{2}):60(|[.,+-].*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)


def table_rows(
    path: str | Path, needed: tuple[str, ...], said: list[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file whose head must name the *needed* columns; values without spaces around them.

    :param said: gets a sentence for what is accepted and may still be a mistake.
    :raises TraceError: the file cannot be read, or a row has more or fewer fields than the head.
    """
    check_file(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            names = [name.strip() for name in next(reader, [])]
            missing = [name for name in needed if name not in names]
            if missing:
                found = ", ".join(names) or "nothing"
                raise TraceError(f"{path}: column {missing[0]!r} is missing; found: {found}")
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise TraceError(f"{path}: line 1: column {twice[0]!r} is there twice")
            try:
                for fields in reader:
                    if not fields:
                        continue
                    if len(fields) != len(names):
                        raise TraceError(
                            f"{path}: line {reader.line_num}: {len(fields)} fields where the head has "
                            f"{len(names)}; is the line cut off?"
                        )
                    yield reader.line_num, dict(zip(names, (one.strip() for one in fields), strict=True))
            except csv.Error as error:
                raise TraceError(f"{path}: line {reader.line_num}: {error}") from error
        if said is not None and not _ends_with_newline(path):
            said.append(
                f"{path}: line {reader.line_num}: the last line does not end with a newline; if the file was "
                "cut off there, its last value is wrong"
            )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error


def check_file(path: str | Path, most_bytes: int = MAX_FILE_BYTES) -> None:
    """:raises TraceError: *path* is no regular file, or a larger one than is read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise TraceError(f"{path}: cannot be read: it is no regular file")
    if status.st_size > most_bytes:
        raise TraceError(f"{path}: it has {status.st_size} bytes; allowed: {most_bytes}")


def _ends_with_newline(path: str | Path) -> bool:
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) in (b"\n", b"\r")


def name_of(path: str | Path, line: int, row: Mapping[str, str], column: str) -> str:
    """The name in a column, not empty."""
    name = row.get(column, "")
    if not name or not name.isprintable():
        raise TraceError(f"{path}: line {line}: {column} is {name!r}; allowed: a name")
    return name


def degrees_of(path: str | Path, line: int, row: Mapping[str, str], column: str, limit: float) -> float:
    """A column in degrees, from -limit to limit."""
    text = row.get(column, "")
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not abs(value) <= limit:
        raise TraceError(f"{path}: line {line}: {column} is {text!r}; allowed: -{limit:g} to {limit:g}")
    return value


def slot_of(path: str | Path, line: int, row: Mapping[str, str]) -> int:
    """The column ``slot``, a whole number."""
    text = row.get("slot")
    if text is None or not _WHOLE.fullmatch(text):
        raise TraceError(
            f"{path}: line {line}: slot is {text!r}, not a whole number; give a column slot or time"
        )
    value = int(text)
    if abs(value) >= MAX_TIME_S:
        raise TraceError(f"{path}: line {line}: slot is {text!r}; allowed: less than {MAX_TIME_S:.0e}")
    return value


def time_of(path: str | Path, line: int, row: Mapping[str, str]) -> tuple[float, str]:
    """The column ``time`` in seconds, and how it was written (without a zone it is UTC)."""
    text = row["time"]
    try:
        if _NUMBER.fullmatch(text):
            value, written = float(text), SECONDS
        else:
            moment = _moment_of_iso(text)
            value, written = _seconds_of(moment), ISO if moment.tzinfo else ISO_WITHOUT_ZONE
    except ValueError:
        raise TraceError(
            f"{path}: line {line}: time is {text!r}; allowed: seconds, or ISO 8601, 2026-11-23T08:00:00Z"
        ) from None
    if abs(value) >= MAX_TIME_S:
        raise TraceError(f"{path}: line {line}: time is {text!r}{TOO_LATE}")
    return value, written


def seconds_of_iso(text: str) -> float:
    """Seconds since the epoch of a moment in ISO 8601, in UTC where it names no zone.

    :raises ValueError: it is no such moment.
    """
    return _seconds_of(_moment_of_iso(text))


def _moment_of_iso(text: str) -> datetime:
    text = text.replace("Z", "+00:00")
    leap = _LEAP_SECOND.fullmatch(text)
    if not leap:
        return datetime.fromisoformat(text)
    # Seconds since the epoch do not count leap seconds, so one has the number of the second after it.
    moment = datetime.fromisoformat(f"{leap[1]}:59{leap[2]}") + timedelta(seconds=1)
    day_s = 86_400
    if _seconds_of(moment) % day_s >= 1:
        raise ValueError(f"{text} is not at the end of a day in UTC, where leap seconds are")
    return moment


def _seconds_of(moment: datetime) -> float:
    try:
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error


def is_calendar_date(value: float) -> bool:
    """Whether a number has the eight digits of a day from 1970 to 2099, such as 20261123."""
    year, day_of_year = divmod(value, 10_000)
    month, day = divmod(day_of_year, 100)
    return 1970 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31 and value == int(value)
