# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move will cost: bytes, seconds by phase and the frozen window, learned from earlier ones.

Bytes follow from pre-copy itself: a first round of all memory, then rounds of what changed meanwhile.
Seconds of a phase, and the frozen window, are a constant, and more for each service that moves at the same
time and for each process that waits for a processor, plus bytes over bandwidth, plus a share of memory
(scanning and comparing it); the window's also for each process, thread, and what of shared memory and files
is read in it. The coefficients are fitted by least squares on relative errors; each has a
default which counts like one uncertain observation, so that few records, or none, do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from ...module_utils.base.stop_rule import AS_GOOD, HANDOVER_GAP_S, StopRule, dirty_after
from .cost_store import TELLING_BYTES, CostError, read, tells_bandwidth
from .least_squares import fit

PAGE_BYTES = 4096
# Of a pair of hosts, then of all: what the link gives changes with the time of the day.
RECENT_OF_PAIR, RECENT = 5, 200
RULE = StopRule()
# A round looks at all memory, however little it sends.
SCAN_BYTES_PER_S = 600e6
# Sent for each byte that is missing or changes, where nothing is known of the image or the service.
IMAGE_RATIO, MEMORY_RATIO = 0.45, 0.9
# Of the largest round among recent moves: smaller ones do not tell a bandwidth beside it.
LARGE_SHARE = 0.25
# Of the memory: when less than this is sent again, the first round is what decides.
LITTLE = 0.2

# Of a phase's constant, for each other service that moves at the same time: tasks share the controller.
CROWDED = 0.4
# Likewise for each process that waits for a processor, on the busiest machine that takes part.
BUSY = 0.4
# What else makes the window longer, and with it the hand-over: s for each process and thread beyond one,
# and for each GB. Defaults from idle services on a quiet machine of two cores.
WINDOW = {
    "processes": 0.011,
    "threads": 0.0006,
    "shared_bytes": 0.15,
    "system_v_bytes": 0.6,
    "tmpfs_bytes": 42.0,
    "written_file_bytes": 0.7,
    "copy_on_write_bytes": 1.0,
}
# They travel in the window, and are not part of what is called memory.
WHOLE = ("tmpfs_bytes",)
# Defaults of constant (s), bytes over bandwidth, and s for each GB, from migrations on two busy cores.
IMAGE, PRECOPY, HANDOVER, FROZEN = "image", "pre-copy", "hand over", "frozen"
DEFAULTS: dict[str, tuple[float, ...]] = {
    phase: (constant, CROWDED * constant, BUSY * constant, *more)
    for phase, (constant, *more) in {
        "validate": (3.0,),
        IMAGE: (0.8, 1.0, 4.0),
        "arm": (0.3,),
        PRECOPY: (0.6, 1.0, 2.0),
        HANDOVER: (0.6, 1.0, 1.0, *WINDOW.values()),
        "verify": (0.2,),
        "commit": (0.3,),
        FROZEN: (0.1, 1.0, 0.3, *WINDOW.values()),
    }.items()
}


@dataclass(frozen=True)
class Move:
    """A move as far as its cost goes."""

    service: str
    source: str
    target: str
    image_missing_bytes: float
    memory_bytes: float
    dirty_pages_per_s: float
    compressed_share: float | None = None
    moves_at_once: int = 1
    load_per_cpu: float = 1.0
    # By the names in WINDOW; what is not there is not known of.
    window: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole_bytes(self) -> float:
        """What travels in the window beside memory, before compression."""
        return sum(self.window.get(name, 0.0) for name in WHOLE)


@dataclass(frozen=True)
class Transfer:
    """What pre-copy would send of memory, before compression, and what would be left for the window."""

    memory_bytes: float
    frozen_bytes: float


def transfer_of(memory_bytes: float, dirty_pages_per_s: float, bandwidth_bytes_per_s: float) -> Transfer:
    """Rounds as pre-copy and the hand-over make them: see ``stop_rule`` in ``module_utils``."""
    look_s = memory_bytes / SCAN_BYTES_PER_S
    dirty_bytes_per_s = dirty_pages_per_s * PAGE_BYTES

    def dirtied(seconds: float) -> float:
        return dirty_after(seconds, dirty_bytes_per_s, memory_bytes)

    def rounds(left: float, fewest: int, enough: float) -> Transfer:
        sent, lowest = 0.0, math.inf
        for number in range(1, RULE.max_rounds + 1):
            sent += left
            left = dirtied(look_s + left / bandwidth_bytes_per_s)
            lowest = min(lowest, left)
            if number < fewest:
                continue
            another = dirtied(look_s + left / bandwidth_bytes_per_s)
            stuck = another > RULE.min_gain * left and left <= AS_GOOD * lowest
            if stuck or left <= max(enough, bandwidth_bytes_per_s * RULE.downtime_ms / 1000):
                break
        return Transfer(sent, left)

    gap_bytes = dirtied(HANDOVER_GAP_S)
    precopy = rounds(memory_bytes, fewest=2, enough=gap_bytes)
    still_clean = 1 - precopy.frozen_bytes / memory_bytes if memory_bytes > 0 else 0.0
    last = rounds(precopy.frozen_bytes + gap_bytes * still_clean, fewest=1, enough=0.0)
    return Transfer(precopy.memory_bytes + last.memory_bytes, last.frozen_bytes)


@dataclass
class CostModel:
    """Learns from records of ``migration_costs``; predicts.

    :param default_bandwidth_bytes_per_s: for pairs of hosts that nothing is known of.
    :param load_per_cpu: of the controller, whose tasks take longer where it is busy.
    """

    records: Sequence[Mapping[str, Any]]
    default_bandwidth_bytes_per_s: float = 125e6
    load_per_cpu: float = 1.0
    coefficients: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.default_bandwidth_bytes_per_s < math.inf:
            raise CostError("bandwidth_mbit is 0, less or no number; allowed: more than 0")
        self.records = self.records[-RECENT:]
        # By service: sent for each byte of memory in the first round, over what a sample compresses to;
        # likewise for what changed later; and the rate of change that rounds saw, over that of a sample.
        self._samples: list[tuple[str, float]] = []
        self._peculiar: set[str] = set()
        self._changed: list[tuple[str, float]] = []
        self._rates: list[tuple[str, float]] = []
        for one in self.records:
            self._learn(one)
        self._image_ratios = [
            one["image_bytes"] / one["image_missing_bytes"]
            for one in self.records
            if one["image_missing_bytes"] > TELLING_BYTES
        ]
        self.coefficients = {phase: self._fit(phase) for phase in DEFAULTS}

    def _learn(self, one: Mapping[str, Any]) -> None:
        told, service = one["predicted"] or {}, one["service"]
        share = told.get("compressed_share")
        memory_bytes, sent = one["memory_bytes"], one["total_bytes"] - one["image_bytes"]
        sent = max(sent - _move_of(one).whole_bytes * (share or MEMORY_RATIO), 0.0)
        transfer = self._transfer(_move_of(one), self._record_bandwidth(one))
        again = transfer.memory_bytes + transfer.frozen_bytes - memory_bytes
        first, changed = self.memory_ratios(service, share)
        if memory_bytes > 0:
            # Where little changed, what was sent tells of the first round; else of what changed.
            if again < LITTLE * memory_bytes:
                ratio = max(sent - changed * again, 0.0) / memory_bytes
                self._samples.append((service, ratio / (share or MEMORY_RATIO)))
                if memory_bytes < TELLING_BYTES:
                    # Much of what is sent is not memory then; that is nothing to others.
                    self._peculiar.add(service)
            else:
                self._changed.append((service, max(sent - first * memory_bytes, 0.0) / again))
        if told.get("dirty_pages_per_s") and one["dirty_pages_per_s"]:
            self._rates.append((service, one["dirty_pages_per_s"] / told["dirty_pages_per_s"]))

    def bandwidth(self, source: str, target: str) -> float:
        """Bytes a second: the pair's own, or both ends' other ones, or all, or the default."""
        telling = [one for one in self.records if tells_bandwidth(one)]
        pair = [one for one in telling if (one["source"], one["target"]) == (source, target)]
        near = [one for one in telling if source == one["source"] or target == one["target"]]
        known = pair or near or telling
        if not known:
            return self.default_bandwidth_bytes_per_s
        recent = known[-RECENT_OF_PAIR:]
        # A small round is over before the link is busy; beside a large one it says little.
        most = max(one.get("largest_round_bytes", TELLING_BYTES) for one in recent)
        large = [one for one in recent if one.get("largest_round_bytes", TELLING_BYTES) >= LARGE_SHARE * most]
        return float(median(one["bandwidth_bytes_per_s"] for one in large))

    def predict(self, move: Move) -> dict[str, Any]:
        """``total_bytes``, ``seconds`` and ``frozen_ms``, with what they were computed from."""
        bandwidth = self.bandwidth(move.source, move.target)
        rate = _recent(self._rates, move.service, others=True, default=1.0)
        transfer = self._transfer(replace(move, dirty_pages_per_s=rate * move.dirty_pages_per_s), bandwidth)
        first, changed = self.memory_ratios(move.service, move.compressed_share)
        image_bytes = self.image_ratio() * move.image_missing_bytes
        precopy_bytes = first * move.memory_bytes + changed * (transfer.memory_bytes - move.memory_bytes)
        frozen_bytes = changed * transfer.frozen_bytes + first * move.whole_bytes
        rows = _rows(move, image_bytes, precopy_bytes, frozen_bytes, bandwidth)
        told = {phase: _dot(row, self.coefficients[phase]) for phase, row in rows.items()}
        seconds = sum(taken for phase, taken in told.items() if phase != FROZEN)
        # The window is a part of the move.
        frozen_s = min(told[FROZEN], seconds)
        return {
            "total_bytes": round(image_bytes + precopy_bytes + frozen_bytes),
            "seconds": round(seconds, 2),
            "frozen_ms": round(1000 * frozen_s, 1),
            "image_missing_bytes": move.image_missing_bytes,
            "memory_bytes": move.memory_bytes,
            "dirty_pages_per_s": move.dirty_pages_per_s,
            "compressed_share": move.compressed_share,
            "bandwidth_bytes_per_s": round(bandwidth, 1),
            "moves_at_once": move.moves_at_once,
            "load_per_cpu": move.load_per_cpu,
            "window": dict(move.window),
            "records": len(self.records),
        }

    def predict_beside(
        self, service: str, source: str, target: str, prediction: Mapping[str, Any], moves_at_once: int
    ) -> dict[str, Any]:
        """*prediction* anew for a move that is one of *moves_at_once*."""
        inputs = (
            "image_missing_bytes",
            "memory_bytes",
            "dirty_pages_per_s",
            "compressed_share",
            "load_per_cpu",
        )
        known = {key: prediction[key] for key in inputs}
        window = prediction.get("window", {})
        return self.predict(
            Move(service, source, target, **known, window=window, moves_at_once=moves_at_once)
        )

    def memory_ratios(self, service: str, compressed_share: float | None = None) -> tuple[float, float]:
        """Bytes on the wire for each byte of memory: in the first round, and for what changes later.

        The first is what a sample compresses to, corrected by how that went before. What changes may be of
        another kind than what stays, and may travel as a difference; it is as it was before.
        """
        known = [one for one in self._samples if one[0] == service or one[0] not in self._peculiar]
        correction = _recent(known, service, others=compressed_share is not None, default=1.0)
        changed = _recent(self._changed, service, others=False, default=MEMORY_RATIO)
        return min((compressed_share or MEMORY_RATIO) * correction, 1.0), min(changed, 1.0)

    def image_ratio(self) -> float:
        """Bytes on the wire for each byte in missing layers."""
        return float(median(self._image_ratios)) if self._image_ratios else IMAGE_RATIO

    @staticmethod
    def _transfer(move: Move, bandwidth: float) -> Transfer:
        return transfer_of(move.memory_bytes, move.dirty_pages_per_s, max(bandwidth, 1.0))

    def _fit(self, phase: str) -> list[float]:
        rows, seconds = [], []
        for one in self.records:
            took = one["frozen_ms"] / 1000 if phase == FROZEN else one["phases"].get(phase)
            if took is not None:
                precopy_bytes = one["total_bytes"] - one["image_bytes"] - one["frozen_bytes"]
                row = _rows(
                    _move_of(one),
                    one["image_bytes"],
                    precopy_bytes,
                    one["frozen_bytes"],
                    self._record_bandwidth(one),
                )
                rows.append(row[phase])
                seconds.append(float(took))
        return fit(rows, seconds, DEFAULTS[phase])

    def _record_bandwidth(self, one: Mapping[str, Any]) -> float:
        if tells_bandwidth(one):
            return float(one["bandwidth_bytes_per_s"])
        return self.bandwidth(one["source"], one["target"])


def recent_records(store: str, warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """The records of a store of costs that a prediction uses, oldest first; none without a store.

    :param warn: gets a sentence for each line that is passed over, since it is no record.
    :raises CostError: the store cannot be read.
    """
    skipped: list[str] = []
    records = read(store, newest=RECENT, skipped=skipped) if store else []
    for sentence in skipped:
        warn(f"passed over {sentence}")
    return records


def _rows(
    move: Move, image_bytes: float, precopy_bytes: float, frozen_bytes: float, bandwidth: float
) -> dict[str, list[float]]:
    memory_gb = move.memory_bytes / 1e9
    alike = [1.0, move.moves_at_once - 1.0, max(0.0, move.load_per_cpu - 1.0)]
    busy = 1.0 + BUSY * alike[2]
    last = [*alike, frozen_bytes / bandwidth, memory_gb, *(busy * amount for amount in _amounts(move.window))]
    special = {
        IMAGE: [*alike, image_bytes / bandwidth, move.image_missing_bytes / 1e9],
        PRECOPY: [*alike, precopy_bytes / bandwidth, memory_gb],
        HANDOVER: last,
        FROZEN: last,
    }
    return {phase: special.get(phase, alike) for phase in DEFAULTS}


def _amounts(window: Mapping[str, float]) -> list[float]:
    """As :data:`WINDOW` counts them: what is beyond one process and one thread in each, and GB."""
    processes = window.get("processes", 1.0)
    found = {
        "processes": max(processes - 1.0, 0.0),
        "threads": max(window.get("threads", processes) - processes, 0.0),
    }
    return [found.get(name, window.get(name, 0.0) / 1e9) for name in WINDOW]


def _move_of(record: Mapping[str, Any]) -> Move:
    return Move(
        record["service"],
        record["source"],
        record["target"],
        record["image_missing_bytes"],
        record["memory_bytes"],
        record["dirty_pages_per_s"],
        moves_at_once=record.get("moves_at_once", 1),
        load_per_cpu=(record["predicted"] or {}).get("load_per_cpu", 1.0),
        window=(record["predicted"] or {}).get("window", {}),
    )


def _recent(known: Sequence[tuple[str, float]], service: str, *, others: bool, default: float) -> float:
    """Median of the last values of *service*, else of *others*, else *default*."""
    own = [value for name, value in known if name == service]
    values = own or ([value for _name, value in known] if others else [])
    return float(median(values[-RECENT_OF_PAIR:])) if values else default


def _dot(row: Sequence[float], coefficients: Sequence[float]) -> float:
    return sum(factor * value for factor, value in zip(row, coefficients, strict=True))


def predictions(
    service: str, loads: Mapping[str, Mapping[str, Any]], model: CostModel
) -> dict[str, dict[str, dict[str, Any]]]:
    """What it would cost to move *service* from each host to each other one: source, target, prediction.

    Memory and rate of change are what they are where it runs now, wherever it will be; layers are what
    each host holds now.

    :param loads: by host what ``migration_cost_info`` returned there.
    """
    here = current_host(service, loads)
    load = loads[here]["services"][service]
    missing = {name: missing_bytes(load["layers"], held["diff_ids"]) for name, held in loads.items()}

    def move(source: str, target: str) -> Move:
        busy = [float(loads[end].get("load_per_cpu", 1.0)) for end in (source, target)]
        return Move(
            service,
            source,
            target,
            missing[target],
            float(load["memory_bytes"]),
            float(load["dirty_pages_per_s"]),
            load.get("compressed_share"),
            load_per_cpu=max(*busy, model.load_per_cpu),
            window=load.get("window", {}),
        )

    return {
        source: {target: model.predict(move(source, target)) for target in loads if target != source}
        for source in loads
    }


def missing_bytes(layers: Sequence[Mapping[str, Any]], held_diff_ids: Sequence[str]) -> float:
    """Bytes of the layers that are not held, each once."""
    sizes = {one["diff_id"]: float(one["size_bytes"]) for one in layers}
    return sum(size for diff_id, size in sizes.items() if diff_id not in set(held_diff_ids))


def current_host(service: str, loads: Mapping[str, Mapping[str, Any]]) -> str:
    """The one host that runs *service* and could measure it.

    :raises CostError: none does, or several do.
    """
    found = [name for name, load in loads.items() if service in load["services"]]
    if len(found) != 1:
        raise CostError(
            f"{service} must run on exactly one of {', '.join(loads) or 'no hosts'}; it runs on "
            f"{', '.join(found) or 'none'}"
        )
    load = loads[found[0]]["services"][service]
    if "problem" in load:
        raise CostError(f"{service} on {found[0]}: {load['problem']}")
    return found[0]


def measured_costs(predicted: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """The table that ``mdp_decision`` takes, in seconds, to two digits: solved policies are kept by it."""
    return {
        source: {target: float(f"{one['seconds']:.2g}") for target, one in row.items()}
        for source, row in predicted.items()
    }
