"""A Google side of the local tenant: Workspace customers, SMTP with app passwords, service accounts, the Directory API.

Owns: the conversation (``session``), Google's words (``replies``), who may sign in (``sign_in``), tokens of service
accounts (``oauth``), the APIs by which an administrator reads 2-Step Verification (``directory_api``, ``policy_api``).
Does not own: reading lines of SMTP and TLS (aiosmtpd), turning a message into mail (``submission.mime``).

Google's customers are no tenants of Microsoft: they are kept under a name of their own (``customers.REALM``).
"""

from provision.sandbox.google.listener import GoogleMail

__all__ = ["GoogleMail"]
