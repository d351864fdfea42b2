"""What one stack (one customer) asks for: a typed view of its Pulumi configuration.

Owns: the keys of the namespace ``office365-mail``, their defaults and checks, and the few ``azuread:`` keys that both
sides read. Does not own: what the tenant allows (``app.preflight``).

The configuration is the one place: ``provision up --company-code …`` writes the same keys that
``pulumi config set companyCode …`` writes, so that both commands do the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from provision.errors import InvalidInput
from provision.settings import profile as profiles
from provision.settings.credential import NAMES as CREDENTIALS
from provision.settings.namespace import own_values
from provision.settings.profile import AUDIENCES, Profile, months_complaint

NAMESPACE = "office365-mail"
Slot = Literal["a", "b"]
SLOTS: tuple[Slot, ...] = ("a", "b")

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AUDIENCE_WORDS = {"single-tenant": AUDIENCES[0], "multitenant": AUDIENCES[1]} | {name: name for name in AUDIENCES}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class StackSettings:
    """One stack's settings, checked. Built by ``from_config``."""

    profile: Profile
    company_code: str | None = None
    """As in the product's address, letter case kept."""
    display_name: str = ""
    """The app registration's name; the profile's unless given."""
    redirect_uri: str | None = None
    """A whole redirect URI, where the profile has no template."""
    sign_in_audience: str = AUDIENCES[0]
    secret_months: int = 24
    secret_end_date: datetime | None = None
    """A day of one's own instead of a number of months (UTC)."""
    secret_in_state: bool = True
    """Whether Pulumi mints the secret and keeps its value, encrypted, in the state."""
    secret_sinks: tuple[str, ...] = ()
    """Where the secret is used, for example ``envfile:/srv/tms/mail.env`` (docs/sinks.md)."""
    extra_scopes: tuple[str, ...] = ()
    """Delegated permissions beyond the profile's, for example those that an adopted grant already had."""
    grant_consent: bool = True
    """Whether to consent for the whole tenant; false leaves it to the admin-consent page, and a consent as it is."""
    mpn_id: str | None = None
    smtp_auth_mailboxes: tuple[str, ...] = ()
    """Mailboxes that may hand in mail by SMTP (docs/smtp-auth.md); Microsoft Graph needs none."""
    owners: tuple[str, ...] = ()
    """Object ids of further owners of the registration."""
    instance_id: str | None = None
    """Made once for each stack; tells its registration from that of a namesake stack kept elsewhere."""
    adopted_client_id: str | None = None
    """The registration that ``provision adopt`` took over; until the next ``up`` it bears no tag of this stack."""
    tenant_id: str | None = None
    metadata_host: str | None = None
    environment: str | None = None
    credential: str | None = None
    credential_client_id: str | None = None
    """The client id to sign in with (``azuread:clientId``), not the one that is made."""
    federated_name: str | None = None
    """An optional federated credential of the registration (all three or none)."""
    federated_issuer: str | None = None
    federated_subject: str | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every delegated permission to grant, the profile's first."""
        return tuple(dict.fromkeys([*self.profile.scopes, *self.extra_scopes]))

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, str],
        *,
        beside: Path | None = None,
        source: str = "the stack's configuration",
        project: str = NAMESPACE,
        product: Profile | None = None,
    ) -> StackSettings:
        """Reads a stack's configuration.

        Args:
            config: full key (``office365-mail:companyCode``) to value, as Pulumi keeps it; keys of other namespaces
                are not looked at, except the ones of ``azuread:`` named in ``SHARED_KEYS``.
            beside: the folder of ``Pulumi.yaml``, for profiles of one's own.
            source: what to call the configuration in messages, for example ``Pulumi.acme.yaml``.
            project: the Pulumi project's name, which is not the keys' namespace.
            product: the profile that the configuration names, where it was read before.

        Raises:
            InvalidInput: an unknown or misplaced key or an illegal value; the message names it and the valid ones.
        """
        own = own_values(config, NAMESPACE, KEYS, project=project, source=source)
        product = product or profiles.load(own.get("profile") or "cloudex", beside=beside)
        values: dict[str, Any] = {
            "display_name": product.display_name,
            "sign_in_audience": product.sign_in_audience,
            "secret_months": product.secret_months,
        }
        for key, text in own.items():
            if key != "profile" and text != "":
                attribute, parse = KEYS[key]
                values[attribute] = _parsed(parse, text, f"{NAMESPACE}:{key}", source)
        for key, (attribute, parse) in SHARED_KEYS.items():
            if config.get(key):
                values[attribute] = _parsed(parse, config[key], key, source)
        settings = cls(profile=product, **values)
        settings._check(source)
        return settings

    def _check(self, source: str) -> None:
        if self.profile.needs_company_code and self.redirect_uri is None and self.company_code is None:
            raise InvalidInput(
                f"{source}: {NAMESPACE}:companyCode is missing; {self.profile.product}'s redirect URI needs it.",
                remedy=f"Set it as it stands in the product's address, letter case kept: {self.profile.redirect_uri}",
            )
        if self.profile.redirect_uri is None and self.redirect_uri is None:
            raise InvalidInput(
                f"{source}: {NAMESPACE}:redirectUri is missing; the profile {self.profile.id} has no address.",
                remedy="Copy the callback address from the product, letter case kept.",
            )
        if len({value is None for value in (self.federated_name, self.federated_issuer, self.federated_subject)}) > 1:
            raise InvalidInput(
                f"{source}: a federated credential is only half described.",
                remedy=f"Set all of {NAMESPACE}:federatedName, federatedIssuer and federatedSubject, or none.",
            )


def _parsed(parse: Callable[[str], Any], text: str, key: str, source: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInput(
            f"{source}: {key} is {text!r}; it {error}.", remedy=f"Correct it: pulumi config set {key} …"
        ) from None


def _text(value: str) -> str:
    if not value.isprintable() or not value.strip() or len(value) > 256:
        raise ValueError("must be 1 to 256 characters that can be printed")
    return value


def _short_text(value: str) -> str:
    if len(_text(value)) > 90:
        raise ValueError("must be no longer than 90 characters")
    return value


def _one_of(words: Mapping[str, Any]) -> Callable[[str], Any]:
    def parse(value: str) -> Any:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return words[value]

    return parse


def _guid(value: str) -> str:
    if not _GUID.fullmatch(value):
        raise ValueError("must be a GUID like 00000000-0000-0000-0000-000000000000")
    return value.lower()


def _guids(value: str) -> tuple[str, ...]:
    return tuple(_guid(part) for part in value.replace(",", " ").split())


def _tenant(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value) or value.lower() in ("common", "organizations", "consumers"):
        raise ValueError("must be a tenant's id or one of its domains")
    return value


def _months(value: str) -> int:
    months = int(value) if value.isascii() and value.isdigit() else None
    if complaint := months_complaint(months):
        raise ValueError(complaint)
    return months or 0


def _end_date(value: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a day like 2028-11-23")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a day of the calendar") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _sinks(value: str) -> tuple[str, ...]:
    addresses = tuple(dict.fromkeys(value.split()))
    if not all(re.fullmatch(r"[a-z]+:\S+", address) for address in addresses):
        raise ValueError("must be kinds and places like envfile:/srv/tms/mail.env, blanks between them")
    return addresses


def _addresses(value: str) -> tuple[str, ...]:
    addresses = {address.lower(): address for address in value.replace(",", " ").split()}
    if not all(re.fullmatch(r"[^\s@]+@[A-Za-z0-9._-]+", address) for address in addresses.values()):
        raise ValueError("must be mailboxes' addresses like anna@contoso.com, blanks between them")
    return tuple(addresses.values())


def _scope_names(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(value.replace(",", " ").split()))
    if not all(re.fullmatch(r"[A-Za-z][A-Za-z._-]*", name) for name in names):
        raise ValueError("must be names of permissions like Mail.Send")
    return names


def _mpn(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise ValueError("must be digits")
    return value


def _credential(value: str) -> str:
    if value not in CREDENTIALS:
        raise ValueError(f"must be one of {', '.join(CREDENTIALS)}")
    return value


def _federated_name(value: str) -> str:
    """Entra's rule for ``federatedIdentityCredential.name``: 3 to 120 characters that may stand in a URL."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}", value):
        raise ValueError("must be 3 to 120 letters, digits, - or _")
    return value


KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "profile": ("profile", _text),
    "companyCode": ("company_code", _text),
    "displayName": ("display_name", _short_text),
    "redirectUri": ("redirect_uri", _text),
    "signInAudience": ("sign_in_audience", _one_of(_AUDIENCE_WORDS)),
    "secretMonths": ("secret_months", _months),
    "secretEndDate": ("secret_end_date", _end_date),
    "secretInState": ("secret_in_state", _one_of(_BOOLEANS)),
    "secretSinks": ("secret_sinks", _sinks),
    "extraScopes": ("extra_scopes", _scope_names),
    "grantConsent": ("grant_consent", _one_of(_BOOLEANS)),
    "mpnId": ("mpn_id", _mpn),
    "smtpAuthMailboxes": ("smtp_auth_mailboxes", _addresses),
    "owners": ("owners", _guids),
    "instanceId": ("instance_id", _guid),
    "adoptedClientId": ("adopted_client_id", _guid),
    "credential": ("credential", _credential),
    "federatedName": ("federated_name", _federated_name),
    "federatedIssuer": ("federated_issuer", _text),
    "federatedSubject": ("federated_subject", _text),
}
"""Every key of the namespace: the attribute it fills and how its text is read (a ValueError says what it must be)."""

SHARED_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "azuread:tenantId": ("tenant_id", _tenant),
    "azuread:metadataHost": ("metadata_host", _text),
    "azuread:environment": ("environment", _text),
    "azuread:clientId": ("credential_client_id", _guid),
}
"""Keys of the azuread plugin that the SDKs obey too."""
