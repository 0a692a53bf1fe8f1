# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many settings from one policy: all combinations of the values that a sweep names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from ..base.errors import DecisionError
from ..inputs.policy import Policy, check

# What is not of the policy.
OPTIONS = ("hosts", "capacity", "seed")
X = "x"


def combinations(policy: Policy, sweep: Mapping[str, Any]) -> Iterator[tuple[Policy, dict[str, Any]]]:
    """Each setting: the policy, checked, and what is varied with its value.

    :param sweep: lists of values by name: ``hosts``, ``capacity``, ``seed``; ``x``, the cost of a move in the
        figures of Wang et al. (beta_c = 1 + x, beta_l = -x); or a key of the policy with dots, as
        ``mobility.smoothing``.
    """
    for name, values in sweep.items():
        if not isinstance(values, list) or not values:
            raise DecisionError(f"sweep.{name} is {values!r}; allowed: a list of at least one value")
        if name in OPTIONS:
            none = name != "seed"
            # True and False are integers in Python.
            wrong = [
                one
                for one in values
                if (not isinstance(one, int) or isinstance(one, bool) or one < 0)
                and not (none and one is None)
            ]
            if wrong:
                raise DecisionError(f"sweep.{name} has {wrong[0]!r}; allowed: whole numbers, at least 0")
    for chosen in product(*sweep.values()):
        varied = dict(zip(sweep, chosen, strict=True))
        document = copy.deepcopy(policy.document)
        for name, value in varied.items():
            if name == X:
                _set_x(document, value)
            elif name not in OPTIONS:
                _set(document, name, value)
        yield check(Policy(policy.path, document, policy.data_directory)), varied


def _set(document: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    at = document
    for section in sections:
        if not isinstance(at.get(section), dict):
            raise DecisionError(
                f"sweep.{name}: the policy has no section {section!r}; allowed: "
                f"{', '.join((*OPTIONS, X))}, or a key of the policy, as mobility.smoothing"
            )
        at = at[section]
    at[last] = value


def _set_x(document: dict[str, Any], x: Any) -> None:
    migration = document["costs"]["migration"]
    wrong = isinstance(x, bool) or not isinstance(x, (int, float)) or x < 0
    if wrong or migration["family"] != "constant_plus_exponential":
        raise DecisionError(
            f"sweep.x has {x!r} where costs.migration.family is {migration['family']!r}; allowed: numbers "
            "from 0, with constant_plus_exponential"
        )
    migration.update(beta_c=1.0 + x, beta_l=-float(x))
