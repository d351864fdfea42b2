"""Takes a message that was accepted to its recipients: mailboxes of this server, groups, the outside, or back.

Owns: delivery by whichever way the message was handed in (SMTP, Microsoft Graph, Exchange Web Services): Sent Items of
SMTP, non-delivery and delivery reports, mail to foreign addresses (kept, never sent anywhere), messages that wait for
their minute. Does not own: whether the message may be sent (``desk``, ``graph.mail``, ``ews.items``).
Sources: the report's words are those of Exchange Online's non-delivery reports in public ("550 5.1.10
RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup").
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formatdate

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import domain_owner
from provision.sandbox.exchange import mailboxes
from provision.sandbox.onpremises import accounts
from provision.sandbox.submission import mime

_NOT_FOUND = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"


@dataclass(frozen=True)
class Posting:
    """One accepted message on its way; all of it can be stored."""

    tenant_id: str
    owner: str
    """Whose Sent Items it goes to, and whose reports: the id of the mailbox's account."""
    sender: str
    """The primary address of that mailbox."""
    recipients: tuple[str, ...]
    values: Document
    """The message, as ``mime.document`` makes it; without ``_mime`` when it was not handed in as MIME."""
    report: tuple[str, ...] = ()
    """The recipients for whom a success is reported too (``NOTIFY=SUCCESS``)."""


class Post:
    """The post office of one server.

    Args:
        directory: the store.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._waiting = True
        """Whether a message may be waiting; at first nobody knows."""

    def keep(self, tenant_id: str, content: bytes) -> list[str]:
        """Stores the bytes of a message once, for all copies; returns where: the tenant's id and theirs."""
        document = {"content": base64.b64encode(content).decode()}
        return [tenant_id, str(self._directory.insert(tenant_id, "mime", document)["id"])]

    def hand_over(self, posting: Posting, due: float) -> None:
        """Delivers now, or keeps the message until its time."""
        with self._directory.transaction():
            self._save_sent(posting)
            if due > self._directory.clock.now():
                waiting = {**posting.__dict__, "due": due}
                self._directory.insert(posting.tenant_id, "waitingMessage", waiting)
                self._waiting = True
            else:
                self.deliver(posting)

    def deliver_due(self) -> None:
        """Delivers what has waited long enough; cheap when nothing waits."""
        if not self._waiting:
            return
        now, self._waiting = self._directory.clock.now(), False
        for tenant in self._directory.holders("waitingMessage"):
            for document in self._directory.all(tenant, "waitingMessage", fresh=True):
                if document["due"] > now:
                    self._waiting = True
                    continue
                fields = {name: document[name] for name in Posting.__dataclass_fields__}
                with self._directory.transaction():
                    self._directory.remove(tenant, "waitingMessage", document["id"])
                    self.deliver(Posting(**fields))

    def _save_sent(self, posting: Posting) -> None:
        """The copy in Sent Items, where the sender sees the blind copies."""
        named = mime.written_addresses(posting.values)
        blind = [mime.recipient(address) for address in posting.recipients if address.lower() not in named]
        values = {**posting.values, "bccRecipients": [*posting.values["bccRecipients"], *blind]}
        self._store(posting.tenant_id, posting.owner, "sentitems", values)

    def _store(self, tenant_id: str, owner: str, folder: str, values: Document) -> None:
        where = {"id": mime.new_id(), "_userId": owner, "_folder": folder}
        self._directory.insert(tenant_id, "message", {**values, **where})

    def deliver(self, posting: Posting) -> None:
        """Brings the message to all recipients, now; what comes back is a report in the sender's inbox."""
        for address in posting.recipients:
            if self._arrive(posting, address) and address in posting.report:
                self._report(posting, address, delivered=True)

    def _arrive(self, posting: Posting, address: str) -> bool:
        """Brings the message to one address of this server, or keeps it for the outside; False when it came back."""
        tenant_id = domain_owner(self._directory, _domain(address).lower())
        if tenant_id is None:
            outgoing = {"_userId": posting.owner, "to": address, "sender": posting.sender}
            outgoing |= {name: posting.values[name] for name in ("subject", "internetMessageId", "sentDateTime")}
            self._directory.insert(posting.tenant_id, "outgoingMessage", outgoing)
            return True
        if not self.receive(tenant_id, address, posting.values):
            self._report(posting, address, delivered=False)
            return False
        return True

    def receive(self, tenant_id: str, address: str, values: Document) -> bool:
        """Puts a copy into the inbox of whoever has an address in a tenant; False when nobody has.

        Args:
            tenant_id: the tenant's.
            address: the recipient's.
            values: the message, without id, owner and folder.
        """
        found = self._receiving(tenant_id, address)
        now = self._directory.clock.iso()
        copy = {**values, "bccRecipients": [], "isRead": False, "isDraft": False, "receivedDateTime": now}
        for owner in found or ():
            self._store(tenant_id, owner, "inbox", copy)
        return found is not None

    def _receiving(self, tenant_id: str, address: str) -> list[str] | None:
        """The owners of the mailboxes that mail for an address reaches, of a group all members; None for nobody.

        A mailbox on the customer's own servers comes first: who has one there has none in Exchange Online.
        """
        local = accounts.mailbox_at(self._directory, tenant_id, address)
        if local is not None:
            return [local.owner]
        mailbox = mailboxes.by_address(self._directory, tenant_id, address)
        if mailbox is not None:
            return [mailbox["_userId"]]
        for group in self._directory.all(tenant_id, "group", fresh=True):
            if group["mail"] and group["mail"].lower() == address.lower():
                return [user for user in group["_members"] if mailboxes.of_user(self._directory, tenant_id, user)]
        return None

    def _report(self, posting: Posting, address: str, *, delivered: bool) -> None:
        content = _delivery_report(posting, address, delivered=delivered, now=self._directory.clock.now())
        message = mime.parse(content)
        sender = mime.recipient(
            f"MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{_domain(posting.sender)}", "Microsoft Outlook"
        )
        values = mime.document(message, identity=mime.message_id(message), sender=sender, clock=self._directory.clock)
        values |= {"isRead": False, "_via": "smtp", "_mime": self.keep(posting.tenant_id, content)}
        self._store(posting.tenant_id, posting.owner, "inbox", values)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _delivery_report(posting: Posting, address: str, *, delivered: bool, now: float) -> bytes:
    """A report as RFC 3464 has it, titled as Exchange titles its own."""
    subject = posting.values["subject"]
    report = MIMEMultipart("report", report_type="delivery-status")
    report["From"] = f"Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{_domain(posting.sender)}>"
    report["To"] = posting.sender
    report["Date"] = formatdate(now, usegmt=True)
    report["Message-ID"] = f"<{uuid.uuid4()}@{_domain(posting.sender)}>"
    report["In-Reply-To"] = posting.values["internetMessageId"]
    report["Auto-Submitted"] = "auto-replied"
    report["Subject"] = f"{'Delivered' if delivered else 'Undeliverable'}: {subject}"
    text = (
        f"Your message has been delivered to the following recipients:\r\n\r\n{address}\r\n\r\nSubject: {subject}\r\n"
        if delivered
        else f"Your message to {address} couldn't be delivered.\r\n\r\n{address.partition('@')[0]} wasn't found at "
        f"{_domain(address)}.\r\n\r\nRemote Server returned '{_NOT_FOUND}'\r\n"
    )
    report.attach(MIMEText(text, _subtype="plain", _charset="utf-8"))
    about_message, about_recipient, status = Message(), Message(), Message()
    about_message["Reporting-MTA"] = "dns; LOC0P000MB0001.LOC0P000.PROD.OUTLOOK.COM"
    about_recipient["Final-Recipient"] = f"rfc822; {address}"
    about_recipient["Action"] = "delivered" if delivered else "failed"
    about_recipient["Status"] = "2.1.5" if delivered else "5.1.10"
    if not delivered:
        about_recipient["Diagnostic-Code"] = f"smtp; {_NOT_FOUND}"
    status["Content-Type"] = "message/delivery-status"
    status.set_payload([about_message, about_recipient])
    report.attach(status)
    return report.as_bytes(policy=report.policy.clone(linesep="\r\n"))
