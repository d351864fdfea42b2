"""What holds for a whole tenant in Exchange Online: its two settings documents and the stage of Basic SMTP AUTH.

Owns: the kinds ``transportConfig`` and ``organizationConfig`` (one each), the calendar of the retirement, which
authentication policy applies to a user. Does not own: how SMTP or EWS act on them, the cmdlets.
Sources: "Set-TransportConfig" (SMTP AUTH is off for organisations made after January 2020), "Set-OrganizationConfig",
"Updated Exchange Online SMTP AUTH Basic Authentication Deprecation Timeline" (2026-01-27).
"""

from __future__ import annotations

from datetime import UTC, datetime

from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange.propagation import in_effect

STAGES = ("available", "off_by_default", "removed")
"""Of Basic SMTP AUTH: as before, off unless an administrator turns it on, gone (550 5.7.30)."""
_OFF_BY_DEFAULT_SINCE = datetime(2026, 12, 31, tzinfo=UTC).timestamp()
"""The announcement says "end of December 2026"; the removal has no date yet, so only the switch reaches it."""


class BadSetting(ValueError):
    """A setting of the control API that names something unknown; the sentence says what is allowed."""


def seed(name: str) -> dict[str, Document]:
    """A new tenant's settings, by kind.

    Args:
        name: the initial domain, which is Exchange's name of the organisation.
    """
    transport: Document = {
        "Name": "Transport Settings",
        "SmtpClientAuthenticationDisabled": True,
        "AllowLegacyTLSClients": None,
        "_basicSmtpStage": None,
        "_basicSmtpReenabled": False,
    }
    organization: Document = {
        "Name": name,
        "DefaultAuthenticationPolicy": None,
        "EwsEnabled": None,
        "EwsApplicationAccessPolicy": None,
        "EwsAllowList": [],
        "EwsBlockList": [],
        "EwsAllowedAppIDs": [],
        "OAuth2ClientProfileEnabled": True,
        "CustomerLockboxEnabled": False,
        "AuditDisabled": False,
    }
    return {"transportConfig": transport, "organizationConfig": organization}


def transport_config(directory: Directory, tenant: str) -> Document:
    """The tenant's transport settings, as a cmdlet reads them."""
    return directory.all(tenant, "transportConfig", fresh=True)[0]


def organization_config(directory: Directory, tenant: str) -> Document:
    """The tenant's organisation settings, as a cmdlet reads them."""
    return directory.all(tenant, "organizationConfig", fresh=True)[0]


def basic_smtp_stage(directory: Directory, tenant: str) -> str:
    """One of ``STAGES``: what the control API set, else what the calendar says by the tenant's clock."""
    chosen: str | None = transport_config(directory, tenant)["_basicSmtpStage"]
    return chosen or ("available" if directory.clock.now() < _OFF_BY_DEFAULT_SINCE else "off_by_default")


def set_basic_smtp(directory: Directory, tenant: str, wanted: Document) -> Document:
    """Sets the stage of Basic SMTP AUTH by hand; what is not named stays.

    Args:
        directory: the store.
        tenant: the tenant's id.
        wanted: ``basicSmtpStage`` (one of ``STAGES``, or None for the calendar's) and ``basicSmtpReenabled``, which
            stands for whatever an administrator will do while the stage is ``off_by_default``: Microsoft has not said.

    Returns:
        Both, and the ``stage`` that follows.

    Raises:
        BadSetting: an unknown name or value.
    """
    stored = transport_config(directory, tenant)
    stage = wanted.get("basicSmtpStage", stored["_basicSmtpStage"])
    again = wanted.get("basicSmtpReenabled", stored["_basicSmtpReenabled"])
    if unknown := sorted(set(wanted) - {"basicSmtpStage", "basicSmtpReenabled"}):
        raise BadSetting(f"unknown key {unknown[0]!r}; mail is set by: basicSmtpStage, basicSmtpReenabled")
    if stage not in {None, *STAGES}:
        raise BadSetting(f"basicSmtpStage is null or one of {', '.join(STAGES)}, not {stage!r}")
    if not isinstance(again, bool):
        raise BadSetting(f"basicSmtpReenabled is true or false, not {again!r}")
    changes = {"_basicSmtpStage": stage, "_basicSmtpReenabled": again}
    directory.replace(tenant, "transportConfig", {**stored, **changes})
    return {
        "basicSmtpStage": stage,
        "basicSmtpReenabled": again,
        "stage": basic_smtp_stage(directory, tenant),
    }


def authentication_policy(
    directory: Directory, tenant: str, user: Document, mailbox: Document | None
) -> Document | None:
    """The authentication policy that the servers which take mail apply to a user; None when none does.

    Args:
        directory: the store.
        tenant: the tenant's id.
        user: the user's document.
        mailbox: his mailbox, or None.
    """
    own = in_effect(directory, mailbox)["AuthenticationPolicy"] if mailbox else user.get("_authenticationPolicy")
    default = in_effect(directory, organization_config(directory, tenant))["DefaultAuthenticationPolicy"]
    name = own or default
    found = directory.find(tenant, "authenticationPolicy", fresh=True, Name=name) if name else []
    return in_effect(directory, found[0]) if found else None
