"""What a mailbox's and the organization's switch can be, and what they come to together.

Source: "Enable or disable authenticated client SMTP submission (SMTP AUTH) in Exchange Online" and Set-CASMailbox,
Set-TransportConfig (Exchange PowerShell reference). Exchange stores the opposite, ``SmtpClientAuthenticationDisabled``:
``$false`` is on, ``$true`` is off, and on a mailbox ``$null`` inherits. Nothing called
``SmtpClientAuthenticationEnabled`` exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PROPERTY = "SmtpClientAuthenticationDisabled"


class Switch(StrEnum):
    """A mailbox's own value."""

    ON = "on"
    OFF = "off"
    INHERITS = "inherits"

    @classmethod
    def from_exchange(cls, disabled: bool | None) -> Switch:
        """The value of ``SmtpClientAuthenticationDisabled``, turned round."""
        return cls.INHERITS if disabled is None else cls.OFF if disabled else cls.ON

    @property
    def for_exchange(self) -> bool | None:
        """The value of ``SmtpClientAuthenticationDisabled``."""
        return {Switch.ON: False, Switch.OFF: True, Switch.INHERITS: None}[self]

    def allows(self, organization: Organization) -> bool:
        """Whether the mailbox may use SMTP AUTH as far as the switches go; the mailbox's own value wins."""
        return organization.smtp_auth if self is Switch.INHERITS else self is Switch.ON


@dataclass(frozen=True)
class Organization:
    """The organization's values (Get-TransportConfig)."""

    smtp_auth: bool
    """What a mailbox that inherits gets. Off in organizations made after January 2020; off is what auditors expect."""
    legacy_tls: bool
    """Whether clients with TLS 1.0 and 1.1 may come to ``smtp-legacy.office365.com`` ("Opt in to the Exchange Online
    endpoint for legacy TLS clients using SMTP AUTH")."""


@dataclass(frozen=True)
class Mailbox:
    """One mailbox's switch."""

    id: str
    """Its ``Guid``: stays when the address changes, and is no name that could mean something else."""
    address: str
    """Its primary address."""
    name: str
    switch: Switch
    addresses: tuple[str, ...] = ()
    """Every address, the primary one too, in lower case."""
