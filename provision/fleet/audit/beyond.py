"""What the engine puts right beside the settings that ``app.adopt.drift`` compares.

Owns: properties that no stack asks for, which the azuread provider therefore empties; tags, owners and the federated
credential. Does not own: reading them (``facts``), and which verdict they mean (``judge``).

Source for what is emptied: terraform-provider-azuread, ``application_resource.go``, ``service_principal_resource.go``:
arguments that are optional and not computed. The service principal's tags are computed, and so left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provision.settings.stack import StackSettings

APPLICATION: Mapping[str, str] = {
    "api.acceptMappedClaims": "Mapped claims",
    "api.knownClientApplications": "Known client applications",
    "api.oauth2PermissionScopes": "Exposed scopes",
    "appRoles": "App roles",
    "description": "Description",
    "groupMembershipClaims": "Groups claim",
    "identifierUris": "Application ID URI",
    "info.marketingUrl": "Marketing URL",
    "info.privacyStatementUrl": "Privacy statement URL",
    "info.supportUrl": "Support URL",
    "info.termsOfServiceUrl": "Terms of service URL",
    "isDeviceOnlyAuthSupported": "Sign-in of devices alone",
    "notes": "Notes",
    "optionalClaims": "Optional claims",
    "serviceManagementReference": "Service management reference",
    "web.homePageUrl": "Home page URL",
    "web.logoutUrl": "Logout URL",
}
"""The registration's: Graph's property to its name for people."""
PRINCIPAL: Mapping[str, str] = {
    "alternativeNames": "Alternative names",
    "appRoleAssignmentRequired": "Assignment required",
    "description": "Description",
    "loginUrl": "Login URL",
    "notes": "Notes",
    "notificationEmailAddresses": "Notification addresses",
    "preferredSingleSignOnMode": "Single sign-on mode",
    "samlSingleSignOnSettings": "SAML settings",
}
"""The enterprise application's."""


def fields(properties: Iterable[str]) -> tuple[str, ...]:
    """What to select for some properties."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in properties))


@dataclass(frozen=True)
class Beyond:
    """One thing that is not as the engine makes it."""

    rule: str
    """A word of a rule's id."""
    words: str
    """What is, and what it should be."""


def unasked(document: Mapping[str, Any], properties: Mapping[str, str], whose: str) -> Iterator[Beyond]:
    """Properties that somebody has set and the stack has not."""
    for path, name in properties.items():
        value: Any = document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if _says_something(value):
            yield Beyond("unasked", f"{whose}: {name} is set; it should not be.")
    version = (document.get("api") or {}).get("requestedAccessTokenVersion")
    if version not in (None, 1):
        yield Beyond("unasked", f"{whose}: the access tokens' version is {version}; it should be 1.")


def tags(present: Iterable[str], wanted: Iterable[str]) -> Iterator[Beyond]:
    """Tags that are missing, and those of somebody else."""
    if set(present) != set(wanted):
        should = ", ".join(sorted(wanted))
        yield Beyond("tags", f"Tags: {', '.join(sorted(present)) or 'none'}; it should be {should}.")


def owners(present: Iterable[str], settings: StackSettings, whose: str, *, caller: str) -> Iterator[Beyond]:
    """Owners that are missing, and those of somebody else; the caller may have made itself one."""
    has = {owner.lower() for owner in present}
    if not set(settings.owners) <= has or has - {*settings.owners, caller}:
        yield Beyond("owners", f"{whose}: owned by {', '.join(sorted(has)) or 'nobody'}, not by those of the row.")


def federated(present: Iterable[Mapping[str, Any]], settings: StackSettings, audience: str) -> Iterator[Beyond]:
    """The federated credential that the row asks for; others are left as they are."""
    wanted = (settings.federated_issuer, settings.federated_subject, [audience])
    found = next((one for one in present if one.get("name") == settings.federated_name), None)
    if found is None:
        yield Beyond("federated", f"The federated credential {settings.federated_name} is missing.")
    elif (found.get("issuer"), found.get("subject"), found.get("audiences")) != wanted:
        yield Beyond(
            "federated", f"The federated credential {settings.federated_name} is for another issuer or subject."
        )


def _says_something(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_says_something(one) for one in value.values())
    return bool(value)
