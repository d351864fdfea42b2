"""Rules about what Microsoft retires, by today's date.

Sources: "Updated Exchange Online SMTP AUTH Basic Authentication deprecation timeline" (techcommunity 4489835, January
2026): off by default for existing tenants at the end of December 2026, the date of removal to be announced in the
second half of 2027; MC1227454: Exchange Web Services off from 1 October 2026 in phases, for good from 1 April 2027.
How an administrator gets Basic back after December 2026 is not published.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from provision.diagnose.facts import NotKnown
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

BASIC_OFF_BY_DEFAULT = datetime(2026, 12, 31, tzinfo=UTC)
EWS_PHASED_OUT = datetime(2026, 10, 1, tzinfo=UTC)
"""The day from which an empty ``EwsEnabled`` counts as off (``rules.ews``)."""
EWS_GONE = datetime(2027, 4, 1, tzinfo=UTC)
_BASIC = (
    "https://techcommunity.microsoft.com/blog/exchange/"
    "updated-exchange-online-smtp-auth-basic-authentication-deprecation-timeline/4489835"
)
_EWS = "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-ews-exchange-online"
_GRAPH = "Move the product to Microsoft Graph (provision up makes the app registration), or to SMTP with OAuth."


@rule(
    id="basic-smtp-off-by-default",
    family="calendar",
    title="Microsoft has switched passwords over SMTP off by default",
    severity="stops",
    ways=("smtp-basic",),
    layer="off-by-default",
    remedy=Remedy(
        f"{_GRAPH} An administrator can still switch Basic SMTP on again until its removal, says Microsoft; how is not "
        "published. Where it was done, say --basic-smtp-kept.",
        better=True,
    ),
    docs=_BASIC,
)
def basic_smtp_off_by_default(
    now: datetime, tenant_basic_kept: bool | NotKnown, attempt_works: tuple[str, ...] | NotKnown
) -> Seen:
    """From the end of December 2026 Exchange Online refuses passwords over SMTP unless they were switched on again."""
    works = isinstance(attempt_works, tuple) and "smtp-basic" in attempt_works
    if now < BASIC_OFF_BY_DEFAULT or tenant_basic_kept is True or works:
        return None
    return f"Today is {now:%Y-%m-%d}; passwords over SMTP are off by default since {BASIC_OFF_BY_DEFAULT:%Y-%m-%d}."


@rule(
    id="basic-smtp-ends",
    family="calendar",
    title="Passwords over SMTP end",
    severity="ends",
    ways=("smtp-basic",),
    remedy=Remedy(_GRAPH, better=True),
    docs=_BASIC,
)
def basic_smtp_ends(now: datetime) -> Seen:
    """Off by default at the end of December 2026; the date of removal is announced in the second half of 2027."""
    if now >= BASIC_OFF_BY_DEFAULT:
        return "The date of removal will be announced in the second half of 2027; app passwords end with it."
    left = (BASIC_OFF_BY_DEFAULT - now) // timedelta(days=1)
    return (
        f"Off by default from {BASIC_OFF_BY_DEFAULT:%Y-%m-%d}, in {left} days, for app passwords, too.",
        "The date of removal will be announced in the second half of 2027.",
    )


@rule(
    id="ews-retired",
    family="calendar",
    title="Microsoft has retired Exchange Web Services",
    severity="stops",
    ways=("ews",),
    layer="retired",
    remedy=Remedy(f"{_GRAPH} The company's own Exchange servers keep EWS."),
    docs=_EWS,
)
def ews_retired(now: datetime) -> Seen:
    """From 1 April 2027 there is no exception."""
    return f"Today is {now:%Y-%m-%d}; EWS is gone since {EWS_GONE:%Y-%m-%d}." if now >= EWS_GONE else None


@rule(
    id="ews-ends",
    family="calendar",
    title="Exchange Web Services end",
    severity="ends",
    ways=("ews",),
    remedy=Remedy(_GRAPH),
    docs=_EWS,
)
def ews_ends(now: datetime) -> Seen:
    """Phased out from 1 October 2026, gone on 1 April 2027; the company's own servers are not affected."""
    if now >= EWS_GONE:
        return None
    return (
        f"EWS in Exchange Online ends for good on {EWS_GONE:%Y-%m-%d}, in {(EWS_GONE - now) // timedelta(days=1)} days."
    )


RULES: tuple[Rule, ...] = (basic_smtp_off_by_default, basic_smtp_ends, ews_retired, ews_ends)
