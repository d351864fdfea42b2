"""The app registration of one customer: settings, checks, ``MailApp``, outputs. ``docs/customer-it.md`` explains it."""

import pulumi

from provision.app.component import MailApp
from provision.app.program import checked_stack, guarded


def program() -> None:
    """Declares the registration and exports its values."""
    app = MailApp("mail", checked_stack().mail_app_args())
    for name, value in app.outputs().items():
        pulumi.export(name, value)


guarded(program)
