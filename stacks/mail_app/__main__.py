"""The app registration of one customer, and which mailboxes may send by SMTP. ``docs/customer-it.md`` explains it."""

import pulumi

from provision.app.component import MailApp
from provision.app.program import checked_stack, guarded
from provision.mailbox.resource import MailboxSmtpAuth, checked_mailboxes


def program() -> None:
    """Declares the registration and the mailboxes' switches, and exports the registration's values."""
    checked = checked_stack()
    mailboxes = checked_mailboxes(checked.settings)
    app = MailApp("mail", checked.mail_app_args())
    for address in mailboxes:
        MailboxSmtpAuth(f"smtp-auth-{address}", mailbox=address)
    for name, value in app.outputs().items():
        pulumi.export(name, value)


guarded(program)
