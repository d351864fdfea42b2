"""Accounts of a customer's own Active Directory, with a mailbox on his own Exchange or in Exchange Online.

Owns: the kind ``onPremisesAccount``, passwords as Active Directory keeps them (the NT hash, which NTLM needs), the
file that the NTLM library reads. Does not own: protocols. An account is nobody in Entra: a real one would be
synchronised, with a password of its own there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from provision.sandbox import hashing, published
from provision.sandbox.directory import Directory, Document
from provision.sandbox.ews.call import Mailbox
from provision.sandbox.keys import write_private

KIND: Final = "onPremisesAccount"
MAILBOXES = ("local", "remote", "none")
"""Where an account's mailbox is: on the customer's own servers, in Exchange Online (hybrid), nowhere."""
_KEYS = ("alias", "displayName", "mailbox", "enabled", "password", "impersonates")


def custom_domain(directory: Directory, tenant: str) -> str:
    """The domain of the customer's own directory: the tenant's first custom one."""
    document = directory.tenant(tenant) or {}
    return str(document["domains"][0])


def netbios_name(directory: Directory, tenant: str) -> str:
    """The directory's short name, unique in this server: the first label, or its hash when that is too long."""
    label = custom_domain(directory, tenant).partition(".")[0].upper()
    if len(label) <= 15:
        return label
    return label[:8] + hashlib.sha256(label.encode()).hexdigest()[:7].upper()


def create(directory: Directory, tenant: str, people: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Makes accounts, or makes those anew whose alias is taken.

    Args:
        directory: the store.
        tenant: the tenant's id.
        people: for each ``alias`` and what differs from an enabled account with a local mailbox.

    Returns:
        For each the names it signs in with and its password.

    Raises:
        ValueError: a key or value that does not exist; nothing was changed.
    """
    for person in people:
        if unknown := set(person) - set(_KEYS):
            raise ValueError(f"an account has no {sorted(unknown)[0]!r}; it has: {', '.join(_KEYS)}")
        if not isinstance(person.get("alias"), str) or not person["alias"]:
            raise ValueError("'alias' is missing; every account has one")
        if person.get("mailbox", "local") not in MAILBOXES:
            raise ValueError(f"there is no mailbox {person['mailbox']!r}; choose from: {', '.join(MAILBOXES)}")
    with directory.transaction():
        made = [_create(directory, tenant, person) for person in people]
        _register_address(directory, tenant)
    publish(directory)
    return made


def _create(directory: Directory, tenant: str, person: dict[str, Any]) -> dict[str, str]:
    alias = str(person["alias"]).lower()
    address = f"{alias}@{custom_domain(directory, tenant)}"
    domain = netbios_name(directory, tenant)
    alphabet = string.ascii_letters + string.digits
    password = str(person.get("password") or "Op1-" + "".join(secrets.choice(alphabet) for _ in range(14)))
    for old in directory.find(tenant, KIND, fresh=True, mail=address):
        directory.remove(tenant, KIND, old["id"])
    account: Document = {
        "samAccountName": alias,
        "netbiosDomain": domain,
        "userPrincipalName": address,
        "mail": address,
        "displayName": person.get("displayName") or alias.title(),
        "mailbox": person.get("mailbox", "local"),
        "targetAddress": _target(directory, tenant, alias) if person.get("mailbox") == "remote" else None,
        "enabled": bool(person.get("enabled", True)),
        "impersonates": bool(person.get("impersonates", False)),
        "_passwordHash": hashing.hash_secret(password),
        "_ntHash": _nt_hash(password),
    }
    directory.insert(tenant, KIND, account, visible_at_once=True)
    return {
        "alias": alias,
        "userPrincipalName": address,
        "mail": address,
        "domainUser": f"{domain}\\{alias}",
        "password": password,
    }


def server_address(directory: Directory, tenant: str) -> str:
    """The address of the customer's own Exchange, which is also what tokens for it are made out to."""
    return f"https://mail.{custom_domain(directory, tenant)}"


def _register_address(directory: Directory, tenant: str) -> None:
    """Makes the address a service principal name of Office 365 Exchange Online, for hybrid modern authentication."""
    principal = directory.find(tenant, "servicePrincipal", fresh=True, appId=published.EXCHANGE_APP_ID)[0]
    name = f"{server_address(directory, tenant)}/"
    if name not in principal["servicePrincipalNames"]:
        names = [*principal["servicePrincipalNames"], name]
        directory.replace(tenant, "servicePrincipal", {**principal, "servicePrincipalNames": names})


def _nt_hash(password: str) -> str:
    """MD4 of the password in UTF-16: what Active Directory keeps; OpenSSL no longer has MD4, the NTLM library does."""
    from spnego._ntlm_raw.crypto import ntowfv1  # loaded late: it would lengthen the server's start

    return ntowfv1(password).hex().upper()


def _target(directory: Directory, tenant: str, alias: str) -> str:
    """Where mail for a mailbox in Exchange Online is sent on to: its address in the initial domain."""
    document = directory.tenant(tenant) or {}
    return f"{alias}@{document['domain']}"


def _credentials_file(directory: Directory) -> Path:
    return directory.path.parent / "onpremises-accounts"


def publish(directory: Directory) -> None:
    """Writes the enabled accounts of all tenants for the NTLM library (0600), under each name one can sign in with.

    The library (pyspnego) has no other way in than a file that an environment variable names.
    """
    lines = []
    for tenant in directory.holders(KIND):
        for account in directory.all(tenant, KIND, fresh=True):
            if account["enabled"]:
                names = (f"{account['netbiosDomain']}\\{account['samAccountName']}", account["userPrincipalName"])
                lines += [f"{name}:0:{'0' * 32}:{account['_ntHash']}:[U]:LCT-00000000" for name in names]
    path = _credentials_file(directory)
    write_private(path, ("\n".join(lines) + "\n").encode())
    os.environ["NTLM_USER_FILE"] = str(path)


def by_name(directory: Directory, name: str) -> tuple[str, Document] | None:
    r"""The tenant and account that a sign-in name stands for: ``DOMAIN\user`` or a user principal name."""
    domain, backslash, user = name.rpartition("\\")
    for tenant in directory.holders(KIND):
        for account in directory.all(tenant, KIND, fresh=True):
            short = (domain.lower(), user.lower()) == (account["netbiosDomain"].lower(), account["samAccountName"])
            if short if backslash else name.lower() == account["userPrincipalName"]:
                return tenant, account
    return None


def by_address(directory: Directory, tenant: str, address: str) -> Document | None:
    """The account with this address, or None."""
    found = directory.find(tenant, KIND, fresh=True, mail=address)
    return found[0] if found else None


def mailbox_at(directory: Directory, tenant: str, address: str) -> Mailbox | None:
    """The mailbox on the customer's own servers with this address, or None."""
    account = by_address(directory, tenant, address)
    return None if account is None else seen(account)


def seen(account: Document) -> Mailbox | None:
    """An account's mailbox; None when it has none on the customer's own servers."""
    if account["mailbox"] != "local":
        return None
    return Mailbox(account["id"], account["displayName"], account["mail"], frozenset({account["mail"]}))
