"""The first path segment: which tenant a sign-in is for (a GUID, a domain, ``common``, ``organizations``)."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from provision.sandbox.directory import Directory
from provision.sandbox.entra.errors import EntraError

MULTI_TENANT_AUTHORITIES = frozenset({"common", "organizations", "consumers"})
_DOMAIN = re.compile(r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")


@dataclass(frozen=True)
class Authority:
    """What the client called: ``tenant_id`` is None for the multi-tenant names."""

    segment: str
    tenant_id: str | None


def domain_owner(directory: Directory, domain: str) -> str | None:
    """The id of the tenant that holds a domain (initial or verified custom); None when nobody does."""
    if (tenant := directory.tenant(domain)) is not None:
        return str(tenant["id"])
    found = directory.find_everywhere("domain", fresh=True, id=domain)
    return next((owner for owner, held in found if held.get("isVerified") and directory.tenant(owner)), None)


def resolve_authority(directory: Directory, segment: str) -> Authority:
    """The authority that a path segment names.

    Raises:
        EntraError: 90002 for an unknown tenant, 900023 for something that is neither GUID nor domain.
    """
    name = segment.lower()
    if name in MULTI_TENANT_AUTHORITIES:
        return Authority(name, None)
    try:
        tenant = directory.tenant(str(uuid.UUID(name)))
    except ValueError:
        if not _DOMAIN.match(name):
            raise EntraError(900023, tenant=segment) from None
        owner = domain_owner(directory, name)
    else:
        owner = None if tenant is None else str(tenant["id"])
    if owner is None:
        raise EntraError(90002, tenant=segment)
    return Authority(name, owner)


def tenant_name(directory: Directory, tenant_id: str) -> str:
    """A tenant's display name for pages and sentences."""
    tenant = directory.tenant(tenant_id) or {}
    return str(tenant.get("displayName") or tenant.get("domain") or tenant_id)
