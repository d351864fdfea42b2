"""Google Workspace customers: organisational units, users in every state of 2-Step Verification, service accounts.

Owns: these documents, making and changing them, what follows from a user's state. Does not own: SMTP, tokens, APIs.
Source: "Deploy 2-Step Verification" and "Sign in with app passwords" (Google Workspace Admin Help, Google Account
Help): app passwords need 2-Step Verification, and there are none with security keys only, with Advanced Protection, and
where the administrator enforces security keys; a changed password revokes them.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document

REALM: Final = "google"
"""Stands where other documents have their tenant's id."""
CUSTOMER, USER, ACCOUNT = "googleCustomer", "googleUser", "googleServiceAccount"
ENFORCEMENTS = ("off", "any", "securityKeys")
"""What an organisational unit demands: nothing, 2-Step Verification, or security keys as its only method."""
DAILY_MESSAGES = 2000
"""A user's messages in 24 hours ("Gmail sending limits in Google Workspace")."""


class BadGoogle(ValueError):
    """A request of the control API that names something unknown; the sentence says what is allowed."""


@dataclass(frozen=True)
class Wanted:
    """A user as the control API asks for one; names are the request's own, in Python's spelling."""

    alias: str
    password: str | None = None
    org_unit: str = "/"
    enrolled: bool = False
    """Whether 2-Step Verification is on."""
    security_keys_only: bool = False
    advanced_protection: bool = False
    suspended: bool = False
    admin: bool = False
    app_password: bool = False
    aliases: Sequence[str] = ()
    """Further addresses, from which the user may send too."""
    daily_messages: int = DAILY_MESSAGES

    @classmethod
    def parse(cls, data: Any) -> Wanted:
        """A user from the JSON form; raises BadGoogle for an unknown name."""
        names = {_camel(row.name): row.name for row in fields(cls)}
        if not isinstance(data, dict) or not data.get("alias"):
            raise BadGoogle("each of 'users' is an object with an 'alias'")
        if unknown := sorted(set(data) - set(names)):
            raise BadGoogle(f"a Google user has no {unknown[0]!r}; he has: {', '.join(names)}")
        return cls(**{names[key]: value for key, value in data.items()})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def create(directory: Directory, *, token_uri: str, wanted: Document) -> Document:
    """Makes a customer.

    Args:
        directory: the store.
        token_uri: where its service account gets tokens.
        wanted: ``domain``; ``orgUnits``: path to ``allow2sv`` and ``enforce2sv``; ``users``: see ``Wanted``;
            ``scopes``: those that the administrator delegated to the service account; ``apiEnabled``.

    Returns:
        ``customerId``, ``domain``, ``users`` (with the only copy of passwords), ``serviceAccount`` (its key file).

    Raises:
        BadGoogle: an unknown name or value, or the domain is taken.
    """
    if unknown := sorted(set(wanted) - {"domain", "orgUnits", "users", "scopes", "apiEnabled"}):
        raise BadGoogle(f"a customer has no {unknown[0]!r}; it has: domain, orgUnits, users, scopes, apiEnabled")
    domain = str(wanted.get("domain") or f"g-{secrets.token_hex(4)}.example").lower()
    if directory.find(REALM, CUSTOMER, fresh=True, domain=domain):
        raise BadGoogle(f"the domain {domain} is taken")
    units = {"/": {}, **(wanted.get("orgUnits") or {})}
    for path, unit in units.items():
        if unit.get("enforce2sv", "off") not in ENFORCEMENTS:
            raise BadGoogle(f"enforce2sv of {path} is one of {', '.join(ENFORCEMENTS)}")
    people = [Wanted.parse(one) for one in wanted.get("users") or ()]
    if missing := [one.org_unit for one in people if one.org_unit not in units]:
        raise BadGoogle(f"there is no organisational unit {missing[0]}")
    customer = {
        "id": "C0" + secrets.token_hex(4),
        "domain": domain,
        "orgUnits": {
            path: {
                "id": "03ph8a2z" + secrets.token_hex(4),
                "allow2sv": bool(unit.get("allow2sv", True)),
                "enforce2sv": unit.get("enforce2sv", "off"),
            }
            for path, unit in units.items()
        },
    }
    with directory.transaction():
        directory.insert(REALM, CUSTOMER, customer, visible_at_once=True)
        users = [_create_user(directory, customer, one) for one in people]
        account = _create_account(
            directory,
            customer,
            token_uri,
            list(wanted.get("scopes") or ()),
            api_enabled=bool(wanted.get("apiEnabled", True)),
        )
    return {"customerId": customer["id"], "domain": domain, "users": users, "serviceAccount": account}


def _create_user(directory: Directory, customer: Document, wanted: Wanted) -> Document:
    address = f"{wanted.alias}@{customer['domain']}".lower()
    password = wanted.password or secrets.token_urlsafe(12)
    user = {
        "id": str(100000000000000000000 + secrets.randbelow(10**19)),
        "customerId": customer["id"],
        "primaryEmail": address,
        "aliases": [str(alias).lower() for alias in wanted.aliases],
        "fullName": wanted.alias.title(),
        "orgUnitPath": wanted.org_unit,
        "creationTime": directory.clock.iso(),
        "enrolled": wanted.enrolled,
        "securityKeysOnly": wanted.security_keys_only,
        "advancedProtection": wanted.advanced_protection,
        "suspended": wanted.suspended,
        "isAdmin": wanted.admin,
        "dailyMessages": wanted.daily_messages,
        "_passwordHash": hashing.hash_secret(password),
        "_appPasswords": [],
        "_failedSignIns": [],
        "_sentAt": [],
    }
    directory.insert(REALM, USER, user, visible_at_once=True)
    app_password = add_app_password(directory, user["id"]) if wanted.app_password else None
    return {"primaryEmail": address, "password": password, "appPassword": app_password}


def _create_account(
    directory: Directory, customer: Document, token_uri: str, scopes: list[str], *, api_enabled: bool
) -> Document:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    project = f"mail-check-{secrets.token_hex(3)}"
    email = f"checker@{project}.iam.gserviceaccount.com"
    client_id = str(100000000000000000000 + secrets.randbelow(10**19))
    number = str(100000000000 + secrets.randbelow(10**11))
    account = {
        "id": client_id,
        "client_email": email,
        "keyId": uuid.uuid4().hex,
        "publicKey": public.decode(),
        "customerId": customer["id"],
        "projectNumber": number,
        "delegatedScopes": scopes,
        "apiEnabled": api_enabled,
    }
    directory.insert(REALM, ACCOUNT, account, visible_at_once=True)
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": account["keyId"],
        "private_key": private.decode(),
        "client_email": email,
        "client_id": client_id,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


def find_user(directory: Directory, key: str) -> Document | None:
    """A user by primary address, alias or id."""
    found = directory.find(REALM, USER, fresh=True, primaryEmail=key) or directory.find(
        REALM, USER, fresh=True, aliases=key
    )
    return found[0] if found else directory.get(REALM, USER, key, fresh=True)


def customer_of(directory: Directory, user: Document) -> Document:
    """A user's customer."""
    found = directory.get(REALM, CUSTOMER, user["customerId"], fresh=True)
    if found is None:
        raise KeyError(user["customerId"])
    return found


def unit_of(customer: Document, user: Document) -> Document:
    """The settings of a user's organisational unit."""
    unit: Document = customer["orgUnits"][user["orgUnitPath"]]
    return unit


def may_have_app_passwords(customer: Document, user: Document) -> bool:
    """Whether app passwords exist for a user as he is now."""
    unit = unit_of(customer, user)
    return (
        bool(user["enrolled"])
        and unit["allow2sv"]
        and unit["enforce2sv"] != "securityKeys"
        and not user["securityKeysOnly"]
        and not user["advancedProtection"]
    )


def add_app_password(directory: Directory, user_id: str, name: str = "Mail") -> str:
    """Makes an app password and returns its only copy: 16 lower-case letters.

    Raises:
        BadGoogle: there is no such user, or app passwords do not exist for him.
    """
    user = directory.get(REALM, USER, user_id, fresh=True)
    if user is None or not may_have_app_passwords(customer_of(directory, user), user):
        raise BadGoogle("app passwords do not exist for this user: his 2-Step Verification does not allow them")
    made = "".join(secrets.choice(string.ascii_lowercase) for _ in range(16))
    entry = {
        "codeId": len(user["_appPasswords"]) + 1,
        "name": name,
        "creationTime": int(directory.clock.now()),
        "lastTimeUsed": 0,
        "hash": hashing.hash_secret(made),
    }
    directory.replace(REALM, USER, {**user, "_appPasswords": [*user["_appPasswords"], entry]})
    return made


_CHANGES = (
    "enrolled",
    "securityKeysOnly",
    "advancedProtection",
    "suspended",
    "orgUnitPath",
    "dailyMessages",
    "isAdmin",
)


def change(directory: Directory, key: str, wanted: Document) -> None:
    """Changes a user's state, or his password (``password``), which revokes his app passwords.

    Raises:
        BadGoogle: no such user, or an unknown name.
    """
    user = find_user(directory, key)
    if user is None:
        raise BadGoogle(f"there is no Google user {key}")
    if unknown := sorted(set(wanted) - {*_CHANGES, "password"}):
        raise BadGoogle(f"a Google user has no {unknown[0]!r} to change; he has: {', '.join(_CHANGES)}, password")
    changed = {**user, **{name: value for name, value in wanted.items() if name in _CHANGES}}
    if changed["orgUnitPath"] not in customer_of(directory, user)["orgUnits"]:
        raise BadGoogle(f"there is no organisational unit {changed['orgUnitPath']}")
    if "password" in wanted:
        changed["_passwordHash"] = hashing.hash_secret(str(wanted["password"]))
    if "password" in wanted or not changed["enrolled"]:
        changed["_appPasswords"] = []
    directory.replace(REALM, USER, changed)
