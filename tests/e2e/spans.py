"""When which copy of a service ran, and whether two did at the same time."""

from __future__ import annotations

import json

# From when until when, on this machine's clock, which copy ran: its host and container.
Span = tuple[float, float, str]


def spans_of(name: str, output: str, ahead_s: float, cut: float | None = None) -> list[Span]:
    """When a copy ran on host *name*, as the watch there has told.

    :param ahead_s: by how much that host's clock is ahead.
    :param cut: when its power was cut, on this machine's clock: then the watch has not told its own end.
    """
    lines = [json.loads(line) for line in output.splitlines()]
    ends = [line["until"] - ahead_s for line in lines[1:]]
    if cut is not None:
        ends.append(cut)
    assert lines, f"the watch on {name} broke: {output}"
    assert ends, f"the watch on {name} broke: {output}"
    spans = []
    for line, end in zip(lines, ends):
        assert len(line["running"]) <= 1, f"several containers run on {name}: {line}"
        if line["running"]:
            spans.append((line["from"] - ahead_s, end, f"{name} {line['running'][0]}"))
    return spans


def at_the_same_time(spans: list[Span]) -> list[str]:
    """The moments in which two copies ran, in words."""
    assert spans, "the service was not seen running at all"
    spans = sorted(spans)
    return [
        f"{first} and {second} ran at the same time, for {until - start:.3f} s"
        for (_, until, first), (start, _, second) in zip(spans, spans[1:])
        if start <= until
    ]
