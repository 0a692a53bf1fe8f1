"""The checker finds what is not linearizable, and nothing else."""

from __future__ import annotations

import itertools
import random

import pytest

from .history import NEVER, Op, log_faults, register_faults


def write(value, began, ended=NEVER):
    return Op("write", value, began, ended)


def read(value, began, ended):
    return Op("read", "", began, ended, value)


def append(value, began, ended, count):
    return Op("append", value, began, ended, count)


@pytest.mark.parametrize(
    "ops",
    [
        [],
        [read("", 0, 1), write("a", 2, 3), read("a", 4, 5)],
        [write("a", 0, 9), read("a", 1, 2), write("b", 3, 8), read("b", 4, 5)],
        [write("a", 0, 9), read("", 1, 2), read("a", 3, 4)],
        [write("a", 0), read("", 5, 6), read("a", 7, 8)],
        [write("a", 0, 1), write("lost", 2), write("b", 3, 4), read("b", 5, 6)],
    ],
)
def test_what_is_legal_passes(ops):
    assert register_faults(ops) == []


@pytest.mark.parametrize(
    "ops",
    [
        [write("a", 0, 1), read("", 2, 3)],
        [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
        [write("a", 0, 1), read("b", 2, 3)],
        [read("a", 0, 1), write("a", 2, 3)],
        [write("a", 0, 1), write("b", 0), read("b", 2, 3), read("a", 4, 5), read("b", 6, 7)],
        # Two copies, each with its own value.
        [write("a", 0, 1), write("b", 0, 1), read("a", 2, 3), read("b", 4, 5), read("a", 6, 7)],
    ],
)
def test_what_is_not_legal_is_found(ops):
    assert register_faults(ops)


def legal(ops):
    """By trying every order."""
    for length in range(len(ops) + 1):
        for order in itertools.permutations(ops, length):
            if any(op not in order and op.ended != NEVER for op in ops):
                continue
            value, fits = "", True
            for number, op in enumerate(order):
                fits = fits and all(op.began <= later.ended for later in order[number:])
                if op.kind == "write":
                    value = op.value
                else:
                    fits = fits and op.result == value
            if fits:
                return True
    return False


def test_zones_decide_as_trying_every_order_does():
    dice = random.Random(14)
    verdicts = set()
    for _ in range(400):
        ops = []
        for number in range(dice.randint(1, 5)):
            began = dice.random()
            ended = began + dice.random() / 2
            if dice.random() < 0.5:
                ops.append(write(str(number), began, NEVER if dice.random() < 0.2 else ended))
            else:
                ops.append(read(dice.choice(["", "0", "1", "2"]), began, ended))
        verdict = legal(ops)
        verdicts.add(verdict)
        assert (register_faults(ops) == []) == verdict, ops
    assert verdicts == {True, False}


def test_a_log_that_kept_all_is_legal():
    ops = [
        append("a", 0, 1, 1),
        append("b", 2, NEVER, None),
        append("c", 3, 4, 3),
        append("d", 3, NEVER, None),
    ]
    assert log_faults(ops, ["a", "b", "c"]) == []


@pytest.mark.parametrize(
    ("final", "word"),
    [
        (["a"], "lost"),
        (["b", "a"], "acknowledged as"),
        (["a", "b", "b"], "twice"),
        (["a", "x", "b"], "nobody"),
    ],
)
def test_a_log_that_lost_something_is_found(final, word):
    ops = [append("a", 0, 1, 1), append("b", 2, 3, 2)]
    assert word in " ".join(log_faults(ops, final))


def test_a_log_whose_order_is_not_that_of_time_is_found():
    ops = [append("a", 4, NEVER, None), append("b", 2, 3, 2)]
    assert "ended before" in " ".join(log_faults(ops, ["a", "b"]))


def test_a_length_from_an_older_state_is_found():
    ops = [append("a", 0, 1, 1), Op("length", "", 2, 3, 0)]
    assert "ended before" in " ".join(log_faults(ops, ["a"]))
