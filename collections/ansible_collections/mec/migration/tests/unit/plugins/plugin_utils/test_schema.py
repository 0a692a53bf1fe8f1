# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows a schema without jsonschema, compared with what jsonschema says."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.schema import follows
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import cost_store
from ansible_collections.mec.migration.plugins.plugin_utils.report import run_report

# Of real moves.
REPORT = {
    "acknowledged_writes": None,
    "bandwidth_bytes_per_s": 39082402.01947504,
    "clock": {"least": -0.03, "most": 0.033, "source_ahead_s": 0.0},
    "cpu_percent": 100.0,
    "dirty_pages_per_s": 21.4,
    "downtime_client_ms": None,
    "ended": 1795979032.209,
    "format": 2,
    "frozen_bytes": 17972,
    "frozen_ms": 282.5,
    "image_bytes": 413,
    "image_exact_reason": "",
    "image_missing_bytes": 0,
    "lost_writes": None,
    "memory": "full",
    "memory_bytes": 29331456,
    "migration_id": "load-8be1a1fa4e063ac3d3997b54e186fd8b",
    "moves_at_once": 1,
    "not_put_back": [],
    "on_handover": {},
    "phases": [
        {"bytes": 0, "ended": 1795979029.456, "phase": "validate", "seconds": 3.256, "started": 1795979026.2},
        {
            "bytes": 413,
            "ended": 1795979029.531,
            "phase": "image",
            "seconds": 0.075,
            "started": 1795979029.456,
        },
    ],
    "rounds": [
        {
            "changed_bytes": 28061696,
            "compression": 1.45,
            "cpu_percent": 100.0,
            "dirty_pages_per_s": 0.0,
            "files_changed": 2,
            "files_sent_bytes": 466,
            "frozen_ms": 4.54231099865865,
            "number": 1,
            "pages_changed": 6851,
            "pages_scanned": 6895,
            "residual_bytes": 19370776,
            "seconds": 0.4956512649951037,
            "sent_bytes": 19370776,
            "started": 1795979029.906,
        }
    ],
    "service": "load",
    "source": "edge-a",
    "started": 1795979026.2,
    "stop_reason": "the 0 kB that are left pass in 30 ms at 39 MB/s",
    "target": "edge-b",
    "throttle_obstacle": "",
    "total_bytes": 19559670,
    "total_seconds": 6.01,
    "tracker": "uffd",
    "tracker_reason": "the kernel has no soft-dirty pages, but tells written ones by userfaultfd",
    "waited_seconds": 0.0,
    "window": {
        "dump_ms": 62.807,
        "dump_note": "",
        "files_ms": 0.18524500774219632,
        "files_note": "",
        "freeze_ms": 1.9102840014966205,
        "frozen_bytes": 17972,
        "frozen_ms": 282.46278199367225,
        "images_ms": 2.572758006863296,
        "memory_ms": 2.4817819939926267,
        "pages_changed": 0,
        "pages_scanned": 0,
        "restore_wait_ms": 210.5899479938671,
        "started": 1795979031.082,
        "target": {
            "criu_forking_time_ms": 0.003,
            "criu_restore_time_ms": 76.081,
            "restore_ms": 166.63223899377044,
        },
    },
}
RECORD = {
    "bandwidth_bytes_per_s": 39081461.8,
    "dirty_pages_per_s": 21.4,
    "downtime_ms": None,
    "errors": {"frozen_ms": 0.0425, "seconds": 0.4709, "total_bytes": -0.0011},
    "format": 1,
    "frozen_bytes": 17972,
    "frozen_ms": 282.5,
    "image_bytes": 413,
    "image_missing_bytes": 0,
    "largest_round_bytes": 19370776,
    "memory_bytes": 29331456,
    "migration_id": "load-8be1a1fa4e063ac3d3997b54e186fd8b",
    "moves_at_once": 1,
    "phases": {
        "arm": 0.342,
        "commit": 0.425,
        "hand over": 0.948,
        "image": 0.075,
        "pre-copy": 0.574,
        "validate": 3.256,
        "verify": 0.389,
    },
    "predicted": {
        "bandwidth_bytes_per_s": 11662649.8,
        "compressed_share": 0.716,
        "dirty_pages_per_s": 32.3,
        "frozen_ms": 294.5,
        "image_missing_bytes": 0,
        "load_per_cpu": 4.6,
        "memory_bytes": 29331456.0,
        "moves_at_once": 1,
        "records": 12,
        "seconds": 8.84,
        "total_bytes": 19538660,
        "window": {
            "copy_on_write_bytes": 0,
            "processes": 1,
            "shared_bytes": 0,
            "system_v_bytes": 0,
            "threads": 1,
            "tmpfs_bytes": 0,
            "written_file_bytes": 0,
        },
    },
    "seconds": 6.01,
    "service": "load",
    "source": "edge-a",
    "target": "edge-b",
    "time": 1795979033.4,
    "total_bytes": 19559670,
    "waited_seconds": 0.0,
}
RUN = run_report.complete(run_report.of_migration(REPORT), None, [])
NUMBERS = (0, 1, -1, 1.0, 2.5, -0.5, 10**400, float("nan"), float("inf"))
ODD: tuple[Any, ...] = (None, True, False, *NUMBERS, "", "x", [], {}, [1], {"x": 1})


def exactly(schema, document):
    return jsonschema.Draft202012Validator(schema).is_valid(document)


def places(value, way=()):
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*way, key))


def changed(document, dice):
    """*document* with one value replaced, removed or added."""
    document = copy.deepcopy(document)
    way = dice.choice([one for one in places(document) if one])
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    what = dice.randrange(3)
    if what == 0:
        del holder[way[-1]]
    elif what == 1 and isinstance(holder, dict):
        holder["more"] = dice.choice(ODD)
    else:
        holder[way[-1]] = dice.choice(ODD)
    return document


@pytest.mark.parametrize("kind", ["record", "run"])
def test_the_same_documents_follow_a_schema(kind):
    schema, document = (cost_store._schema(), RECORD) if kind == "record" else (run_report._schema(), RUN)
    assert exactly(schema, document)
    assert follows(document, schema)
    dice, seen = random.Random(16), set()
    for _turn in range(3000):
        other = changed(changed(document, dice) if dice.randrange(2) else document, dice)
        assert follows(other, schema) == exactly(schema, other), other
        seen.add(follows(other, schema))
    assert seen == {True, False}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "number"},
        {"type": ["string", "null"]},
        {"minimum": 1},
        {"maximum": 1},
        {"exclusiveMinimum": 1},
        {"exclusiveMaximum": 1},
        {"const": 1},
        {"const": True},
        {"enum": [1, "x", None]},
        {"enum": [False]},
        {"minLength": 1},
        {"minItems": 1, "maxItems": 1},
        {"items": {"type": "integer"}},
        {"required": ["x"]},
        {"properties": {"x": {"const": 2}}},
        {"properties": {"y": True}, "additionalProperties": False},
        {"additionalProperties": {"type": "string"}},
        {"anyOf": [{"type": "string"}, {"minimum": 1, "type": "number"}]},
        {"allOf": [{"type": "number"}, {"maximum": 1}]},
        {"if": {"type": "number"}, "then": {"minimum": 1}, "else": {"type": "string"}},
        {"if": {"type": "number"}, "then": {"minimum": 1}},
        {"$ref": "#/$defs/few", "$defs": {"few": {"enum": [1, 2]}}},
    ],
)
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_each_keyword(schema, value):
    if follows(value, schema) != exactly(schema, value):
        assert isinstance(value, float), "of what is no number nothing is sure"
        assert not follows(value, schema)


@pytest.mark.parametrize(
    "schema", [{"pattern": "x"}, {"const": {}}, {"$ref": "other.json"}, {"anyOf": [{"pattern": "x"}]}]
)
def test_what_is_not_known_is_not_sure(schema):
    assert not follows("x", schema)


def test_neither_jsonschema_nor_numpy_is_loaded_for_a_move(tmp_path):
    """It takes Ansible's worker a fifth of a second each."""
    (tmp_path / "run.json").write_text(json.dumps(REPORT))
    root = Path(cost_store.__file__).parents[6]
    program = f"""
import json, sys
sys.path.insert(0, {str(root)!r})
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import cost_store, cost_model
from ansible_collections.mec.migration.plugins.plugin_utils.report import run_report, timeline_page
from ansible_collections.mec.migration.plugins.filter import migration_report, positions
run_report.complete(run_report.of_migration(json.load(open({str(tmp_path / "run.json")!r}))), None, [])
cost_store.append({str(tmp_path / "costs.jsonl")!r}, json.loads({json.dumps(json.dumps(RECORD))}))
print([name for name in ("numpy", "jsonschema") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
