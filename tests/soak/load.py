"""Clients of all services that go round, for the time of one move, and what they have seen of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from crash.history import Clients
from crash.run import legal
from crash.service import Ended, Moved
from e2e.edge import Client, Lab
from e2e.writers import Session, Sql, Writer, postgresql

REDIS, WEB, DATABASE = "redis-aof", "web", "postgresql"
# With fewer answers than this the clients' silence about faults says nothing.
ENOUGH_ANSWERS = 20
# Where the machine is busy with clients a move takes longer, and there are fewer moves in an hour.
WEB_PERIOD_MS = 10


class Rows:
    """A table for one move: each number once, and the place that the database gave it."""

    def __init__(self, table: str) -> None:
        self._table = table
        # As the database has them, by their place.
        self.order: list[int] = []

    def connect(self, address: str, port: int) -> Session:
        return postgresql(address, port, lambda connection: _Numbers(connection, self._table, self.order))

    def wrong(self, acknowledged: int, lost: list[int]) -> tuple[list[str], list[str]]:
        """What was lost, and what must not be even where the operator has allowed to lose writes.

        :param acknowledged: how many writes; the one after the last may be there, too.
        """
        gone = [f"{len(lost)} acknowledged rows are lost: {lost[:3]}"] if lost else []
        bad = []
        if self.order != sorted(set(self.order)):
            bad.append("rows are not in the order in which they were written")
        if self.order and max(self.order) > acknowledged:
            bad.append(f"row {max(self.order)} is there, and nobody wrote it")
        return gone, bad


class _Numbers(Sql):
    """A connection to the table."""

    def __init__(self, connection: Any, table: str, order: list[int]) -> None:
        super().__init__(connection)
        self.table, self._order = table, order

    def prepare(self) -> None:
        columns = "place BIGSERIAL PRIMARY KEY, number INTEGER UNIQUE"
        self._run(f"CREATE TABLE IF NOT EXISTS {self.table} ({columns})")
        self._connection.commit()

    def read_all(self, written: list[int]) -> set[int]:
        try:
            rows = self._run(f"SELECT number FROM {self.table} ORDER BY place").fetchall()
            self._order[:] = [row[0] for row in rows]
            self._connection.commit()
        except Exception as error:
            raise OSError(str(error)) from error
        # Nobody needs it any more, and what is there is moved.
        with contextlib.suppress(Exception):
            self._run(f"DROP TABLE {self.table}")
            self._connection.commit()
        return set(self._order)


class Seen(NamedTuple):
    """:ivar answered: operations, by service."""

    wrong: list[str]
    answered: dict[str, int]


class Load:
    """One client or more of each service, until :meth:`stop` or :meth:`end`.

    :param services: by their names.
    """

    def __init__(self, lab: Lab, services: dict[str, Moved], number: int, scratch: Path) -> None:
        hosts = services[WEB].hosts
        self._ends = contextlib.ExitStack()
        with self._ends as ends:
            self._redis = Clients(services[REDIS].addresses, f"soak-{number}")
            ends.callback(self._redis.give_up)
            self._web = Client(lab, WEB, scratch, [f"--period-ms={WEB_PERIOD_MS}"], hosts=hosts)
            ends.callback(self._web.end)
            self._rows = Rows(f"rows_{number}")
            self._database = Writer(self._rows.connect, services[DATABASE].addresses, period_s=0.01)
            ends.callback(self._database.give_up)
            self._ends = ends.pop_all()

    def stop(self, service: str, ended: Ended) -> Seen:
        """Read all back. Of *service*, which was moved, writes may be lost by the operator's word."""
        by_word = ended.resolved == "word"
        of_redis = self._redis.stop()
        wrong = legal(of_redis, ended) if service == REDIS else of_redis
        account = self._web.stop()
        if not (by_word and service == WEB):
            told = {key: account[key] for key in ("lost_writes", "wrong_answers") if account[key]}
            wrong += [f"web: {told}"] if told else []
        answered = {REDIS: self._redis.answered, WEB: int(account["acknowledged_writes"])}
        try:
            rows = self._database.stop()
        except (AssertionError, OSError) as error:
            answered[DATABASE] = 0
            wrong.append(f"{DATABASE}: {error}")
        else:
            answered[DATABASE] = rows.acknowledged
            lost, bad = self._rows.wrong(rows.acknowledged, rows.lost)
            wrong += bad if by_word and service == DATABASE else lost + bad
        wrong += [
            f"{name}: its clients had {number} answers only"
            for name, number in answered.items()
            if number < ENOUGH_ANSWERS
        ]
        return Seen(wrong, answered)

    def end(self) -> None:
        """Whatever is not stopped yet."""
        self._ends.close()
