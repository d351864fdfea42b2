"""Rules about the access token that is given to SMTP."""

from __future__ import annotations

from datetime import datetime

from provision.diagnose.facts import NotKnown
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_OAUTH = (
    "https://learn.microsoft.com/exchange/client-developer/legacy-protocols/"
    "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth"
)
_ASK = "Ask for the scope https://outlook.office.com/SMTP.Send (and offline_access), as the mailbox's own user."
_OUTLOOK = ("https://outlook.office.com", "https://outlook.office365.com", "00000002-0000-0ff1-ce00-000000000000")
_GRAPH = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")


@rule(
    id="token-for-graph",
    family="token",
    title="The token is for Microsoft Graph, SMTP wants one for Outlook",
    severity="stops",
    ways=("smtp-oauth",),
    layer="token",
    remedy=Remedy(f"{_ASK} A token for Graph sends through Graph (sendMail), which needs no SMTP at all."),
    docs=_OAUTH,
)
def token_for_graph(token_audience: str) -> Seen:
    """The classic mix-up: Mail.Send of Graph and SMTP.Send of Outlook are two permissions of two resources."""
    audience = token_audience.rstrip("/")
    if audience in _OUTLOOK:
        return None
    whose = "Microsoft Graph" if audience in _GRAPH else audience
    return f"The token's audience is {whose}."


@rule(
    id="token-without-smtp",
    family="token",
    title="The token lacks SMTP.Send",
    severity="stops",
    ways=("smtp-oauth",),
    layer="token",
    remedy=Remedy(_ASK, portal="https://entra.microsoft.com > App registrations > {client} > API permissions"),
    docs=_OAUTH,
)
def token_without_smtp(token_permissions: tuple[str, ...]) -> Seen:
    """Exchange Online looks for SMTP.Send (a user's token) or SMTP.SendAsApp (an application's own)."""
    if {"SMTP.Send", "SMTP.SendAsApp"} & set(token_permissions):
        return None
    return f"The token's permissions are {', '.join(token_permissions) or 'none'}."


@rule(
    id="token-expired",
    family="token",
    title="The token has expired",
    severity="stops",
    ways=("smtp-oauth",),
    layer="token",
    remedy=Remedy("Get a fresh one with the refresh token before each connection; tokens live for about an hour."),
    docs=_OAUTH,
)
def token_expired(token_ends: datetime, now: datetime) -> Seen:
    """An expired token is refused like a wrong one, with 535 5.7.3."""
    return f"It ended at {token_ends:%Y-%m-%d %H:%M} UTC." if token_ends <= now else None


@rule(
    id="token-of-another-user",
    family="token",
    title="The token is another user's",
    severity="stops",
    ways=("smtp-oauth",),
    layer="token",
    remedy=Remedy(
        "Sign in as the mailbox that sends, not as the administrator; or give that user Full Access and Send As."
    ),
    docs=_OAUTH,
)
def token_of_another_user(token_user: str, mailbox_address: str | NotKnown) -> Seen:
    """The name in XOAUTH2 and the token must belong together (tarickb/sasl-xoauth2#43)."""
    if not token_user or not isinstance(mailbox_address, str) or token_user.lower() == mailbox_address.lower():
        return None
    return f"The token is for {token_user}."


RULES: tuple[Rule, ...] = (token_for_graph, token_without_smtp, token_expired, token_of_another_user)
