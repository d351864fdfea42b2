"""People made to measure: users with mailboxes in any state that a test, a benchmark or a demonstration needs.

Owns: turning a request of the control API into users, licences, mailboxes and groups, also ten thousand at once.
Does not own: what a new tenant holds (``seed``), the shape of a mailbox (``exchange.mailboxes``).
The states are those an administrator reaches by clicking; this is only quicker.
"""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from provision.sandbox import hashing, published
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.app_passwords import new_app_password
from provision.sandbox.exchange import mailboxes
from provision.sandbox.graph import shapes

_MAILBOX_TYPES = {
    "user": mailboxes.USER,
    "shared": mailboxes.SHARED,
    "room": mailboxes.ROOM,
    "equipment": mailboxes.EQUIPMENT,
    "softdeleted": mailboxes.USER,
    "restored": mailboxes.USER,
}
_GROUPS = {"group": ["Unified"], "distribution": []}
MAILBOXES = (*_MAILBOX_TYPES, "none", *_GROUPS)
"""What ``mailbox`` may be: a mailbox of a type, one that was taken away or just brought back, none, or instead of a
user a Microsoft 365 group or a distribution group."""
_SMTP_AUTH: dict[str, bool | None] = {"on": False, "off": True, "inherit": None}
"""What ``smtpAuth`` may be, and the inverted switch that it sets."""
_MFA = ("off", "required", "registered")
MOST = 50_000
"""People in one request."""


class BadPeople(ValueError):
    """A request that names something unknown; the sentence says what is allowed."""


@dataclass(frozen=True)
class Wanted:
    """One entry of a request; field names are the request's own, in Python's spelling."""

    alias: str
    count: int | None = None
    """Make this many, with 1, 2, … behind the alias."""
    mailbox: str = "user"
    licensed: bool | None = None
    """None: as usual, a licence for a user's own mailbox and none for the rest."""
    mfa: str = "off"
    enabled: bool | None = None
    """Whether sign-in is allowed; None: as usual, it is not for shared mailboxes, rooms and equipment."""
    smtp_auth: str = "inherit"
    authentication_policy: str | None = None
    app_password: bool = False
    password: str | None = None
    locked: bool = False
    blocked_outbound: bool = False
    send_as: Sequence[str] = ()
    """User principal names of those who may send as this mailbox."""
    full_access: Sequence[str] = ()
    """User principal names of those who may open this mailbox."""
    members: Sequence[str] = ()
    """Of a group: user principal names."""

    @classmethod
    def parse(cls, data: Any, *, alias: str) -> Wanted:
        """An entry from its JSON form.

        Args:
            data: the JSON value.
            alias: taken when the entry names none.

        Raises:
            BadPeople: an unknown name or value.
        """
        if not isinstance(data, dict):
            raise BadPeople("each of 'people' is an object")
        names = {_camel(row.name): row.name for row in fields(cls)}
        if unknown := sorted(set(data) - set(names)):
            raise BadPeople(f"people have no {unknown[0]!r}; they have: {', '.join(names)}")
        wanted = cls(**{"alias": alias, **{names[key]: value for key, value in data.items()}})
        allowed = (("mailbox", MAILBOXES), ("smtp_auth", tuple(_SMTP_AUTH)), ("mfa", _MFA))
        for name, values in allowed:
            if getattr(wanted, name) not in values:
                raise BadPeople(f"{_camel(name)} is one of {', '.join(values)}, not {getattr(wanted, name)!r}")
        if wanted.count is not None and (type(wanted.count) is not int or not 0 < wanted.count <= MOST):
            raise BadPeople(f"count is a number from 1 to {MOST}, not {wanted.count!r}")
        return wanted


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def new_password() -> str:
    """A password that meets Entra's complexity rule: three of lower, upper, digit, symbol, at least 8 characters."""
    return "Aa1-" + secrets.token_hex(8)


def make(directory: Directory, tenant: str, wanted: Sequence[Wanted]) -> list[Document]:
    """Makes people, all visible at once.

    Args:
        directory: the store.
        tenant: the tenant's id.
        wanted: whom.

    Returns:
        For each: ``userPrincipalName`` (a group's address), ``id``, ``mailboxId`` (None without a live or
        soft-deleted one), ``password`` (None for groups) and ``appPassword`` (or None). It is the
        only copy of the passwords.

    Raises:
        BadPeople: a name is taken, or an authentication policy or person is not there.
    """
    found = directory.tenant(tenant)
    if found is None:
        raise BadPeople(f"there is no tenant {tenant}")
    making = _Making(directory, tenant, str(found["domain"]))
    for row in wanted:
        making.check(row)
        for number in range(1, row.count + 1) if row.count is not None else (None,):
            making.add(row, row.alias if number is None else f"{row.alias}{number}")
    making.store()
    return making.made


class _Making:
    """People on their way into the store."""

    def __init__(self, directory: Directory, tenant: str, domain: str) -> None:
        self._directory, self._tenant, self._domain = directory, tenant, domain
        self._documents: dict[str, list[Document]] = {"user": [], "group": [], mailboxes.KIND: []}
        self._ids: dict[str, str] = {}
        self._soft_deleted: list[str] = []
        self._licences: Counter[str] = Counter()
        self._sku = next(sku for sku in published.SKUS if sku.part_number == "O365_BUSINESS_PREMIUM")
        self._now = directory.clock.iso()
        self.made: list[Document] = []

    def check(self, row: Wanted) -> None:
        """Refuses an entry that names somebody or something that is not there."""
        if row.authentication_policy and not self._directory.find(
            self._tenant, "authenticationPolicy", fresh=True, Name=row.authentication_policy
        ):
            raise BadPeople(f"there is no authentication policy {row.authentication_policy!r}")
        for name in (*row.send_as, *row.full_access, *row.members):
            self._user_id(name)

    def _user_id(self, name: str) -> str:
        if (mine := self._ids.get(name.lower())) is not None:
            return mine
        found = self._directory.find(self._tenant, "user", fresh=True, userPrincipalName=name)
        if not found:
            raise BadPeople(f"there is no user {name!r}")
        return str(found[0]["id"])

    def add(self, row: Wanted, alias: str) -> None:
        """Adds one person or group."""
        if row.mailbox in _GROUPS:
            self._add_group(row, alias)
            return
        licensed = row.mailbox in {"user", "restored"} if row.licensed is None else row.licensed
        enabled = row.mailbox not in {"shared", "room", "equipment"} if row.enabled is None else row.enabled
        password = row.password or new_password()
        app_password = new_app_password() if row.app_password else None
        user = self._user(row, alias, hashing.hash_secret(password), licensed=licensed, enabled=enabled)
        if app_password:
            user["_appPasswords"] = [{"name": "Mail", "hash": hashing.hash_secret(app_password), "created": self._now}]
        self._documents["user"].append(user)
        self._ids[user["userPrincipalName"].lower()] = user["id"]
        self._licences[self._sku.id] += licensed
        mailbox_id = None
        if row.mailbox in _MAILBOX_TYPES:
            mailbox_id = self._add_mailbox(row, user)
        self.made.append(
            {
                "userPrincipalName": user["userPrincipalName"],
                "id": user["id"],
                "mailboxId": mailbox_id,
                "password": password,
                "appPassword": app_password,
            }
        )

    def _user(self, row: Wanted, alias: str, password_hash: str, *, licensed: bool, enabled: bool) -> Document:
        address = f"{alias}@{self._domain}"
        with_address = row.mailbox in _MAILBOX_TYPES
        plans = [
            {
                "assignedDateTime": self._now,
                "capabilityStatus": "Enabled",
                "service": "exchange",
                "servicePlanId": plan_id,
            }
            for plan_id, _ in self._sku.plans
        ]
        return {
            **shapes.USER,
            "id": str(uuid.uuid4()),
            "accountEnabled": enabled,
            "assignedLicenses": [{"disabledPlans": [], "skuId": self._sku.id}] if licensed else [],
            "assignedPlans": plans if licensed else [],
            "createdDateTime": self._now,
            "displayName": alias,
            "mail": address if with_address else None,
            "mailNickname": alias,
            "proxyAddresses": [f"SMTP:{address}"] if with_address else [],
            "signInSessionsValidFromDateTime": self._now,
            "usageLocation": "LV",
            "userPrincipalName": address,
            "_passwordHash": password_hash,
            "_mfa": row.mfa,
            "_locked": row.locked,
            "_authenticationPolicy": row.authentication_policy,
        }

    def _add_mailbox(self, row: Wanted, user: Document) -> str:
        mailbox = mailboxes.new(self._directory.clock, user, _MAILBOX_TYPES[row.mailbox]) | {
            "SmtpClientAuthenticationDisabled": _SMTP_AUTH[row.smtp_auth],
            "_sendAs": [self._user_id(name) for name in row.send_as],
            "_fullAccess": [self._user_id(name) for name in row.full_access],
            "_softDeleted": self._now if row.mailbox == "softdeleted" else None,
            "_restoredAt": self._now if row.mailbox == "restored" else None,
            "_blockedOutbound": row.blocked_outbound,
        }
        self._documents[mailboxes.KIND].append(mailbox)
        if row.mailbox == "softdeleted":
            self._soft_deleted.append(mailbox["id"])
        return str(mailbox["id"])

    def _add_group(self, row: Wanted, alias: str) -> None:
        address = f"{alias}@{self._domain}"
        group = {
            **shapes.GROUP,
            "id": str(uuid.uuid4()),
            "createdDateTime": self._now,
            "displayName": alias,
            "groupTypes": _GROUPS[row.mailbox],
            "mail": address,
            "mailEnabled": True,
            "mailNickname": alias,
            "proxyAddresses": [f"SMTP:{address}"],
            "securityEnabled": False,
            "visibility": "Private",
            "_owners": [],
            "_members": [self._user_id(name) for name in row.members],
        }
        self._documents["group"].append(group)
        self.made.append(
            {"userPrincipalName": address, "id": group["id"], "mailboxId": None, "password": None, "appPassword": None}
        )

    def store(self) -> None:
        """Stores everything or, when a name is taken, nothing."""
        taken = self._directory.values(self._tenant, "user", "userPrincipalName")
        taken |= self._directory.values(self._tenant, "group", "mail")
        addresses = self._directory.values(self._tenant, mailboxes.KIND, "EmailAddresses")
        for row in self.made:
            name = row["userPrincipalName"].lower()
            if name in taken or f"smtp:{name}" in addresses:
                raise BadPeople(f"{name} is there already")
            taken.add(name)
        with self._directory.transaction():
            for kind, documents in self._documents.items():
                self._directory.insert_many(self._tenant, kind, documents)
            for identity in self._soft_deleted:
                self._directory.soft_delete(self._tenant, mailboxes.KIND, identity)
            for sku in self._directory.all(self._tenant, "subscribedSku", fresh=True):
                if used := self._licences[sku["skuId"]]:
                    total = sku["consumedUnits"] + used
                    sku["prepaidUnits"]["enabled"] = max(sku["prepaidUnits"]["enabled"], total)
                    self._directory.replace(self._tenant, "subscribedSku", {**sku, "consumedUnits": total})
