"""An hour of taxis, replayed: twelve services on three hosts follow them, and all is counted afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import OFF_DUTY
from e2e.edge import ROOT, Lab

from . import taxis
from .fleet import Fleet, Tenant, costs_told, explained, moves

LOAD = {"MEMORY_MIB": "32", "DIRTY_PAGES": "200"}
KINDS = ("redis", "load", "web", "redis", "load", "redis", "load", "redis", "load", "redis", "load", "web")
# The first hour with enough taxis on the road; no other was tried for the run.
HOUR = 0
ROUTE_SLOTS = 5


@pytest.fixture(scope="module")
def day(trace_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> taxis.Day:
    return taxis.read_day(trace_dir, tmp_path_factory.mktemp("taxis"))


def test_the_policy_pays_in_most_hours(day: taxis.Day) -> None:
    simulation = taxis.Simulation(day)
    hours = {seconds: simulation.day(seconds) for seconds in (10.0, 20.0, 33.0, 50.0, 67.0)}
    for seconds, found in hours.items():
        print(taxis.summary(seconds, found))
    for seconds in (20.0, 33.0):
        found = hours[seconds]
        least = [min(cost["never"], cost["always, nearest"]) for cost in found]
        assert sum(cost["this run"] < one for cost, one in zip(found, least, strict=True)) > 0.8 * len(found)
        assert sum(cost["this run"] for cost in found) < 0.98 * sum(least)


@contextmanager
def fleet_of_the_hour(lab: Lab, day: taxis.Day, directory: Path) -> Iterator[Fleet]:
    """Twelve services on the hosts that are nearest to their users when the hour begins."""
    directory.mkdir()
    hosts = day.hosts()
    (group,) = [users for hour, users in day.groups() if hour == HOUR][:1]
    tenants = []
    for number, (kind, taxi) in enumerate(zip(KINDS, group, strict=True)):
        path = day.path(HOUR, taxi)
        at = day.cells.xy_m[path[path != OFF_DUTY][0]]
        nearest = min(hosts, key=lambda host: distance_m(day, host.cell, at))
        env = LOAD if kind == "load" else {}
        tenants.append(Tenant(f"{kind}-{number}", kind, 9210 + number, f"taxi-{taxi}", nearest.name, env))
    taxis.write_trace(day, HOUR, group, directory / "hour.csv")
    places = {host.name: {"mec_cell": host.cell, "mec_capacity": 12} for host in hosts}
    made = Fleet(lab, directory, tenants, places)
    made.wipe()
    made.begin()
    yield made
    made.end()


def distance_m(day: taxis.Day, cell: str | None, at: tuple[float, float]) -> float:
    index = day.cells.index(cell)
    assert index is not None
    x_m, y_m = day.cells.xy_m[index] - at
    return float((x_m**2 + y_m**2) ** 0.5)


def test_twelve_services_follow_an_hour_of_taxis(lab: Lab, day: taxis.Day, tmp_path: Path) -> None:
    """Once by what the policy has learned of taxis, and once with their routes for the next slots."""
    costs = {}
    for route_slots in (0, ROUTE_SLOTS):
        directory = tmp_path / f"routes-{route_slots}"
        with fleet_of_the_hour(lab, day, directory) as fleet:
            play = fleet.run(
                "follow_users",
                "hour",
                policy=str(taxis.HERE / "taxis.yml"),
                mec_data_dir=day.policy.data_directory,
                trace_file=str(directory / "hour.csv"),
                trace_step_seconds=60 * taxis.SLOT_MINUTES,
                trace_route_slots=route_slots,
                rounds=taxis.SLOTS,
                per_host=2,
            ).ok()
            accounts = fleet.lost_nothing()
            report = fleet.report("hour")
            explained(report)
            assert {move["outcome"] for move in moves(report)} <= {"moved"}
            keep(directory.name, play.seconds, report, accounts, fleet.records(), play.output)
        costs[route_slots] = costs_told(play.output)
        assert costs[route_slots]["this run"] < min(
            costs[route_slots]["never"], costs[route_slots]["always, nearest"]
        )
    # What a move cost differs from run to run, so each is compared with what could be had in it.
    assert above_the_optimum(costs[ROUTE_SLOTS]) < above_the_optimum(costs[0])


def above_the_optimum(costs: dict[str, float]) -> float:
    return costs["this run"] / costs["offline optimum"]


def keep(name, seconds, report, accounts, records, output) -> None:
    """The figures, for who wants to look."""
    directory = ROOT / "reports" / "loop"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"taxis-{name}.json").write_text(
        json.dumps({"report": report, "records": records}, indent=1) + "\n"
    )
    errors = [record["errors"] for record in records]
    gaps = [account["downtime_client_ms"] for account in accounts.values() if account["switches"]]
    lines = [
        f"{len(accounts)} services, {len(report['rounds'])} rounds in {seconds:.0f} s, load average "
        f"{os.getloadavg()[2]:.1f}",
        f"{len(records)} moves, median {median(record['seconds'] for record in records):.1f} s",
        f"median error of seconds {median(abs(one['seconds']) for one in errors):.0%}, of bytes "
        f"{median(abs(one['total_bytes']) for one in errors):.0%}",
        f"{sum(account['acknowledged_writes'] for account in accounts.values())} writes acknowledged, "
        f"{sum(account['lost_writes'] for account in accounts.values())} lost; longest gap of each moved "
        f"service: at most {max(gaps):.0f} ms, median {median(gaps):.0f} ms",
        *(f"{name}: {cost}" for name, cost in costs_told(output).items()),
    ]
    (directory / f"taxis-{name}.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
