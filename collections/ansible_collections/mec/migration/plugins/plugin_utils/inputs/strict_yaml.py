# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML in which everything means what is written, and every key is once in its mapping.

PyYAML reads YAML 1.1, to which 1:30 is 90, 010 is 8 and a cell called NO is false.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

# libyaml where PyYAML was built with it: ten times faster, which a warm lookup feels.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A table of measured costs between 500 hosts has a quarter of a million values. An alias counts as often as
# it is used, so that a few lines that name each other are no document of a billion values.
MAX_VALUES, MAX_DEPTH = 1_000_000, 50
# The key <<, whose mapping is taken over; what is named beside it may override that.
MERGE = "tag:yaml.org,2002:merge"
# Numbers of the base 60, and of the base 8 without a letter that says so.
_ODD_NUMBER = re.compile(r"[-+]?(.*:.*|0[0-9_]+)", re.ASCII)
_INDEX = re.compile(r"\[([0-9]+)\]", re.ASCII)


class _Loader(_SafeLoader):
    """Refuses a key that is twice in a mapping, of which YAML parsers keep the last one without a word, and
    what is something else to YAML 1.1 than to who wrote it.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: dict[str, int] = {}
        for key, _value in node.value:
            if key.tag == MERGE:
                continue
            made, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            # Cells and hosts are named in text, so 0 and '0' are one name.
            name = str(made)
            if isinstance(key, yaml.ScalarNode) and name != key.value:
                raise ValueError(
                    f"key {key.value or 'without a name'} in line {line} is {made!r} to YAML; write "
                    f"{key.value!r}"
                )
            if name in seen:
                raise ValueError(f"key {name} twice, in line {seen[name]} and in line {line}")
            seen[name] = line
        return super().construct_mapping(node, deep=deep)

    def construct_number(self, node: Any) -> Any:
        """An int or a float, of the base 10 if nothing else is written."""
        whole = node.tag.endswith(":int")
        made = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if _ODD_NUMBER.fullmatch(node.value) and (whole or ":" in node.value):
            raise ValueError(
                f"{node.value} in line {node.start_mark.line + 1} is {made} to YAML; write {made}, or "
                f"{node.value!r} if it is a name"
            )
        return made


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def parsed(content: bytes) -> Any:
    """The document in *content*, with text for keys: a cell 0 and a host 1 are named in text.

    :raises ValueError: it is not what is written, has too many values, or is nested too deeply, as one is
        that holds itself.
    :raises yaml.YAMLError: it is no YAML.
    """
    try:
        document = yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader
    except (LookupError, TypeError, AttributeError, OverflowError) as error:
        # How PyYAML fails over a value that is not what its tag says, such as !!bool maybe.
        raise ValueError(f"a value that is not of its type: {error}") from error
    return _plain(document, [MAX_VALUES])


def line_of(content: bytes, key: str) -> int | None:
    """The line of *key*, such as ``mobility.drift[2]``, or of what it would be in.

    :param content: YAML that can be read.
    """
    node, rest, line = yaml.compose(content, Loader=_Loader), key, None
    while True:
        index = _INDEX.match(rest)
        if isinstance(node, yaml.SequenceNode) and index and int(index[1]) < len(node.value):
            node, rest = node.value[int(index[1])], rest[index.end() :]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            # Names of cells may have dots in them.
            rest = rest.removeprefix(".")
            inner = [
                (name, value)
                for name, value in node.value
                if name.value == rest or (rest and rest.startswith((f"{name.value}.", f"{name.value}[")))
            ]
            if not inner:
                return line
            name, node = max(inner, key=lambda pair: len(pair[0].value))
            rest, line = rest[len(name.value) :], name.start_mark.line + 1
        else:
            return line


def _plain(value: Any, left: list[int], depth: int = 0) -> Any:
    """*value* with text for keys.

    :param left: how many values there may still be.
    """
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(
            f"more than {MAX_VALUES} values, or more than {MAX_DEPTH} mappings and lists in each other"
        )
    if isinstance(value, dict):
        return {str(key): _plain(inner, left, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, left, depth + 1) for inner in value]
    return value
