# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A function that runs beside its caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


def within(seconds: float, ask: Callable[[], Value]) -> Value | None:
    """The answer, or None if there is an error or it takes longer."""
    asked = InThread(ask)
    asked.wait(seconds)
    return None if asked.running or asked.error is not None else asked.result()


class InThread(Generic[Value]):
    """Starts *function* at once; its exception comes out of :meth:`result`.

    :ivar ended_at: when it ended, by the monotonic clock; 0 until then.
    """

    def __init__(self, function: Callable[[], Value]) -> None:
        self._values: list[Value] = []
        self.error: BaseException | None = None
        self.ended_at = 0.0
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], Value]) -> None:
        try:
            self._values.append(function())
        except BaseException as error:
            self.error = error
        finally:
            self.ended_at = time.monotonic()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Until it has ended, or for so long."""
        self._thread.join(seconds)

    def result(self) -> Value:
        self.wait()
        if self.error is not None:
            raise self.error
        return self._values[0]
