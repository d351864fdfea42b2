"""Every field that a fleet file knows: the one table from which reading, the JSON Schema and the CSV columns are made.

Owns: each field's name, what it means, how its text is checked, and where it may stand. Does not own: what fields say
together (``rows``).

A new setting of a stack (``settings.stack.KEYS``) becomes a field by one more line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.app.redirect import check_company_code
from provision.errors import InvalidInput
from provision.fleet import placeholders
from provision.fleet.source.lettering import complaint
from provision.mailbox.listing import is_address
from provision.secrets.sinks import kinds
from provision.settings.credential import NAMES
from provision.settings.endpoints import of_cloud
from provision.settings.stack import KEYS

KEY = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A row's, a credential's or a fleet's name: it becomes the name of a stack, of files and of a lease."""
LONGEST = 1000
"""Characters of one value."""

_SINKS = kinds()
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})
"""Names that Windows keeps for devices, with any ending ("Naming Files, Paths, and Namespaces")."""
_SECRET = re.compile(r"[A-Za-z0-9_.~-]{3}[0-9]Q~[A-Za-z0-9_.~-]{31,34}|-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1")
"""A client secret as Entra makes them today (GitHub's and Microsoft's secret scanners know it by ``Q~``), or a key."""


@dataclass(frozen=True)
class Field:
    """One field."""

    name: str
    about: str
    """What it is, one sentence: the docs', the editor's and the template's."""
    check: Callable[[str], str]
    """Gives the value back as it counts; a ValueError says what it must be."""
    many: bool = False
    """Whether it is a list."""
    shared: bool = True
    """Whether it may stand in ``defaults``."""
    secretive: bool = False
    """Whether a wrong value is kept out of messages: it may be a secret in the wrong place."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """What the JSON Schema says of one value, besides that it is text."""
    example: str = ""


def looks_secret(text: str) -> bool:
    """Whether a text is, by its look, a secret itself."""
    return _SECRET.search(text) is not None


def _key(value: str) -> str:
    _plain(value)
    if not re.fullmatch(KEY, value):
        lower = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:63]
        raise ValueError(
            "must be 1 to 63 of a-z, 0-9 and hyphens, none at the ends"
            + (f", as in {lower}" if re.fullmatch(KEY, lower) else "")
        )
    if value in _DEVICES:
        raise ValueError("is the name of a device on Windows, where no file can be called so")
    return value


def _tenant(value: str) -> str:
    _plain(value)
    lower = value.lower()
    if not _GUID.fullmatch(lower) and not _DOMAIN.fullmatch(lower):
        raise ValueError("must be a tenant's id (a GUID) or one of its domains, as in contoso.onmicrosoft.com")
    return lower


def _company_code(value: str) -> str:
    try:
        check_company_code(value)
    except InvalidInput as error:
        raise ValueError(f"cannot be: {_lower_first(error.message)}") from None
    return value


def _profile(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", value):
        raise ValueError("must be a profile's name, as in cloudex; a path is not taken")
    return value


def _mailbox(value: str) -> str:
    _lettering(value)
    if not is_address(value):
        raise ValueError("must be a mailbox's address, as in anna@contoso.com")
    return value


def _credential(value: str) -> str:
    return value if value in NAMES else _key(value)


def _method(value: str) -> str:
    if value not in NAMES:
        raise ValueError(f"must be one of {', '.join(NAMES)}")
    return value


def _sink(value: str) -> str:
    _plain(value)
    kind, _, rest = value.partition(":")
    if kind not in _SINKS or not rest or re.search(r"\s", rest):
        raise ValueError(f"must be a kind, a colon and a place without blanks; kinds: {', '.join(_SINKS)}")
    if kind == "stdout":
        raise ValueError("needs somebody at a terminal, and a fleet has none")
    if re.search(r"(?:^|/)\.\.?(?:/|$|#)", rest):
        raise ValueError("must not lead through `.` or `..`")
    if wrong := placeholders.complaint(value):
        raise ValueError(f"{wrong}; there are {placeholders.KNOWN}")
    return value


def _group(value: str) -> str:
    _lettering(value)
    if not re.fullmatch(r"\w[\w.-]{0,62}", value):
        raise ValueError("must be a word of letters, digits, hyphens, dots and underscores")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?", value):
        raise ValueError("must be a host and perhaps a port, as in localhost:8443, without https://")
    return value


def _cloud(value: str) -> str:
    try:
        of_cloud(value)
    except InvalidInput as error:
        raise ValueError(f"is none: {_lower_first(error.remedy)}") from None
    return value


def _plain(value: str) -> None:
    if strange := complaint(value, latin=True):
        raise ValueError(strange)


def _lettering(value: str) -> None:
    if strange := complaint(value):
        raise ValueError(strange)


def _setting(key: str) -> Callable[[str], str]:
    """A stack's own check of its text (``settings.stack.KEYS``)."""

    def check(value: str) -> str:
        _lettering(value)
        KEYS[key][1](value)
        return value

    return check


def _boolean(key: str) -> Callable[[str], str]:
    """YAML writes truth in three ways."""

    def check(value: str) -> str:
        return _setting(key)(value.lower())

    return check


def _lower_first(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")


_WORDS: Mapping[str, Any] = {"type": "boolean"}

FIELDS: tuple[Field, ...] = (
    Field(
        "key",
        "The row's name; its stack, lease and log are called so. Never change it afterwards.",
        _key,
        shared=False,
        schema={"pattern": f"^{KEY}$", "not": {"enum": sorted(_DEVICES)}},
        example="contoso",
    ),
    Field(
        "tenant",
        "The Microsoft 365 tenant: its id (GUID) or one of its domains.",
        _tenant,
        shared=False,
        schema={"pattern": r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", "maxLength": 253},
        example="contoso.onmicrosoft.com",
    ),
    Field(
        "profile",
        "The product; cloudex unless given.",
        _profile,
        schema={"pattern": "^[a-z0-9][a-z0-9-]*$"},
        example="cloudex",
    ),
    Field(
        "companyCode",
        "The company code as it stands in the product's address, letter case kept.",
        _company_code,
        shared=False,
        schema={"type": ["string", "integer"], "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"},
        example="ACME",
    ),
    Field(
        "credential",
        "How to sign in: a name under `credentials`, or a way without anything kept (workload-identity, azure-cli …).",
        _credential,
        schema={"anyOf": [{"pattern": f"^{KEY}$"}, {"enum": sorted(NAMES)}]},
        example="partner",
    ),
    Field(
        "mailboxes",
        "Mailboxes that may hand in mail by SMTP; Microsoft Graph needs none.",
        _mailbox,
        many=True,
        shared=False,
        schema={"pattern": "^[^@\\s]+@[^@\\s]+$"},
        example="invoices@contoso.com",
    ),
    Field(
        "sinks",
        "Where the client secret is used; without any, Pulumi's state alone holds it. {key}, {tenant} and "
        "{companyCode} are filled in.",
        _sink,
        many=True,
        secretive=True,
        schema={"pattern": "^[a-z]+:\\S+$"},
        example="vault:secret/customers/{key}#client_secret",
    ),
    Field("groups", "Words to select by.", _group, many=True, example="north"),
    Field("metadataHost", "host:port of another cloud, or of the local tenant.", _host, example="localhost:8443"),
    Field("environment", "A cloud by name.", _cloud, example="public"),
    Field("displayName", "The app registration's name; the profile's unless given.", _setting("displayName")),
    Field("redirectUri", "A whole redirect URI, where the profile's pattern does not fit.", _setting("redirectUri"),
          shared=False),
    Field("signInAudience", "single-tenant or multitenant.", _setting("signInAudience"),
          schema={"enum": ["single-tenant", "multitenant", "AzureADMyOrg", "AzureADMultipleOrgs"]}),
    Field("secretMonths", "Lifetime of the client secret in months, 1 to 24.", _setting("secretMonths"),
          schema={"type": "integer", "minimum": 1, "maximum": 24}, example="12"),
    Field("secretEndDate", "A day instead of a number of months, as in 2028-11-23.", _setting("secretEndDate")),
    Field("secretInState", "Whether Pulumi's state keeps the secret's value, encrypted; false where sinks are named.",
          _boolean("secretInState"), schema=_WORDS),
    Field("extraScopes", "Delegated permissions of Microsoft Graph beyond the profile's.", _setting("extraScopes"),
          many=True),
    Field("grantConsent", "Whether to consent for the whole tenant.", _boolean("grantConsent"), schema=_WORDS),
    Field("mpnId", "Partner One ID to set as verified publisher.", _setting("mpnId"),
          schema={"type": ["string", "integer"]}),
    Field("owners", "Object ids of further owners of the registration.", _setting("owners"), many=True, shared=False),
    Field("federatedName", "A federated credential of the registration (all three or none).",
          _setting("federatedName")),
    Field("federatedIssuer", "Its issuer.", _setting("federatedIssuer")),
    Field("federatedSubject", "Its subject.", _setting("federatedSubject")),
)  # fmt: skip
"""The fields of a row, in the order in which they are written."""

BY_NAME: Mapping[str, Field] = {one.name: one for one in FIELDS}
SETTINGS: tuple[str, ...] = tuple(one.name for one in FIELDS if one.name in KEYS and one.name not in (
    "profile", "companyCode", "credential",
))  # fmt: skip
"""Fields that are the stack's settings of the same name and nothing else."""
ELSEWHERE: Mapping[str, str] = {
    "smtpAuthMailboxes": "mailboxes",
    "secretSinks": "sinks",
    "instanceId": "kept by the fleet's store",
    "adoptedClientId": "kept by the fleet's store",
}
"""Settings of a stack that are no field of the same name, and what stands for them."""


def _reference(value: str) -> str:
    """A credential's place; ``fleet.credentials.check`` says more."""
    _plain(value)
    return value


_PLACE: Mapping[str, Any] = {"pattern": "^(env:|file:/|keyvault:https://|vault:).+$"}

CREDENTIAL_FIELDS: tuple[Field, ...] = (
    Field("inherits", "Another credential, whose fields count where this one has none.", _key),
    Field("method", "How to sign in.", _method, schema={"enum": sorted(NAMES)}),
    Field("clientId", "The application (client) id that signs in.", _setting("instanceId"), schema={"pattern":
          "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"}),
    Field("secret", "Where its client secret is, never what it is.", _reference, secretive=True, schema=_PLACE,
          example="env:GRAPH_{key}"),
    Field("certificate", "Where its certificate with the private key is (PKCS#12).", _reference, secretive=True,
          schema=_PLACE),
    Field("certificatePassword", "Where the certificate's password is.", _reference, secretive=True, schema=_PLACE),
)  # fmt: skip
"""The fields of an entry under ``credentials``."""
