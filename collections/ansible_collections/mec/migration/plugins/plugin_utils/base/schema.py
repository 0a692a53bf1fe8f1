# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a document surely follows a JSON schema, without jsonschema, which takes long to load.

Most documents are right. Where one is not, or a schema has a keyword that is not known here, jsonschema
decides, and says what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
# They say nothing of the document, or are looked at together with another keyword.
SILENT = frozenset({"$schema", "$id", "$defs", "title", "description", "then", "else"})


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}
LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, limit: not value < limit,
    "maximum": lambda value, limit: not value > limit,
    "exclusiveMinimum": lambda value, limit: not value <= limit,
    "exclusiveMaximum": lambda value, limit: not value >= limit,
}


class _UnsureError(Exception):
    """A keyword, or a comparison, that only jsonschema understands."""


def follows(document: Any, schema: Schema) -> bool:
    """Whether *document* surely follows *schema*; where that is not sure, no."""
    try:
        return _follows(document, schema, schema)
    except (_UnsureError, RecursionError):
        return False


def _follows(value: Any, schema: Any, whole: Schema) -> bool:
    if isinstance(schema, bool):
        return schema
    return all(_holds(value, keyword, schema, whole) for keyword in schema)


def _holds(value: Any, keyword: str, schema: Schema, whole: Schema) -> bool:
    """Whether *value* follows what *keyword* of *schema* asks for."""
    wanted = schema[keyword]
    if keyword in SILENT:
        return True
    if keyword in LIMITS:
        return not _is_number(value) or LIMITS[keyword](value, wanted)
    if keyword in APPLIED:
        return APPLIED[keyword](value, wanted, schema, whole)
    raise _UnsureError(keyword)


def _reference(value: Any, wanted: str, _schema: Schema, whole: Schema) -> bool:
    start, _slash, name = wanted.rpartition("/")
    if start != "#/$defs" or name not in whole.get("$defs", {}):
        raise _UnsureError(wanted)
    return _follows(value, whole["$defs"][name], whole)


def _additional(value: Any, wanted: Any, schema: Schema, whole: Schema) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(
        _follows(inner, wanted, whole) for name, inner in value.items() if name not in known
    )


def _properties(value: Any, wanted: Schema, _schema: Schema, whole: Schema) -> bool:
    return not isinstance(value, dict) or all(
        _follows(value[name], inner, whole) for name, inner in wanted.items() if name in value
    )


def _if(value: Any, wanted: Any, schema: Schema, whole: Schema) -> bool:
    branch = "then" if _follows(value, wanted, whole) else "else"
    return _follows(value, schema.get(branch, True), whole)


def _type(value: Any, wanted: str | Sequence[str], _schema: Schema, _whole: Schema) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(TYPES[name](value) for name in names)


# By keyword: the value, what the keyword has, the schema that has it, and the whole one.
APPLIED: dict[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": _reference,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "if": _if,
    "required": lambda value, wanted, *_: (
        not isinstance(value, dict) or all(name in value for name in wanted)
    ),
    "items": lambda value, wanted, _schema, whole: (
        not isinstance(value, list) or all(_follows(inner, wanted, whole) for inner in value)
    ),
    "anyOf": lambda value, wanted, _schema, whole: any(_follows(value, one, whole) for one in wanted),
    "allOf": lambda value, wanted, _schema, whole: all(_follows(value, one, whole) for one in wanted),
    "const": lambda value, wanted, *_: _same(value, wanted),
    "enum": lambda value, wanted, *_: any(_same(value, one) for one in wanted),
    "minLength": lambda value, wanted, *_: not isinstance(value, str) or len(value) >= wanted,
    "minItems": lambda value, wanted, *_: not isinstance(value, list) or len(value) >= wanted,
    "maxItems": lambda value, wanted, *_: not isinstance(value, list) or len(value) <= wanted,
}


def _same(value: Any, wanted: Any) -> bool:
    """Equal as JSON has it, where 1 and 1.0 are the same and 1 and true are not."""
    if isinstance(wanted, (dict, list)) or (isinstance(value, float) and math.isnan(value)):
        raise _UnsureError("const")
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)
