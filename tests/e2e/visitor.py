"""A client of the service `web` that writes and reads back without a pause while the service moves."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

Place = tuple[str, int]


class Visitor(threading.Thread):
    """One request after the other.

    :param where: the address for the next attempt.
    :param again_after_s: an attempt that brought no answer within this is made again; None: it has failed.
    """

    def __init__(self, where: Callable[[], Place], again_after_s: float | None = None) -> None:
        super().__init__(daemon=True)
        self._where = where
        self._again_after_s = again_after_s
        self._ended = threading.Event()
        self.requests = 0
        self.repeated = 0
        self.longest_ms = 0.0
        self.failed: list[str] = []

    def ask(self, method: str, number: int, body: str | None = None) -> str:
        """:returns: the answer, empty if there was none."""
        began = time.monotonic()
        answer = self._attempt(method, number, body)
        while isinstance(answer, Exception) and self._again_after_s and time.monotonic() < began + 60:
            self.repeated += 1
            # An address that refuses does so at once.
            time.sleep(0.01)
            answer = self._attempt(method, number, body)
        self.requests += 1
        self.longest_ms = max(self.longest_ms, (time.monotonic() - began) * 1000)
        if isinstance(answer, Exception):
            self.failed.append(f"{method} {number}: {answer!r}")
            return ""
        status, text = answer
        if status != 200:
            self.failed.append(f"{method} {number}: {status} {text[:200]}")
        return text

    def _attempt(self, method: str, number: int, body: str | None) -> tuple[int, str] | Exception:
        timeout_s = 30.0 if self._again_after_s is None else self._again_after_s
        connection = http.client.HTTPConnection(*self._where(), timeout=timeout_s)
        try:
            connection.request(method, f"/slot/{number % 1000}", body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return error
        finally:
            connection.close()

    def account(self, report: dict[str, Any]) -> str:
        """What it saw, beside the report of the move, in a line."""
        return (
            f"{self.requests} requests, {len(self.failed)} failed, {self.repeated} attempts made again; "
            f"longest wait {self.longest_ms:.0f} ms, frozen {report['frozen_ms']:.0f} ms, "
            f"on_handover {report['on_handover']}"
        )

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            self.ask("PUT", number, f"value {number}")
            text = self.ask("GET", number)
            if f"value {number}" not in text:
                self.failed.append(f"GET {number} answered {text[:200]!r}")
            time.sleep(0.005)

    def stop(self) -> None:
        self._ended.set()
        self.join()
