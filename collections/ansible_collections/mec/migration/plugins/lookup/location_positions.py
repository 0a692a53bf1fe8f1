# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: location_positions
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Where users are, from a location service of the network
description:
  - Asks an ETSI MEC 013 location service, or CAMARA's location retrieval, where users are, and gives it in
    the form that M(mec.migration.migration_plan) takes.
  - A user whom the service does not know, or only too vaguely, is not there; that is said as a warning.
  - No answer, an answer that its API does not have, and a token that is not accepted are errors.
options:
  _terms:
    description:
      - Dictionaries that describe a service each. C(type) is V(mec013) or V(camara_location_retrieval),
        C(url) the root of its API with the version.
      - C(users) names the users. For V(mec013) it has the C(address) by the name of each; if it is left out
        all users of the service are taken, by their addresses. For V(camara_location_retrieval) it has a
        C(device) by the name of each, a text being a telephone number, or the user's own C(token_file).
      - C(token) or C(token_file), or C(token_url) with C(client_id), C(client_secret) or
        C(client_secret_file) and C(scope) for OAuth 2.0 client credentials. A token goes over HTTPS only,
        unless the service is on this machine.
      - C(zones) of V(mec013) has the policy's cell by zone, for users who come without coordinates.
      - C(max_age_seconds) is the greatest age of a location, C(max_uncertainty_m) how far off it may be,
        C(max_surface_m2) of V(camara_location_retrieval) the largest area to ask for.
      - C(ca_file) has the certificates to trust, C(timeout_seconds) (10) is for each answer.
    type: list
    elements: dict
    required: true
seealso:
  - module: mec.migration.migration_plan
  - plugin: mec.migration.trace_positions
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Where users are, from the MEC platform
  ansible.builtin.debug:
    msg: "{{ lookup('mec.migration.location_positions', service) }}"
  vars:
    service:
      type: mec013
      url: https://mep.example.org/location/v2
      token_file: /run/secrets/location
      users: {anna: "acr:10.0.0.1", bo: "tel:+4790000000"}
      zones: {harbour: "2"}
"""

RETURN = r"""
_raw:
  description: For each service a document of positions with C(format), C(time) and C(users).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.location.service import LocationService


class LookupModule(LookupBase):
    """Asks each service."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        found: list[dict[str, Any]] = []
        try:
            for term in terms:
                service = LocationService(plain(term))
                document, problems = service.read()
                found.append(document)
                for problem in problems:
                    Display().warning(f"mec.migration.location_positions: {service.name}: {problem}")
        except DecisionError as error:
            raise AnsibleLookupError(f"mec.migration.location_positions: {error}") from None
        return found
