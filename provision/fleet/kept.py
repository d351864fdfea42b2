"""What must outlive the machine that worked on a tenant: one JSON document for each tenant in the fleet's store.

Owns: its shape. Does not own: where it is kept (``store``) and who may write it (the claim's fencing token).

There is no secret in it. If it is lost, nothing else is: the state and the tenant's registration say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Kept:
    """One tenant's."""

    instance_id: str | None = None
    """The stack's, kept before the first write in the tenant: by it a killed run's registration is found again."""
    encryption_salt: str | None = None
    """As in ``Pulumi.<key>.yaml``: what the passphrase is checked against; not a secret."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings (full key to value) that a run made and the row does not have, such as an adopted client id."""
    tenant_id: str | None = None
    """The tenant that the registration is in, a GUID; the row may name it by a domain."""
    client_id: str | None = None
    application: str | None = None
    """Object ids, as of the last run."""
    service_principal: str | None = None
    grant: str | None = None
    secret_key_id: str | None = None
    """The client secret in use; its value is in the state or in the sinks."""
    secret_ends: str | None = None
    """RFC 3339, UTC."""
    fingerprint: str | None = None
    """``Tenant.fingerprint()`` of the row that the last complete run was made for."""

    at_work: Mapping[str, str] | None = None
    """Where (``host``) and since when (``since``, RFC 3339, by that host's clock) a worker is at work, and that
    host's ``boot``; left by one that died."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Kept:
        """Reads ``document``'s JSON; what a newer version wrote beside it is left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})
