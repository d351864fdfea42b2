"""Decides: may this client sign in, may this message go; and does it.

Owns: the answers of one server to a name with a password or token, and to a whole message. Does not own: the
conversation (``session``), the order of the layers (``layers``), delivery (``post``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from provision.sandbox.entra.sign_in_log import Peer
from provision.sandbox.exchange import mailboxes
from provision.sandbox.submission import gather, mime
from provision.sandbox.submission.gather import Login
from provision.sandbox.submission.layers import Layer, first_refusal
from provision.sandbox.submission.limits import MESSAGE_BYTES, Limits
from provision.sandbox.submission.post import Post, Posting
from provision.sandbox.world import World


class Answer(NamedTuple):
    """What the server says: a row of ``replies.TABLE``, the layer that decided, and values for the sentence."""

    reply: str
    layer: str | None = None
    values: dict[str, str] = {}  # noqa: RUF012 - never changed


@dataclass
class SignedIn:
    """How a sign-in ended; ``tenant_id`` also when it was refused, for the request log."""

    answer: Answer
    tenant_id: str | None = None
    login: Login | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Envelope:
    """A message as the client handed it over."""

    sender: str
    recipients: tuple[str, ...]
    report: tuple[str, ...]
    """The recipients for whom the client wants to hear of the delivery."""
    content: bytes = field(repr=False)


class Desk:
    """The decisions of one server.

    Args:
        world: what everything stands on.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._limits = Limits(world.directory)
        self.post = Post(world.directory)

    def with_password(self, name: str, password: str, peer: Peer, *, legacy_tls: bool) -> SignedIn:
        """AUTH LOGIN."""
        attempt = gather.before_password(self._world, name, legacy_tls=legacy_tls)
        refusal = first_refusal(attempt.facts)
        if refusal is None:
            attempt = gather.with_password(self._world, attempt, name, password, peer)
            refusal = first_refusal(attempt.facts)
        return _ended(attempt, refusal)

    def with_token(self, name: str, token: str, *, legacy_tls: bool) -> SignedIn:
        """AUTH XOAUTH2."""
        attempt = gather.with_token(self._world, name, token, legacy_tls=legacy_tls)
        return _ended(attempt, first_refusal(attempt.facts))

    @contextmanager
    def room(self, login: Login) -> Iterator[bool]:
        """Holds one of the places that a mailbox has for messages on their way in; yields whether there was one."""
        with self._limits.sending(login.mailbox["id"]) as free:
            yield free

    def submit(self, login: Login, envelope: Envelope, *, room: bool) -> Answer:
        """Takes a message, or refuses it as Exchange's mailbox server does: once it has the whole of it.

        In which order it looks at the limits was not read at a source.
        """
        if not room:
            return Answer("concurrent", "connections")
        if len(envelope.content) > MESSAGE_BYTES:
            return Answer("size", "message-size")
        directory = self._world.directory
        mailbox = directory.get(login.tenant_id, mailboxes.KIND, login.mailbox["id"], fresh=True) or login.mailbox
        content = mime.without_blind_copies(envelope.content)
        message = mime.parse(content)
        for sender in [*mime.senders(message), envelope.sender.lower()]:
            if not self._may_send_as(login, sender):
                login_address = str(mailbox["PrimarySmtpAddress"])
                return Answer("send-as", "send-as", {"login": login_address, "sender": sender or "<>"})
        if mailbox["_blockedOutbound"]:
            return Answer("restricted", "restricted-sender")
        if not self._limits.take_recipients(login.tenant_id, mailbox["id"], len(envelope.recipients)):
            return Answer("quota", "recipient-quota")
        identity = mime.message_id(message)
        me = mime.recipient(mailbox["PrimarySmtpAddress"], mailbox["DisplayName"] or "")
        values = mime.document(message, identity=identity, sender=me, clock=directory.clock)
        values |= {
            "_via": "smtp",
            "_appId": login.app_id,
            "_mime": self.post.keep(login.tenant_id, content),
        }
        posting = Posting(
            login.tenant_id,
            mailbox["_userId"],
            mailbox["PrimarySmtpAddress"],
            envelope.recipients,
            values,
            envelope.report,
        )
        self.post.hand_over(posting, self._limits.delivery_time(mailbox["id"]))
        return Answer("accepted", None, {"message_id": identity})

    def _may_send_as(self, login: Login, address: str) -> bool:
        """Whether the address is the mailbox's own, or that of one that lets it send as itself.

        The right is that of the mailbox that signed in, not of the application (Notifuse/notifuse#250).
        """
        directory = self._world.directory
        if address in mailboxes.addresses(login.mailbox):
            return True
        other = mailboxes.by_address(directory, login.tenant_id, address)
        return other is not None and login.mailbox["_userId"] in other["_sendAs"]


def _ended(attempt: gather.Attempt, refusal: Layer | None) -> SignedIn:
    if refusal is not None or attempt.login is None:
        answer = Answer(refusal.reply, refusal.name) if refusal else Answer("credentials", "credentials")
        return SignedIn(answer, attempt.tenant_id)
    return SignedIn(Answer("authenticated"), attempt.tenant_id, attempt.login)
