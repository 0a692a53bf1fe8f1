# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: finding them by name, reading them, checking them against the JSON Schema that ships here."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import DecisionError, PolicyError, TraceError
from ..base.requirements import require_jsonschema
from .strict_yaml import line_of, parsed
from .table import check_file

SCHEMA_FILE = Path(__file__).with_name("policy.schema.json")
DEFAULT_DIRECTORY = Path(__file__).with_name("policies")
SUFFIXES = (".yml", ".yaml")
MAX_NUMBER = 1e300


@dataclass(frozen=True)
class Policy:
    """A policy file as it was read; call :func:`check` before anything is computed from it."""

    path: str
    document: dict[str, Any]
    data_directory: str

    def get(self, section: str, key: str, default: Any) -> Any:
        """``document[section][key]``, or ``default``."""
        return self.document.get(section, {}).get(key, default)

    def data_file(self, name: str) -> str:
        """Path of a data file that the policy names, counted from the data directory."""
        return os.path.join(self.data_directory, os.path.expanduser(name))

    def depends_on_load(self) -> bool:
        """Whether costs depend on how many users there are."""
        costs = self.document.get("costs")
        parts = [costs.get(name) for name in ("migration", "transmission")] if isinstance(costs, dict) else []
        parts += [part.get("fallback") for part in parts if isinstance(part, dict)]
        return any(isinstance(part, dict) and part.get("family") == "load_dependent" for part in parts)

    def wrong(self, key: str, found: Any, allowed: str) -> PolicyError:
        """What is to be raised for *key*."""
        return PolicyError(self.path, key, found, allowed, self._line_of(key))

    def _line_of(self, key: str) -> int | None:
        """The line of *key* in the file, or None where the policy is not what the file says."""
        try:
            with open(self.path, "rb") as stream:
                content = stream.read()
            return line_of(content, key) if _parse(content) == self.document else None
        except (OSError, yaml.YAMLError, ValueError, RecursionError):
            return None

    def data_files(self) -> list[str]:
        """Paths of all data files of the policy."""
        names = (self.get("map", "file", None), self.get("mobility", "trace", None))
        return [self.data_file(name) for name in names if isinstance(name, str)]


def find_policy(name: str, directories: Sequence[str | Path], base: str | Path = ".") -> str:
    """Path of the policy ``name``.

    A name with a ``/`` or that ends in ``.yml`` or ``.yaml`` is a path, counted from ``base``. Any
    other is looked for as ``<name>.yml``, then ``<name>.yaml``, in ``directories`` in order, then
    among the collection's own policies.
    """
    if "/" in name or name.endswith(SUFFIXES):
        path = Path(base, os.path.expanduser(name))
        if not path.is_file():
            raise DecisionError(f"policy file {path} does not exist")
        return str(path)
    places = [Path(place) for place in directories] + [DEFAULT_DIRECTORY]
    for place in places:
        if place.is_file() and place.stem == name:
            return str(place)
        for suffix in SUFFIXES:
            path = place / f"{name}{suffix}"
            if path.is_file():
                return str(path)
    known = sorted({found.stem for place in places for found in _policies_in(place)})
    raise DecisionError(
        f"no policy is named {name!r}; looked in {', '.join(map(str, places))}; found there: "
        f"{', '.join(known) or 'none'}"
    )


def policy_for(
    name: str,
    playbook_directory: str | None,
    policy_path: Sequence[str | Path] = (),
    data_directory: str | Path | None = None,
) -> Policy:
    """The policy that a play names, read but not checked.

    :param policy_path: see :func:`locate_policy`.
    """
    return read_policy(locate_policy(name, playbook_directory, policy_path), data_directory)


def locate_policy(name: str, playbook_directory: str | None, policy_path: Sequence[str | Path] = ()) -> str:
    """Path of the policy that a play names.

    A playbook may lie in an installed collection, far from the policies of the one who runs it. So
    both the playbook's directory and the current one count.

    :param policy_path: looked through before ``policies`` beside the playbook, above it, and in the
        current directory.
    """
    playbook, here = Path(playbook_directory or "."), Path.cwd()
    places = [*policy_path, playbook / "policies", playbook.parent / "policies", here / "policies"]
    beside_playbook = Path(playbook, os.path.expanduser(name)).is_file()
    return find_policy(name, places, playbook if beside_playbook else here)


def _policies_in(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [path for path in place.iterdir() if path.suffix in SUFFIXES]


def read_policy(path: str | Path, data_directory: str | Path | None = None) -> Policy:
    """Read a policy without checking it against the schema.

    :param data_directory: where its relative data files count from; the directory of the file if
        None.
    """
    try:
        with open(path, "rb") as stream:
            document = _parse(stream.read())
    except OSError as error:
        raise DecisionError(f"policy {path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError(
            str(path), "$", " ".join(str(error).split()), "a YAML mapping, each key once"
        ) from error
    if not isinstance(document, dict):
        raise PolicyError(str(path), "$", document, "a YAML mapping")
    where = Path(path).parent if data_directory is None else data_directory
    return Policy(str(path), document, str(where))


@lru_cache(maxsize=32)
def _parse(content: bytes) -> Any:
    # Callers must not change what they get: 1,000 lookups in one task share it.
    return parsed(content)


def check(policy: Policy) -> Policy:
    """``policy`` unchanged, or a :class:`PolicyError` for the first thing that is wrong with it."""
    for key, value in _numbers(policy.document):
        if not abs(value) <= MAX_NUMBER:
            raise policy.wrong(key, value, f"a finite number, at most {MAX_NUMBER:g}")
    jsonschema = require_jsonschema()
    errors = list(jsonschema.Draft202012Validator(schema()).iter_errors(policy.document))
    if errors:
        # The deepest says most; of several there the first by name, so that it is always the same one.
        first = min(errors, key=lambda error: (-len(error.absolute_path), str(list(error.absolute_path))))
        raise _policy_error(policy, first)
    rows = policy.get("mobility", "rows", {})
    for cell, row in rows.items():
        total = math.fsum(row.values())
        if abs(total - 1) > 1e-9:
            raise policy.wrong(
                f"mobility.rows.{cell}",
                f"probabilities that sum to {total!r}",
                "a sum of 1",
            )
    drift = policy.get("mobility", "drift", None)
    if drift is not None and abs(math.fsum(drift) - 1) > 1e-9:
        raise policy.wrong("mobility.drift", f"weights that sum to {math.fsum(drift)!r}", "a sum of 1")
    _check_costs(policy)
    return policy


def _check_costs(policy: Policy) -> None:
    for section, constant, proportional, base in (
        ("migration", "beta_c", "beta_l", "mu"),
        ("transmission", "delta_c", "delta_l", "theta"),
    ):
        cost = policy.document["costs"][section]
        for key, part in (
            (f"costs.{section}", cost),
            (f"costs.{section}.fallback", cost.get("fallback")),
        ):
            if not part or part.get("family") != "constant_plus_exponential":
                continue
            # Monotone in the distance, so the ends of the range say whether it is ever negative.
            least = part[constant] + min(0.0, part[proportional] * part[base])
            if least < 0:
                raise policy.wrong(
                    key,
                    f"a cost of {least!r} at distance 1",
                    f"{constant} + {proportional} * {base} of at least 0",
                )


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema of policies."""
    with open(SCHEMA_FILE, encoding="utf-8") as stream:
        document: dict[str, Any] = json.load(stream)
    return document


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{path}[{place}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def _policy_error(policy: Policy, error: Any) -> PolicyError:
    key = ""
    for part in error.absolute_path:
        key += f"[{part}]" if isinstance(part, int) else f"{'.' if key else ''}{part}"
    expected, found = error.validator_value, error.instance
    if error.validator == "additionalProperties" and isinstance(found, dict):
        allowed_keys = sorted(error.schema.get("properties", {}))
        unknown = sorted(str(name) for name in found if name not in allowed_keys)
        key = f"{key}.{unknown[0]}" if key else unknown[0]
        return policy.wrong(key, "an unknown key", "the keys " + ", ".join(allowed_keys))
    if error.validator == "required":
        missing = next(name for name in expected if name not in found)
        key = f"{key}.{missing}" if key else missing
        return policy.wrong(key, "no such key", "it is required")
    wording = {
        "enum": lambda: "one of " + ", ".join(map(str, expected)),
        "const": lambda: repr(expected),
        "type": lambda: f"{expected}",
        "minimum": lambda: f"at least {expected}",
        "maximum": lambda: f"at most {expected}",
        "exclusiveMinimum": lambda: f"more than {expected}",
        "exclusiveMaximum": lambda: f"less than {expected}",
    }
    allowed = wording.get(error.validator, lambda: f"{error.validator}: {expected}")()
    if error.validator == "type" and expected == "number" and _is_number(found):
        allowed = f"a number. YAML takes {found!r} for text, write {float(found)!r}"
    return policy.wrong(key or "$", found, allowed)


def _is_number(text: Any) -> bool:
    try:
        return isinstance(text, str) and math.isfinite(float(text))
    except ValueError:
        return False


def file_digest(path: str) -> str:
    """SHA-256 of a data file; remembered in this process while size and times stand still."""
    try:
        check_file(path)
        status = os.stat(path)
    except (OSError, TraceError) as error:
        raise DecisionError(f"data file of the policy: {error}") from error
    return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, mtime_ns: int, inode: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
