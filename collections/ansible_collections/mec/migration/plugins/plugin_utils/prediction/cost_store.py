# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations cost: a record of each, the store that keeps them, a table to look at.

The store is a file of JSON lines on the controller. Lines are appended under a lock and read whole;
the lock is of the file itself, so that nothing is left behind by a process that died.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from ..base.errors import DecisionError
from ..base.requirements import require_jsonschema

FORMAT = 1
# A record has some hundred bytes; a store of this size has a hundred thousand of them.
MAX_STORE_BYTES, MAX_LINE_BYTES = 256 << 20, 1 << 20
MAX_NUMBER = 1e18
SCHEMA_FILE = Path(__file__).with_name("cost_store.schema.json")
# A round that sends less says more about latency than about bandwidth.
TELLING_BYTES = 4 << 20
PREDICTED = ("total_bytes", "seconds", "frozen_ms")


class CostError(DecisionError):
    """A record or the store of migration costs is not what it should be."""


def record_of(
    report: Mapping[str, Any], time: float, predicted: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a migration.

    :param report: as ``migration_report.build`` returns it.
    :param time: when it ended, seconds since the epoch.
    :param predicted: what ``cost_model.predict`` had said before, if it was asked.
    """
    waited_s = float(report.get("waited_seconds", 0.0))
    measured = {
        "seconds": float(report["total_seconds"]) - waited_s,
        "total_bytes": int(report["total_bytes"]),
        "frozen_ms": float(report["frozen_ms"]),
    }
    return check(
        {
            "format": FORMAT,
            "time": round(float(time), 3),
            "migration_id": report["migration_id"],
            "service": report["service"],
            "source": report["source"],
            "target": report["target"],
            "image_missing_bytes": int(report["image_missing_bytes"]),
            "image_bytes": int(report["image_bytes"]),
            "memory_bytes": int(report["memory_bytes"]),
            "dirty_pages_per_s": float(report["dirty_pages_per_s"]),
            "bandwidth_bytes_per_s": round(bandwidth_of(report), 1),
            "largest_round_bytes": max((int(done["sent_bytes"]) for done in report["rounds"]), default=0),
            "moves_at_once": int(report.get("moves_at_once", 1)),
            "waited_seconds": waited_s,
            **measured,
            "frozen_bytes": int(report["frozen_bytes"]),
            "downtime_ms": report["downtime_client_ms"],
            "phases": {phase["phase"]: phase["seconds"] for phase in report["phases"]},
            "predicted": dict(predicted) if predicted else None,
            "errors": errors_of(predicted, measured) if predicted else None,
        }
    )


def bandwidth_of(report: Mapping[str, Any]) -> float:
    """What the link gave: the fastest round that sent enough to tell; else what the move as a whole needed,
    which tells of latency and not of the link (see :func:`tells_bandwidth`).

    Later rounds look at all memory to send a little of it; their rate says nothing of the link.
    """
    rates = [
        done["sent_bytes"] / done["seconds"]
        for done in report["rounds"]
        if done["sent_bytes"] >= TELLING_BYTES and done["seconds"] > 0
    ]
    return float(max(rates, default=report["bandwidth_bytes_per_s"]))


def tells_bandwidth(record: Mapping[str, Any]) -> bool:
    """Whether a move sent enough in one go to say what the link can give.

    What is sent within the frozen window, or in many small rounds, took as long as it did for other reasons.
    """
    if record["bandwidth_bytes_per_s"] <= 0:
        return False
    if "largest_round_bytes" in record:
        return bool(record["largest_round_bytes"] >= TELLING_BYTES)
    # Records of earlier versions: what was sent of memory before the window.
    return bool(record["total_bytes"] - record["image_bytes"] - record["frozen_bytes"] > TELLING_BYTES)


def errors_of(predicted: Mapping[str, Any], measured: Mapping[str, float]) -> dict[str, float]:
    """(predicted - measured) / measured of each quantity; nothing measured counts as one unit."""
    found = {}
    for key in PREDICTED:
        if key not in predicted:
            raise CostError(f"the prediction has no {key}; it must be one of migration_cost_info")
        found[key] = round((float(predicted[key]) - measured[key]) / max(measured[key], 1.0), 4)
    return found


def check(record: dict[str, Any], where: str = "record") -> dict[str, Any]:
    """*record* unchanged.

    :raises CostError: it does not follow the schema; the message names *where* and the key.
    """
    error = next(_validator().iter_errors(record), None)
    if error is not None:
        key = ".".join(str(part) for part in error.absolute_path) or "$"
        raise CostError(f"{where}: key {key}: {error.message[:200]}")
    for key, value in _numbers(record):
        # What is larger than any float is infinite to all that reckons with it.
        if abs(value) > MAX_NUMBER or not math.isfinite(value):
            raise CostError(f"{where}: key {key}: {str(value)[:40]} is no number that a move can have")
    return record


def _numbers(value: Any, key: str = "$") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, name if key == "$" else f"{key}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield key, value


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def append(path: str | Path, record: dict[str, Any]) -> None:
    """Add *record* to the store at *path*, which is made if need be.

    A line that an earlier writer left torn (a full disk, a lost machine) is ended first, so that it
    costs one record and not two.
    """
    line = json.dumps(check(record), sort_keys=True, allow_nan=False).encode() + b"\n"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        _check_regular(path)
        with open(path, "ab+", buffering=0) as store:
            fcntl.flock(store, fcntl.LOCK_EX)
            size = os.fstat(store.fileno()).st_size
            if size and os.pread(store.fileno(), 1, size - 1) != b"\n":
                line = b"\n" + line
            written = store.write(line)
            if written != len(line):
                store.truncate(size)
                raise CostError(f"{path}: {written} of {len(line)} bytes were written; is the disk full?")
    except OSError as error:
        raise CostError(f"{path}: cannot be written: {error.strerror}") from error


def _check_regular(path: str | Path) -> None:
    """To open a pipe would wait for whoever has its other end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise CostError(f"{path}: cannot be read or written: it is no regular file")


def read(
    path: str | Path, *, newest: int | None = None, skipped: list[str] | None = None
) -> list[dict[str, Any]]:
    """The records of a store, oldest first; none where there is no store.

    :param newest: no more than so many, from the end of the store, where each move adds its record. What is
        before them is not looked at, so that a long store makes no move slower.
    :param skipped: gets a sentence for each line that is no record; without it they raise.
    :raises CostError: the store cannot be read, or a line is wrong.
    """
    _check_regular(path)
    try:
        with open(path, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            content = stream.read(MAX_STORE_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CostError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_STORE_BYTES:
        raise CostError(
            f"{path}: more than {MAX_STORE_BYTES} bytes; keep its last lines and put the rest away"
        )
    records: list[dict[str, Any]] = []
    numbered = list(enumerate(content.splitlines(), start=1))
    for number, line in numbered if newest is None else reversed(numbered):
        if len(records) == newest:
            break
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise CostError(f"{where}: {len(line)} bytes; allowed: {MAX_LINE_BYTES}")
                records.append(check(json.loads(line, parse_constant=_no_constant), where))
            except (ValueError, RecursionError) as error:
                raise CostError(f"{where}: no JSON: {error}") from error
        except CostError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    return sorted(records, key=lambda record: float(record["time"]))


def by_pair(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """The records of each pair (source, target), in the order in which they come."""
    pairs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        pairs.setdefault((record["source"], record["target"]), []).append(record)
    return pairs


def summary(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each pair of hosts: count, medians, and the median size of the predictions' errors."""
    rows = []
    for (source, target), ones in sorted(by_pair(records).items()):
        predicted = [one["errors"] for one in ones if one["errors"]]
        rows.append(
            {
                "source": source,
                "target": target,
                "count": len(ones),
                **{
                    key: median(float(one[key]) for one in ones)
                    for key in ("seconds", "total_bytes", "frozen_ms", "bandwidth_bytes_per_s")
                },
                "predicted": len(predicted),
                "errors": {key: _median_size(predicted, key) for key in PREDICTED},
            }
        )
    return rows


def lines(records: Sequence[Mapping[str, Any]], path: str | Path) -> list[str]:
    """The summary for a person, with the errors of all predictions in the last line.

    :param path: of the store that they are from.
    """
    if not records:
        absent = "" if os.path.exists(path) else ", which is not there"
        return [f"no migration has been recorded yet in {path}{absent}"]
    width = max(len(f"{record['source']} -> {record['target']}") for record in records)
    told = [f"{'pair':<{width}} count seconds       MB  frozen ms   MB/s  off by: seconds  bytes frozen"]
    for row in summary(records):
        shown = [_percent(row["errors"][key]) for key in ("seconds", "total_bytes", "frozen_ms")]
        told.append(
            f"{row['source'] + ' -> ' + row['target']:<{width}} {row['count']:5d} {row['seconds']:7.1f} "
            f"{row['total_bytes'] / 1e6:8.1f} {row['frozen_ms']:10.0f} "
            f"{row['bandwidth_bytes_per_s'] / 1e6:6.1f}          {shown[0]:>7} {shown[1]:>6} {shown[2]:>6}"
        )
    predicted = [record["errors"] for record in records if record["errors"]]
    if predicted:
        sizes = [f"{key} {_percent(_median_size(predicted, key))}" for key in PREDICTED]
        told.append(f"median error of {len(predicted)} predictions: {', '.join(sizes)}")
    return told


def _median_size(errors: Sequence[Mapping[str, float]], key: str) -> float | None:
    return median(abs(one[key]) for one in errors) if errors else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


@lru_cache(maxsize=1)
def _validator() -> Any:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return require_jsonschema().Draft202012Validator(schema)
