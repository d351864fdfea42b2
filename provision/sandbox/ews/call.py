"""Who calls Exchange Web Services, on which mailbox, at which of the two Exchanges.

Owns: the values that operations stand on, and what an Exchange must tell them (``Organization``).
Does not own: how somebody proves who he is (``cloud``, ``onpremises``), the operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from xml.etree.ElementTree import Element

from provision.sandbox.directory import Directory
from provision.sandbox.ews import soap
from provision.sandbox.ews.errors import EwsError
from provision.sandbox.world import World

VERSIONS = (
    "Exchange2007", "Exchange2007_SP1", "Exchange2010", "Exchange2010_SP1", "Exchange2010_SP2", "Exchange2013",
    "Exchange2013_SP1", "Exchange2015", "Exchange2015_SP1", "Exchange2016",
)  # fmt: skip
"""Values of ``RequestServerVersion`` (EWS reference); Exchange2015 and later are what Exchange Online adds to it."""


@dataclass(frozen=True)
class Mailbox:
    """A mailbox as Exchange Web Services sees it."""

    owner: str
    """The id under which its messages are stored (``_userId``)."""
    name: str
    address: str
    """The primary SMTP address."""
    addresses: frozenset[str]
    """All SMTP addresses, lower case."""
    send_as: frozenset[str] = frozenset()
    """Ids of others who may send as this mailbox."""
    full_access: frozenset[str] = frozenset()
    """Ids of others who may open it."""


@dataclass(frozen=True)
class Caller:
    """Whoever has proved who he is."""

    tenant: str
    identity: str
    """The user's object id; the service principal's for an application's own token."""
    app_id: str = ""
    app_only: bool = False
    may_impersonate: bool = False


class Organization(Protocol):
    """One Exchange: Exchange Online's part of a tenant, or the customer's own servers."""

    @property
    def build(self) -> tuple[int, int, int, int]:
        """The version that answers name."""
        ...

    def mailbox_at(self, tenant: str, address: str) -> Mailbox | None:
        """The mailbox with this SMTP address."""
        ...

    def mailbox_of(self, tenant: str, identity: str) -> Mailbox | None:
        """A user's own mailbox."""
        ...

    def address_list(self, tenant: str) -> Sequence[Mailbox]:
        """Everybody in the global address list."""
        ...

    def admit(self, caller: Caller, mailbox: Mailbox, user_agent: str) -> None:
        """Lets the caller in to a mailbox by Exchange Web Services.

        Raises:
            HttpRefusal: 403, EWS is off or the application is not allowed.
        """
        ...


@dataclass(frozen=True)
class Call:
    """One request that passed authentication."""

    world: World
    organization: Organization
    caller: Caller
    own: Mailbox | None
    """The mailbox of the caller, or of whom he impersonates."""
    acting: str
    """The id that rights are asked of: the caller's, or that of whom he impersonates."""
    operation: Element

    @property
    def directory(self) -> Directory:
        """The store."""
        return self.world.directory

    @property
    def tenant(self) -> str:
        """The tenant in which everything happens."""
        return self.caller.tenant

    def now(self) -> str:
        """The time as Exchange writes it."""
        return self.directory.clock.iso()

    def mailbox(self, address: str | None) -> Mailbox:
        """The mailbox that an id names by address, or the caller's own.

        Raises:
            EwsError: there is none, or it is somebody else's and he may not open it.
        """
        if not address:
            if self.own is None:
                raise EwsError("ErrorMissingEmailAddress")
            return self.own
        found = self.organization.mailbox_at(self.tenant, address)
        if found is None:
            raise EwsError("ErrorNonExistentMailbox")
        if self.own is not None and found.owner == self.own.owner:
            return found
        if self.acting not in found.full_access:
            raise EwsError("ErrorAccessDenied")
        return found


def server_version(organization: Organization) -> Element:
    """The header that tells a client which Exchange answered."""
    major, minor, build, revision = organization.build
    return soap.element(
        soap.t("ServerVersionInfo"),
        MajorVersion=str(major),
        MinorVersion=str(minor),
        MajorBuildNumber=str(build),
        MinorBuildNumber=str(revision),
        Version="V2018_01_08",
    )


def connecting_address(sid: Element) -> str:
    """Whom an ``ExchangeImpersonation`` header names: primary address, any address, or user principal name.

    Raises:
        EwsError: it names nobody.
    """
    for name in ("PrimarySmtpAddress", "SmtpAddress", "PrincipalName"):
        if found := soap.text(sid, soap.t(name)):
            return found
    raise EwsError("ErrorInvalidExchangeImpersonationHeaderData", "The ExchangeImpersonation header names no account.")
