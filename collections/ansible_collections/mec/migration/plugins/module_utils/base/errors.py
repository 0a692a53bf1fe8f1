# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error family of the edge-host code; only a module's ``main()`` turns it into ``fail_json``."""

from __future__ import annotations

from typing import Any


class MigrationError(Exception):
    """Something that stops a migration.

    ``message`` says what failed, on what, what was seen against what is needed, and what to do next.

    :param phase: preflight, image, arm, pre-copy, handover, verify, commit, resolve or cleanup. Where it is
        not given, ``run_module`` puts in that of the module.
    :param container_state: state of the container on the host that raises: running, frozen, created,
        exited, absent or unknown.
    :param log_tail: last lines of the log that explains the failure (CRIU's, runc's), already bounded.
    :param rolled_back: whether the host was brought back to how it was before the failed action.
    :param more: what else ``fail_json`` gets, by name.
    """

    usual_phase = "unknown"

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        container_state: str = "unknown",
        log_tail: str = "",
        rolled_back: bool = False,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase = phase or self.usual_phase
        self.phase_is_given = phase not in ("", "unknown")
        self.container_state = container_state
        self.log_tail = log_tail
        self.rolled_back = rolled_back
        self.more = more or {}

    def result(self) -> dict[str, Any]:
        """What ``fail_json`` gets besides ``msg``."""
        return {
            **self.more,
            "phase": self.phase,
            "container_state": self.container_state,
            "log_tail": self.log_tail,
            "rolled_back": self.rolled_back,
        }


class PreflightError(MigrationError):
    """Refused before anything was touched."""

    usual_phase = "preflight"


class TransferError(MigrationError):
    """The stream between the hosts broke, or what arrived is not what was sent."""


class DestroyedError(MigrationError):
    """The target's word, which it has on its disk, that its copy of the service is destroyed."""


class InDoubtError(MigrationError):
    """No one can know which host runs the service; it stays frozen until ``mec.migration.resolve`` is run."""
