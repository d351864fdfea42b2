"""Proof by Microsoft Graph: a mail sent as the user, and found again; other ways have theirs looked for here, too.

Owns: the steps. Does not own: the requests (``microsoft.mail_items``), the tokens (``microsoft.product_sign_in``).
Sending by Graph needs no SMTP AUTH on the mailbox, and no password.
"""

from __future__ import annotations

import time

from provision.errors import InvalidInput, NotPermitted
from provision.mail.letter import Letter
from provision.mail.timeline import Outcome, Stage, Timeline
from provision.microsoft.mail_items import GivenCredential, MailItems
from provision.microsoft.product_sign_in import UserSignIn, told_by
from provision.settings.endpoints import Endpoints

UNREAD = "Nobody here may read the mailbox: Mail.Send alone does not."
_TRACE = "Look in the junk folder; Exchange admin center > Mail flow > Message trace tells where it went."
_NO_COPY = (
    "No copy there; for mail by SMTP a mailbox keeps one unless MessageCopyForSMTPClientSubmissionEnabled is off."
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


def send(timeline: Timeline, sign_in: UserSignIn, endpoints: Endpoints, letter: Letter) -> str:
    """Sends the letter as the signed-in user; returns the access token.

    A mailbox that is not the signed-in user's own is named in the request, and Graph decides.
    """
    token = timeline.take(
        "graph", "token with Mail.Send", lambda: sign_in.token(f"{endpoints.graph}/Mail.Send"), described
    )
    own = told_by(token)[0].lower() in ("", letter.sender.lower())
    with MailItems(GivenCredential(token, endpoints), endpoints) as items:
        timeline.take(
            "graph",
            "sendMail",
            lambda: items.send(
                to=letter.recipient, subject=letter.subject, text=letter.text, sender=None if own else letter.sender
            ),
            lambda _: f"accepted for {letter.recipient}",
        )
    return token


def find_again(timeline: Timeline, way: str, letter: Letter, reader: MailItems | None, seconds: float) -> None:
    """Looks for the letter by its mark, in Sent Items and in the recipient's inbox, where they may be read.

    Args:
        timeline: takes the steps.
        way: how it was sent.
        letter: what was sent.
        reader: who may read; None when nobody may.
        seconds: how long to wait for it to arrive.
    """
    places = (("Sent Items", "sentitems", letter.sender), (f"inbox of {letter.recipient}", "inbox", letter.recipient))
    for title, folder, mailbox in places:
        name = f"found in {title}"
        if reader is None:
            timeline.skip(way, name, UNREAD, f"Look there for the subject: {letter.subject}")
            continue
        began = time.monotonic()
        try:
            found = _wait(reader, mailbox, folder, letter.subject, seconds)
        except (NotPermitted, InvalidInput) as refused:
            timeline.skip(way, name, refused.message, f"Look there for the subject: {letter.subject}")
            continue
        took = time.monotonic() - began
        if found is not None:
            timeline.note(Stage(way, name, Outcome.DONE, took, found))
        elif folder == "sentitems" and way == "smtp":
            timeline.note(Stage(way, name, Outcome.SKIPPED, took, _NO_COPY))
        else:
            said = f"Not there {seconds:.0f} seconds after it was sent."
            timeline.note(Stage(way, name, Outcome.REFUSED, took, said, _TRACE))


def _wait(reader: MailItems, mailbox: str, folder: str, subject: str, seconds: float) -> str | None:
    """The Message-ID of the message, once it is there."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        found = reader.find(mailbox, folder, subject)
        if found is not None:
            return str(found.get("internetMessageId") or found["id"])
        if time.monotonic() + pause > deadline:
            return None
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def described(token: str) -> str:
    """What a token says of itself, for people."""
    name, permissions, audience = told_by(token)
    return " ".join(
        part
        for part in (f"{name}:" if name else "", " ".join(permissions), f"for {audience}" if audience else "")
        if part
    )
