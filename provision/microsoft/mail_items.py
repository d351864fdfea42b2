"""Mail by Microsoft Graph: sending one message, and finding it again.

Owns: the requests ("user: sendMail", "List messages"). Does not own: what is sent and how long is waited (``mail``).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from provision.microsoft.channel import Channel
from provision.microsoft.credentials import Credential
from provision.microsoft.reading import Document
from provision.microsoft.refusals import GraphRefusal
from provision.settings.endpoints import Endpoints

READING = frozenset({"mail.read", "mail.readbasic", "mail.readwrite", "mail.readbasic.all"})
"""Permissions that let messages be listed ("List messages"), in small letters."""


class GivenCredential(Credential):
    """One access token as azure-identity would hand it out; what is done ends before it does."""

    def __init__(self, token: str, endpoints: Endpoints) -> None:
        super().__init__(_Fixed(token), endpoints, None)


class _Fixed:
    """A ``TokenCredential`` with one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        import time

        from azure.core.credentials import AccessToken

        return AccessToken(self._token, int(time.time()) + 3600)


class MailItems:
    """Messages as one caller may send and read them; closed as a context manager.

    Args:
        credential: whose.
        endpoints: the cloud.
    """

    def __init__(self, credential: Credential, endpoints: Endpoints) -> None:
        self._channel = Channel(credential, endpoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def send(self, *, to: str, subject: str, text: str, sender: str | None = None) -> None:
        """Sends a message and keeps it in Sent Items.

        Args:
            to: the recipient's address.
            subject: the subject.
            text: the body, plain.
            sender: another's mailbox; the signed-in user's own without it.

        Raises:
            SignInFailed, NotPermitted, InvalidInput, Unreachable: the message holds Graph's code.
        """
        body = {
            "message": {
                "subject": subject,
                "body": {"contentType": "Text", "content": text},
                "toRecipients": [{"emailAddress": {"address": to}}],
            },
            "saveToSentItems": True,
        }
        self._channel.ask(
            lambda client: (client.users.by_user_id(sender) if sender else client.me).send_mail,
            "send the mail",
            method="POST",
            body=body,
            needs="the delegated permission Mail.Send with consent, and only the signed-in user's own mailbox",
        )

    def find(self, user: str, folder: str, subject: str) -> Document | None:
        """The message with this subject in a folder; None when it is not there (yet).

        Args:
            user: the mailbox's user principal name.
            folder: a well-known name: ``inbox``, ``sentitems``.
            subject: the whole subject.

        Raises:
            NotPermitted, InvalidInput: the mailbox may not be read, or is not in this tenant.
        """
        quoted = subject.replace("'", "''")
        found = self._channel.ask_all(
            lambda client: client.users.by_user_id(user).mail_folders.by_mail_folder_id(folder).messages,
            f"read the mailbox of {user}",
            query={
                "filter": f"subject eq '{quoted}'",
                "select": ["id", "subject", "internetMessageId", "receivedDateTime"],
            },
            needs="Mail.ReadBasic",
            absent=_not_yet,
        )
        return next(iter(found), None)


def _not_yet(refusal: GraphRefusal) -> bool:
    """A mailbox that has just been made answers so for a while."""
    return refusal.code == "ErrorItemNotFound"
