# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_keys
short_description: Keys for one migration
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Makes two key pairs with self-signed certificates, one for each side of one migration.
  - They are valid for a day. Nothing is written to disk. Use it in a task with C(no_log).
options:
  _terms:
    description: Name of the migration; it becomes the certificates' subject.
    required: true
"""

EXAMPLES = r"""
- name: Keys for this migration only
  ansible.builtin.set_fact:
    keys: "{{ lookup('mec.migration.migration_keys', migration_id) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: C(source) and C(target), each with C(key), C(certificate) and C(peer_certificate), PEM text.
  type: list
  elements: dict
"""

import datetime
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

VALID = datetime.timedelta(days=1)
# Edge hosts' clocks may be behind.
BACKDATED = datetime.timedelta(hours=12)


def key_pair(name: str) -> tuple[str, str]:
    """A private key and its self-signed certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID)
        # Python's ssl accepts a pinned self-signed certificate only as its own authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        if not HAS_CRYPTOGRAPHY:
            raise AnsibleLookupError("migration_keys needs the Python package cryptography on the controller")
        if len(terms) != 1:
            raise AnsibleLookupError("migration_keys takes one term, the name of the migration")
        source_key, source_certificate = key_pair(f"{terms[0]}-source")
        target_key, target_certificate = key_pair(f"{terms[0]}-target")
        return [
            {
                "source": {
                    "key": source_key,
                    "certificate": source_certificate,
                    "peer_certificate": target_certificate,
                },
                "target": {
                    "key": target_key,
                    "certificate": target_certificate,
                    "peer_certificate": source_certificate,
                },
            }
        ]
