"""Damaged policies, positions, traces, tables and stores: each is read, or refused in plain words."""

from __future__ import annotations

import json
import math

from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.decision.decision import User, decide
from ansible_collections.mec.migration.plugins.plugin_utils.decision.request import user_of
from ansible_collections.mec.migration.plugins.plugin_utils.decision.setting import Setting
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import (
    Host,
    hosts_from_inventory,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    Policy,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.strict_json import parsed
from ansible_collections.mec.migration.plugins.plugin_utils.loop.planning import names_of, positions_of
from ansible_collections.mec.migration.plugins.plugin_utils.loop.replay import read_replay
from ansible_collections.mec.migration.plugins.plugin_utils.loop.routes import learn, map_header
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import square_grid
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import random_walk
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.model import host_positions
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import read_cells, read_trace
from ansible_collections.mec.migration.plugins.plugin_utils.prediction import trust_store

from .damage import damaged_bytes, damaged_value, in_time, trials

HOSTS = [Host("a", "0"), Host("b", "1")]
CELLS = square_grid(3, 3, 500.0, (59.9, 10.7))
HEADER = map_header(CELLS, random_walk(CELLS, 0.3))
# What the message of a refused policy names: its file, or the cell or host that is not on its map.
NAMED = ("policy", "site.yml", "cell", "mec_")
ODD_LINES = (
    ": 1:30",
    ": 010",
    ": .nan",
    ": -.inf",
    ": ~",
    ": NO",
    ": [*a]",
    ": &a [*a]",
    ": 2026-11-23",
    ": {}",
)
POSITIONS = {
    "format": 1,
    "now": "2026-11-23T08:00:00Z",
    "partial": False,
    "users": {
        "anna": {"cell": "1", "heading": 90, "dwell_slots": 2},
        "bo": {
            "latitude": 59.9,
            "longitude": 10.7,
            "route": {
                "source": "navigation",
                "announced_seconds_ago": 30,
                "points": [
                    {"in_seconds": 60, "cell": "2", "probability": 0.9},
                    {"time": "2026-11-23T08:02:00Z", "alternatives": [{"cell": "5"}, {"cell": "4"}]},
                    {"in_seconds": 240, "leaves": True},
                ],
            },
        },
    },
}
NOWHERE = dict.fromkeys(("user_cell", "user_position", "heading"))
TRACE = "user,time,cell\n" + "".join(f"u{at % 3},{20 * at},{at * 7 % 9}\n" for at in range(60))
TABLE = "cell,lat,lon\n" + "".join(f"{at},{59.9 + at / 100},{10.7 - at / 50}\n" for at in range(9))


def refused(work):
    """(what *work* returns, None), or (None, how it was refused)."""
    try:
        return work(), None
    except DecisionError as error:
        return None, str(error)


def test_policies(seconds, tmp_path):
    (tmp_path / "lab_cells.csv").write_bytes((DEFAULT_DIRECTORY / "lab_cells.csv").read_bytes())
    valid = [path.read_text() for path in sorted(DEFAULT_DIRECTORY.glob("*.yml"))]
    path = tmp_path / "site.yml"

    def decided(choice):
        policy = read_policy(path)
        if choice.random() < 0.5:
            policy = Policy(policy.path, damaged_value(choice, policy.document), str(tmp_path))
        setting = Setting(policy, HOSTS, cache_directory=str(tmp_path / "cache"))
        return decide(setting, "one", "a", User(cell="1"))

    for choice in trials(seconds):
        lines = choice.choice(valid).splitlines(keepends=True)
        for _damage in range(choice.randint(0, 2)):
            at = choice.randrange(len(lines))
            lines[at] = lines[at].split(":")[0] + choice.choice(ODD_LINES) + "\n"
        content = "".join(lines).encode()
        path.write_bytes(damaged_bytes(choice, content) if choice.random() < 0.5 else content)
        found, why = in_time(60, lambda choice=choice: refused(lambda: decided(choice)))
        assert why is None or any(word in why for word in NAMED), why
        assert found is None or all(math.isfinite(cost) for cost in found["expected_costs"].values())


def test_positions(seconds):
    def read(content):
        try:
            return positions_of(parsed(content))
        except ValueError as error:
            raise DecisionError(str(error)) from error

    for choice in trials(seconds):
        content = json.dumps(damaged_value(choice, POSITIONS)).encode()
        if choice.random() < 0.5:
            content = damaged_bytes(choice, content)
        positions, why = in_time(1, lambda content=content: refused(lambda: read(content)))
        assert why or positions is not None
        for position in (positions or {}).values():
            user = user_of({"dwell_slots": 0, **NOWHERE, **position})
            assert user.cell is not None or abs(user.latitude) <= 90
        learn(trust_store.TrustStore(), positions or {}, HEADER, now_s=0.0, slot_s=60.0)


def test_traces_and_tables(seconds, tmp_path):
    path = tmp_path / "trace.csv"
    readers = [
        (TRACE, lambda: read_trace(path, CELLS, said=[])),
        (TRACE, lambda: read_replay(str(path), CELLS, said=[]).positions(300.0, route_slots=5)),
        (TABLE, lambda: read_cells(path, 500.0, said=[])),
    ]
    for choice in trials(seconds):
        valid, read = choice.choice(readers)
        path.write_bytes(damaged_bytes(choice, valid.encode()))
        _found, why = in_time(5, lambda read=read: refused(read))
        assert why is None or str(path) in why


def test_the_store_of_trust(seconds, tmp_path):
    path = tmp_path / "costs.routes.json"

    def learned():
        with trust_store.changed(path) as store:
            return learn(store, positions_of(POSITIONS), HEADER, now_s=0.0, slot_s=60.0)

    learned()
    valid = path.read_bytes()
    for choice in trials(seconds):
        damaged = json.dumps(damaged_value(choice, json.loads(valid))).encode()
        path.write_bytes(damaged if choice.random() < 0.5 else damaged_bytes(choice, valid))
        told, why = refused(learned)
        assert why is None or str(path) in why
        trust = told["bo"]["route_trust"] if told else {"steps": [], "leaves": []}
        assert all(0 <= rate <= 1 for rates in (*trust["steps"], trust["leaves"]) for rate in rates)


def test_inventories_and_services(seconds):
    place = {"mec_cell": "1", "mec_latitude": 59.9, "mec_longitude": 10.7, "mec_capacity": 3}
    services = [{"name": "one", "user": "anna"}, {"name": "two", "user": 7}]
    for choice in trials(seconds):
        variables, listed = damaged_value(choice, place), damaged_value(choice, services)
        if isinstance(variables, dict):
            where, why = refused(
                lambda variables=variables: host_positions(
                    CELLS, hosts_from_inventory(["a"], {"a": variables})
                )
            )
            assert (where is None and "a" in why) or where.shape == (1, 2)
        if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
            names, why = refused(lambda listed=listed: names_of(listed))
            assert why or all(names) or not listed
