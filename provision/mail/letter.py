"""The test letter that every proof sends: small, plain, recognisable when it arrives.

Owns: what it says and by which mark it is found again. Does not own: how it travels.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

_TEXT = (
    "This mail was sent to prove that {sender} can send by {way}.\n"
    "It was asked for by whoever runs `provision` there, and needs no answer.\n"
)


@dataclass(frozen=True)
class Letter:
    """One test letter.

    Args:
        sender: the mailbox's address.
        recipient: where it goes.
        way: how it travels, for its text: ``Microsoft Graph``, ``SMTP``, ``Exchange Web Services``.
        mark: stands in the subject and in the Message-ID, and in no other letter.
    """

    sender: str
    recipient: str
    way: str
    mark: str

    @staticmethod
    def written(sender: str, recipient: str, way: str) -> Letter:
        """A letter with a mark of its own."""
        return Letter(sender, recipient, way, secrets.token_hex(8))

    @property
    def subject(self) -> str:
        """The subject, with the mark."""
        return f"Test of sending by {self.way} ({self.mark})"

    @property
    def text(self) -> str:
        """The body, plain text."""
        return _TEXT.format(sender=self.sender, way=self.way)

    @property
    def message_id(self) -> str:
        """The Message-ID (RFC 5322, 3.6.4), of the sender's own domain."""
        return f"<{self.mark}@{self.sender.rpartition('@')[2]}>"

    def message(self) -> EmailMessage:
        """The letter in Internet message format.

        Raises:
            ValueError: an address cannot stand in a header.
        """
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, self.recipient, self.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = self.message_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.text)
        return message
