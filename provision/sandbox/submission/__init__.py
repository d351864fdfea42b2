"""SMTP submission of the local tenant, as ``smtp.office365.com`` answers it: a real port with STARTTLS.

Owns: the conversation (``session``), the words (``replies``), the order in which Exchange Online refuses (``layers``),
what it knows of an account and a mailbox (``gather``), its limits, turning a message into mail (``mime``, ``post``).
Does not own: passwords, tokens, Conditional Access (``entra``), mailboxes and switches (``exchange``).
"""

from provision.sandbox.submission.listener import Submission

__all__ = ["Submission"]
