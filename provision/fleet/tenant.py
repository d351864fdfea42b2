"""One customer's tenant as a fleet file describes it: checked values, no secrets.

Owns: the row's shape and what it means for the Pulumi stack of the same name. Does not own: reading it from a file
(``source``), signing in with the credential that it names (``credentials``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.settings.stack import NAMESPACE


@dataclass(frozen=True)
class CredentialReference:
    """How to sign in to some tenants: where the credential is, never what it is."""

    name: str
    """As the tenants call it."""
    method: str
    """One of ``settings.credential.NAMES``."""
    client_id: str | None = None
    secret: str | None = None
    """``env:NAME``, ``file:/path``, ``keyvault:…`` or ``vault:…``; {key}, {tenant} and {companyCode} are filled in."""
    certificate: str | None = None
    """The same kinds of places; PKCS#12."""
    certificate_password: str | None = None


@dataclass(frozen=True)
class Tenant:
    """One row."""

    key: str
    """The row's name: unique, a-z, 0-9 and hyphens, up to 63 characters. Its stack, lease and log are called so."""
    tenant: str
    """The Microsoft 365 tenant: its id (GUID, lower case) or one of its domains."""
    profile: str = "cloudex"
    company_code: str | None = None
    """As in the product's address, letter case kept."""
    credential: CredentialReference | None = None
    """None: whatever the environment of the run holds (``settings.credential``)."""
    mailboxes: tuple[str, ...] = ()
    """Mailboxes that may hand in mail by SMTP."""
    sinks: tuple[str, ...] = ()
    """Where the client secret is used; without any, Pulumi's state alone holds it."""
    groups: tuple[str, ...] = ()
    """Words to select by."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further settings of the stack, by key (``secretMonths``) as ``settings.stack.KEYS`` has them."""
    metadata_host: str | None = None
    """Another cloud, or the local tenant."""
    environment: str | None = None
    line: int = 0
    """Where the row begins in the fleet file; 0 when it did not come from one."""

    def configuration(self) -> dict[str, str]:
        """The Pulumi configuration (full key to value) that the row asks for."""
        values = {
            "azuread:tenantId": self.tenant,
            "azuread:metadataHost": self.metadata_host,
            "azuread:environment": self.environment,
            f"{NAMESPACE}:profile": self.profile,
            f"{NAMESPACE}:companyCode": self.company_code,
            f"{NAMESPACE}:smtpAuthMailboxes": " ".join(self.mailboxes) or None,
            f"{NAMESPACE}:secretSinks": " ".join(self.sinks) or None,
            f"{NAMESPACE}:secretInState": "false" if self.sinks else None,
            **{f"{NAMESPACE}:{key}": value for key, value in self.settings.items()},
        }
        return {key: value for key, value in values.items() if value is not None}

    def fingerprint(self) -> str:
        """Which settings the row asks for; another word when one changes. The place in the file does not count."""
        asked = json.dumps([self.key, self.configuration()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """The row as JSON, for a worker on another machine; there is no secret in it."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Tenant:
        """Reads ``document``'s JSON."""
        values = dict(document)
        if values.get("credential"):
            values["credential"] = CredentialReference(**values["credential"])
        for name in ("mailboxes", "sinks", "groups"):
            values[name] = tuple(values.get(name) or ())
        return cls(**values)
