# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user of the collection says about a location service, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError, LocationError
from ..inputs.hosts import number
from .api import Api, TokenGrant, checked_url, secret_of

MEC013, RETRIEVAL, GEOFENCING = "mec013", "camara_location_retrieval", "camara_geofencing"
COMMON = (
    "type",
    "url",
    "users",
    "token",
    "token_file",
    "token_url",
    "client_id",
    "client_secret",
    "client_secret_file",
    "scope",
    "ca_file",
    "timeout_seconds",
)
OWN = {
    MEC013: ("zones", "max_age_seconds", "max_uncertainty_m"),
    RETRIEVAL: ("max_age_seconds", "max_surface_m2", "max_uncertainty_m"),
    GEOFENCING: ("areas", "sink", "listen", "expiry_seconds"),
}
DEVICE_KEYS = ("phoneNumber", "networkAccessIdentifier", "ipv4Address", "ipv6Address")


@dataclass(frozen=True)
class Settings:
    """``given``: what is particular to the type, as it was given."""

    kind: str
    api: Api
    users: Mapping[str, Any]
    given: Mapping[str, Any]

    def at_least(self, name: str, least: float) -> float | None:
        """The number *name*, or None where it was not given."""
        value = self.given.get(name)
        return None if value is None else checked_number(value, name, least)


def settings_of(given: Any, kinds: tuple[str, ...]) -> Settings:
    """:param kinds: the types that are allowed here.
    :raises LocationError: something in *given* is wrong.
    """
    if not isinstance(given, Mapping):
        raise LocationError(
            f"the location service is {type(given).__name__}; allowed: a dictionary with type and url"
        )
    kind = given.get("type")
    if kind not in kinds:
        raise LocationError(f"type of the location service is {kind!r}; allowed: {', '.join(kinds)}")
    allowed = (*COMMON, *OWN[str(kind)])
    unknown = sorted(str(key) for key in set(given) - set(allowed))
    if unknown:
        raise LocationError(
            f"location service of type {kind}: unknown key {unknown[0]}; allowed: {', '.join(allowed)}"
        )
    users = given.get("users") or {}
    if not isinstance(users, Mapping):
        raise LocationError(f"users is {type(users).__name__}; allowed: a dictionary, by the user's name")
    if not given.get("url"):
        raise LocationError(f"location service of type {kind}: url is missing")
    return Settings(str(kind), _api(given), {str(name).strip(): who for name, who in users.items()}, given)


def _api(given: Mapping[str, Any]) -> Api:
    token, grant = secret_of(given, "token"), None
    if given.get("token_url"):
        secret = secret_of(given, "client_secret")
        if token or not given.get("client_id") or not secret:
            raise LocationError(
                "token_url takes client_id and client_secret or client_secret_file; "
                "allowed with it: neither token nor token_file"
            )
        url = checked_url(str(given["token_url"]), "token_url", secret=True)
        grant = TokenGrant(url, str(given["client_id"]), secret, str(given.get("scope") or ""))
    return Api(
        str(given["url"]),
        token=token,
        grant=grant,
        ca_file=given.get("ca_file") or None,
        timeout_s=checked_number(given.get("timeout_seconds", 10), "timeout_seconds", 0.001),
    )


def checked_number(value: Any, name: str, least: float) -> float:
    """:raises LocationError: *value* is no number, or below *least*."""
    try:
        found = number(value, name)
    except DecisionError as error:
        raise LocationError(str(error)) from error
    if found < least:
        raise LocationError(f"{name} is {found:g}; allowed: at least {least:g}")
    return found


def device_of(who: Any, user: str) -> dict[str, Any]:
    """A CAMARA ``device``: a mapping as its API has it; a text is a telephone number.

    :raises LocationError: it is none.
    """
    if isinstance(who, (str, int)) and not isinstance(who, bool):
        who = {"phoneNumber": str(who) if str(who).startswith("+") else f"+{who}"}
    unknown = sorted(set(who) - set(DEVICE_KEYS)) if isinstance(who, Mapping) else ["it"]
    if unknown or not who:
        raise LocationError(
            f"users.{user}: {unknown[0] if unknown else 'it'} names no device; "
            f"allowed: {', '.join(DEVICE_KEYS)}"
        )
    return dict(who)
