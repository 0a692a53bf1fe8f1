"""Records of runs that never were, for shapes that a recorded one does not have."""

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.report.run_report import verdict

EPOCH = 1_700_000_000.0
SPOTS = {"edge-a": (0.0, 0.0), "edge-b": (700.0, 1300.0), "edge-c": (0.0, 2600.0)}


def migration(service: str, started: float, frozen_ms: float) -> dict[str, Any]:
    """The report of a move of 12 s: three rounds, then the window at its tenth second."""
    names = ("validate", "image", "arm", "pre-copy", "hand over", "verify", "commit")
    starts = (0.0, 2.0, 3.0, 3.5, 9.0, 11.0, 11.5, 12.0)
    phases = [
        {
            "phase": name,
            "started": started + start,
            "ended": started + end,
            "seconds": end - start,
            "bytes": 0,
        }
        for name, start, end in zip(names, starts, starts[1:], strict=False)
    ]
    rounds = [
        {
            "number": number,
            "started": started + at,
            "seconds": seconds,
            "pages_changed": 100,
            "sent_bytes": 400_000,
            "files_sent_bytes": 0,
            "residual_bytes": 4096,
        }
        for number, (at, seconds) in enumerate(((4.0, 2.0), (6.0, 0.5), (9.5, 0.3)), start=1)
    ]
    parts = {"freeze_ms": 0.1, "memory_ms": 0.2, "files_ms": 0.1, "dump_ms": 0.3, "images_ms": 0.1}
    return {
        "format": 2,
        "migration_id": f"{service}-1",
        "service": service,
        "started": started,
        "ended": started + 12.0,
        "clock": {"source_ahead_s": 0.0, "least": -0.2, "most": 0.3},
        "phases": phases,
        "rounds": rounds,
        "window": {
            "started": started + 10.0,
            "frozen_ms": frozen_ms,
            "frozen_bytes": 1000,
            **{name: share * frozen_ms for name, share in parts.items()},
            "restore_wait_ms": 0.4 * frozen_ms,
            "pages_changed": 7,
        },
        "frozen_ms": frozen_ms,
        "frozen_bytes": 1000,
        "total_bytes": 1_300_000,
        "total_seconds": 12.0,
        "memory_bytes": 50_000_000,
        "stop_reason": "enough",
        "downtime_client_ms": None,
        "lost_writes": None,
    }


def run(names: list[str], rounds: int, *, check: bool = False) -> dict[str, Any]:
    """Each round of a minute one service moves to the next host, in turn."""
    hosts = list(SPOTS)
    where = {name: index % 3 for index, name in enumerate(names)}
    made: list[dict[str, Any]] = []
    for index in range(rounds):
        began = EPOCH + 60.0 * index
        mover = names[index % len(names)]
        source, target = hosts[where[mover]], hosts[(where[mover] + 1) % 3]
        services = [
            {
                "service": name,
                "user": f"user of {name}",
                "action": "move" if name == mover else "stay",
                "reason": "because",
                "current_host": hosts[where[name]],
            }
            for name in names
        ]
        move = {
            "service": mover,
            "source": source,
            "target": target,
            "reason": "because",
            "outcome": "moved",
            "started": began + 5.0,
            "ended": began + 17.0,
            "report": migration(mover, began + 5.0, 200.0 + 10.0 * index),
        }
        made.append(
            {
                "round": index + 1,
                "started": began,
                "ended": began + 58.0,
                "positions": {"format": 1, "users": {f"user of {name}": {"cell": "0"} for name in names}},
                "services": services,
                "moves": [] if check else [move],
            }
        )
        if not check:
            where[mover] = (where[mover] + 1) % 3
    spots = [{"name": name, "x_m": x, "y_m": y} for name, (x, y) in SPOTS.items()]
    ways = {
        f"user of {name}": [list(SPOTS[hosts[(index + at) % 3]]) for at in range(rounds)]
        for index, name in enumerate(names)
    }
    growing = {"this run": 0.4, "never": 0.7, "always, nearest": 0.5, "offline optimum": 0.3}
    record: dict[str, Any] = {
        "format": 2,
        "run": "made",
        "started": EPOCH,
        "ended": EPOCH + 60.0 * rounds,
        "policy": "lab",
        "leave": [],
        "check": check,
        "hosts": [{"name": name} for name in hosts],
        "map": {
            "kind": "cells",
            "cell_size_m": 500.0,
            "cells": [{"cell": str(at), "x_m": x, "y_m": y} for at, (x, y) in enumerate(SPOTS.values())],
            "hosts": spots,
            "users": ways,
        },
        "costs": [
            {
                "strategy": name,
                "cost": share * rounds,
                "migration": 0.0,
                "transmission": share * rounds,
                "moves": 0,
                "so_far": [share * (at + 1) for at in range(rounds)],
            }
            for name, share in growing.items()
        ],
        "notes": [],
        "rounds": made,
    }
    return {**record, "verdict": verdict(record)}
