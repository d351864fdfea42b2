"""Reading the switches from Exchange Online, in pages: never one request for each mailbox.

Owns: which cmdlet answers which question, and the rows' meaning. A handful of mailboxes that are named is asked for one
by one; more of them, a group or all are read from the list, of which one page is in memory at a time.
``Get-CASMailbox`` tells the switches and ``Get-Mailbox`` the kinds of mailboxes; the second is read only for those that
are to be changed or shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from provision.errors import NotPermitted, ProvisionError
from provision.mailbox.obstacles import OBSTACLES, Obstacle, by_type
from provision.mailbox.values import PROPERTY, Mailbox, Organization, Switch
from provision.microsoft.exchange import Exchange, Row
from provision.microsoft.graph import Graph

ONE_BY_ONE = 10
"""Up to so many are asked for by name; a page holds a thousand, so more are read from the list."""

_SWITCHES = ["Guid", "PrimarySmtpAddress", "DisplayName", "EmailAddresses", PROPERTY]
_KINDS = ["Guid", "RecipientTypeDetails", "SKUAssigned"]
_NAMES = ["PrimarySmtpAddress", "EmailAddresses", "RecipientTypeDetails"]
_ALL = {"ResultSize": "Unlimited"}


class Reader:
    """The switches as they are now.

    Args:
        exchange: the line.
        graph: asked whether a user without a mailbox has a licence; None when it is not to be asked.
    """

    def __init__(self, exchange: Exchange, graph: Graph | None = None) -> None:
        self._exchange = exchange
        self._graph = graph

    def organization(self) -> Organization:
        """The organization's values.

        Raises:
            ProvisionError: Exchange does not show them.
        """
        row = self._exchange.first(
            "Get-TransportConfig",
            doing="read the organization's settings",
            select=[PROPERTY, "AllowLegacyTLSClients"],
            recipients=False,
        )
        disabled = None if row is None else row.get(PROPERTY)
        if row is None or not isinstance(disabled, bool):
            raise _not_shown(PROPERTY, "the organization")
        return Organization(smtp_auth=not disabled, legacy_tls=row.get("AllowLegacyTLSClients") is True)

    def all(self) -> Iterator[Mailbox]:
        """Every mailbox's switch, page by page."""
        rows = self._exchange.rows("Get-CASMailbox", _ALL, doing="read the mailboxes' switches", select=_SWITCHES)
        return map(mailbox_of, rows)

    def named(self, names: Iterable[str]) -> tuple[list[Mailbox], list[str]]:
        """The mailboxes with these addresses, and the addresses that are no mailbox's.

        Args:
            names: addresses, in any letter case; a mailbox is found by each of its addresses.
        """
        wanted = {name.lower(): name for name in names}
        if len(wanted) <= ONE_BY_ONE:
            found = {name: self._one(name) for name in wanted}
            mailboxes = {mailbox.id: mailbox for mailbox in found.values() if mailbox is not None}
            return list(mailboxes.values()), [wanted[name] for name, mailbox in found.items() if mailbox is None]
        mailboxes, missing = {}, dict(wanted)
        for mailbox in self.all():
            hits = [address for address in mailbox.addresses if address in wanted]
            if hits:
                mailboxes[mailbox.id] = mailbox
            for address in hits:
                missing.pop(address, None)
        return list(mailboxes.values()), list(missing.values())

    def by_id(self, ids: Collection[str]) -> dict[str, Mailbox]:
        """The mailboxes with these ``Guid``s; one that is gone is not among them."""
        if len(ids) <= ONE_BY_ONE:
            found = (self._one(each) for each in ids)
            return {mailbox.id: mailbox for mailbox in found if mailbox is not None}
        return {mailbox.id: mailbox for mailbox in self.all() if mailbox.id in ids}

    def _one(self, identity: str) -> Mailbox | None:
        row = self._exchange.first(
            "Get-CASMailbox", {"Identity": identity}, doing=f"read the switch of {identity}", select=_SWITCHES
        )
        return None if row is None else mailbox_of(row)

    def obstacles(self, mailboxes: Collection[Mailbox] | None = None) -> dict[str, Obstacle]:
        """Which mailboxes cannot have SMTP AUTH, by ``Guid``; those that can are not among them.

        Args:
            mailboxes: the ones asked about; all without it.
        """
        wanted = None if mailboxes is None else {mailbox.id for mailbox in mailboxes}
        found = {}
        for row in self._kinds(wanted):
            identity = str(row.get("Guid"))
            obstacle = _obstacle_of(row)
            if obstacle is not None and (wanted is None or identity in wanted):
                found[identity] = obstacle
        return found

    def _kinds(self, ids: Collection[str] | None) -> Iterator[Row]:
        doing = "read the kinds of the mailboxes"
        if ids is None or len(ids) > ONE_BY_ONE:
            yield from self._exchange.rows("Get-Mailbox", _ALL, doing=doing, select=_KINDS)
            return
        for each in ids:
            row = self._exchange.first("Get-Mailbox", {"Identity": each}, doing=doing, select=_KINDS)
            if row is not None:
                yield row

    def why_absent(self, addresses: Collection[str]) -> dict[str, Obstacle]:
        """Why addresses are no mailbox's: a group, deleted, a user without a licence, or not known at all."""
        left = {address.lower(): address for address in addresses}
        found: dict[str, Obstacle] = {}
        for row in self._recipients(left):
            obstacle = by_type(str(row.get("RecipientTypeDetails")))
            for address in _addresses(row):
                if obstacle is not None and address in left:
                    found[left.pop(address)] = obstacle
        for row in self._deleted(left):
            for address in _addresses(row):
                if address in left:
                    found[left.pop(address)] = OBSTACLES["soft-deleted"]
        for address, shown in left.items():
            found[shown] = OBSTACLES["unlicensed" if self._is_a_user(address, len(left)) else "no-mailbox"]
        return found

    def _recipients(self, addresses: Collection[str]) -> Iterator[Row]:
        doing = "look up what is no mailbox"
        if len(addresses) > ONE_BY_ONE:
            yield from self._exchange.rows("Get-Recipient", _ALL, doing=doing, select=_NAMES)
            return
        for address in list(addresses):
            row = self._exchange.first("Get-Recipient", {"Identity": address}, doing=doing, select=_NAMES)
            if row is not None:
                yield row

    def _deleted(self, addresses: Collection[str]) -> Iterator[Row]:
        doing, deleted = "look up deleted mailboxes", {"SoftDeletedMailbox": True}
        if len(addresses) > ONE_BY_ONE:
            yield from self._exchange.rows("Get-Mailbox", {**_ALL, **deleted}, doing=doing, select=_NAMES)
            return
        for address in list(addresses):
            row = self._exchange.first("Get-Mailbox", {"Identity": address, **deleted}, doing=doing, select=_NAMES)
            if row is not None:
                yield row

    def _is_a_user(self, address: str, many: int) -> bool:
        """Whether Entra knows a user of that name, who then has no licence for Exchange Online."""
        if self._graph is None or many > ONE_BY_ONE:
            return False
        try:
            return self._graph.has_user(address)
        except NotPermitted:
            return False


def mailbox_of(row: Row) -> Mailbox:
    """A row of Get-CASMailbox.

    A property that is not there is not ``$null``: read as "inherits" it would make a report wrong.

    Raises:
        ProvisionError: the row does not show the switch.
    """
    address = str(row.get("PrimarySmtpAddress") or "")
    if PROPERTY not in row or not row.get("Guid"):
        raise _not_shown(PROPERTY if row.get("Guid") else "Guid", address or "a mailbox")
    return Mailbox(
        id=str(row["Guid"]),
        address=address,
        name=str(row.get("DisplayName") or ""),
        switch=Switch.from_exchange(row[PROPERTY]),
        addresses=tuple(dict.fromkeys([address.lower(), *_addresses(row)])),
    )


def _addresses(row: Row) -> list[str]:
    """A recipient's SMTP addresses in lower case; ``EmailAddresses`` marks the primary one as ``SMTP:``."""
    listed: Any = row.get("EmailAddresses") or ()
    proxies = [str(proxy) for proxy in listed] if not isinstance(listed, str) else listed.split()
    smtp = [proxy[5:] for proxy in proxies if proxy[:5].lower() == "smtp:"]
    return [address.lower() for address in (str(row.get("PrimarySmtpAddress") or ""), *smtp) if address]


def _obstacle_of(row: Row) -> Obstacle | None:
    kind = str(row.get("RecipientTypeDetails"))
    obstacle = by_type(kind)
    if obstacle is None and kind == "UserMailbox" and row.get("SKUAssigned") is False:
        return OBSTACLES["unlicensed"]
    return obstacle


def _not_shown(what: str, whose: str) -> ProvisionError:
    return ProvisionError(
        f"Exchange Online does not show {what} of {whose}, so it cannot be told what it is set to.",
        remedy="Nothing was changed. Use --powershell, which is the documented way.",
    )
