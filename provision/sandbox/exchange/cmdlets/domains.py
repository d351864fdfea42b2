"""``Get-AcceptedDomain`` and ``Get-DkimSigningConfig``: the domains that mail may come from.

Sources: the cmdlets' pages; "Set up DKIM to sign mail from your cloud domain": the initial domain signs from the
start, a custom one only after its two CNAME records exist and it was turned on, which nobody can do here.
"""

from __future__ import annotations

import uuid

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, recipients, roles
from provision.sandbox.exchange.call import Call, Cmdlet, Rows, listed, one
from provision.sandbox.exchange.parameters import IDENTITY

_NAMESPACE = uuid.UUID("0f0b6f1e-7d4b-4c9a-8f0e-5c5b6f0d2a44")


def _guid(call: Call, kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{call.tenant}/{kind}/{name}"))


def _accepted(call: Call, domain: Document) -> Document:
    name = domain["id"]
    return {
        "DomainName": name,
        "DomainType": "Authoritative",
        "Default": domain["isDefault"],
        "InitialDomain": domain["isInitial"],
        "MatchSubDomains": False,
        **recipients.naming(call.organization, name, _guid(call, "domain", name)),
    }


def _dkim(call: Call, domain: Document) -> Document:
    name, initial = str(domain["id"]), domain["isInitial"]
    guid = name.replace(".", "-")
    return {
        "Domain": name,
        "Enabled": initial,
        "Status": "Valid" if initial else "CnameMissing",
        "Selector1CNAME": f"selector1-{guid}._domainkey.{call.organization}",
        "Selector2CNAME": f"selector2-{guid}._domainkey.{call.organization}",
        "HeaderCanonicalization": "Relaxed",
        "BodyCanonicalization": "Relaxed",
        "Algorithm": "RsaSHA256",
        **recipients.naming(call.organization, name, _guid(call, "dkim", name)),
    }


def _domains(call: Call) -> list[Document]:
    rows = call.directory.all(call.tenant, "domain", fresh=True)
    if "Identity" not in call.parameters:
        return rows
    found = [row for row in rows if row["id"].lower() == call.get("Identity").lower()]
    if not found:
        raise errors.not_found(call.get("Identity"))
    return found


def get_accepted_domain(call: Call) -> Rows:
    """Get-AcceptedDomain."""
    rows = [_accepted(call, row) for row in _domains(call)]
    return one(rows[0]) if "Identity" in call.parameters else listed(rows)


def get_dkim_signing_config(call: Call) -> Rows:
    """Get-DkimSigningConfig."""
    rows = [_dkim(call, row) for row in _domains(call)]
    return one(rows[0]) if "Identity" in call.parameters else listed(rows)


_READ = {"Identity": IDENTITY}

CMDLETS = (
    Cmdlet(
        "Get-AcceptedDomain",
        _READ,
        (roles.ORGANIZATION_CONFIGURATION, roles.MAIL_RECIPIENTS, roles.VIEW_CONFIGURATION),
        get_accepted_domain,
    ),
    Cmdlet(
        "Get-DkimSigningConfig", _READ, (roles.TRANSPORT_HYGIENE, roles.VIEW_CONFIGURATION), get_dkim_signing_config
    ),
)
