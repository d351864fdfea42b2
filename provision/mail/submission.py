"""Proof by SMTP: the dialogue of ``mail.smtp`` as steps, by a password or as the user with OAuth.

Owns: which token SMTP takes, and saying so where there is none. Does not own: the dialogue (``smtp``).
"""

from __future__ import annotations

from provision.errors import ConsentPending
from provision.mail.graph import described
from provision.mail.letter import Letter
from provision.mail.smtp import Login, Name, Password, Token, converse
from provision.mail.timeline import Outcome, Stage, Timeline
from provision.microsoft.product_sign_in import UserSignIn, told_by
from provision.settings.endpoints import Endpoints

_TITLES: dict[Name, str] = {
    "connect": "connection",
    "hello": "EHLO",
    "starttls": "STARTTLS",
    "auth": "AUTH",
    "sender": "MAIL FROM",
    "recipient": "RCPT TO",
    "data": "DATA",
}
_OUTLOOK_APP_ID = "00000002-0000-0ff1-ce00-000000000000"
_AUDIENCES = frozenset({"https://outlook.office.com", "https://outlook.office365.com", _OUTLOOK_APP_ID})
_BETTER = (
    "Send through Microsoft Graph: it needs neither SMTP.Send nor SMTP AUTH. Only where SMTP must be: Entra admin "
    "center > App registrations > the application > API permissions > Add a permission > APIs my organization uses > "
    "Office 365 Exchange Online > Delegated > SMTP.Send > Grant admin consent."
)


def token_for_smtp(timeline: Timeline, sign_in: UserSignIn, endpoints: Endpoints, user: str) -> Token:
    """The user's token for SMTP, where the registration may have one."""

    def asked() -> str:
        try:
            return sign_in.token(endpoints.smtp_scope)
        except ConsentPending as missing:
            code = missing.message.partition("AADSTS")[2].split(":")[0].split(")")[0]
            raise ConsentPending(
                f"The registration has no SMTP.Send with consent (Entra error {code}); the Mail.Send that it has is "
                "Microsoft Graph's, which SMTP does not take.",
                remedy=_BETTER,
            ) from None

    return Token(user, timeline.take("smtp", "token with SMTP.Send", asked, described))


def send(timeline: Timeline, login: Login, letter: Letter, endpoints: Endpoints) -> None:
    """Hands the letter in; each command with its answer is a step."""
    dialogue = converse(endpoints.smtp_host, endpoints.smtp_port, login=login, letter=letter, ca_file=endpoints.ca_file)
    greeting = 0.0
    for step in dialogue.steps:
        if step.name == "hello" and step.accepted:
            greeting += step.seconds
            continue
        name, seconds = _TITLES[step.name], step.seconds + greeting
        greeting = 0.0
        if step.name == "auth":
            name = "AUTH XOAUTH2" if isinstance(login, Token) else "AUTH with the password"
        if step.accepted:
            timeline.note(Stage("smtp", name, Outcome.DONE, seconds, step.reply))
            continue
        remedy = _wrong_token(login, endpoints) if step.name == "auth" else ""
        timeline.refuse("smtp", name, step.reply, remedy, seconds=seconds, exact=bool(remedy))


def _wrong_token(login: Login, endpoints: Endpoints) -> str:
    """What to do about a token that is for something else; empty when that is not what is wrong."""
    if isinstance(login, Password):
        return ""
    _, permissions, audience = told_by(login.value)
    fits = audience.rstrip("/") in _AUDIENCES | {endpoints.smtp_resource}
    if not audience or (fits and any(one.lower() == "smtp.send" for one in permissions)):
        return ""
    held = " ".join(permissions) or "no permission"
    return f"The token is for {audience}, with {held}: SMTP takes one with SMTP.Send of Outlook. {_BETTER}"
