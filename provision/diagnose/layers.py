"""The layers that a mail passes, in the order in which Microsoft refuses at them; the one place that knows the order.

Owns: the order, and which way of sending meets which layer. Does not own: what is wrong at a layer (``rules``).

Microsoft publishes no such order. What is documented: an authentication policy refuses Basic before Exchange asks
Entra for the password ("Disable Basic authentication in Exchange Online": "the connection is blocked before
authentication"); Conditional Access is checked after the first factor ("What is Conditional Access?"); the mailbox's
switch wins over the organization's ("Set-CASMailbox", "Enable or disable SMTP AUTH in Exchange Online"), and both hold
for OAuth too (simonrob/email-oauth2-proxy#193). A redirect URI is compared before the sign-in page is shown, consent is
asked after it ("OAuth 2.0 authorization code flow"), the client secret is looked at when the code is redeemed. The
place of the licence and of the mailbox's type was not read at a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["graph", "smtp-oauth", "smtp-basic", "ews"]
"""How a program hands in mail: Graph ``sendMail``; SMTP submission with OAuth or a password; Exchange Web Services."""

WAYS: dict[Way, str] = {
    "graph": "Microsoft Graph (sendMail)",
    "smtp-oauth": "SMTP with OAuth (SMTP.Send)",
    "smtp-basic": "SMTP with a password",
    "ews": "Exchange Web Services",
}
"""Every way and its name for people, the recommended ones first."""

_ALL: tuple[Way, ...] = ("graph", "smtp-oauth", "smtp-basic", "ews")
_SMTP: tuple[Way, ...] = ("smtp-oauth", "smtp-basic")
_TOKEN: tuple[Way, ...] = ("graph", "smtp-oauth", "ews")


@dataclass(frozen=True)
class Layer:
    """One place at which mail is refused."""

    id: str
    title: str
    """For people, short enough for a picture."""
    ways: tuple[Way, ...]
    """Which ways of sending meet it."""


LAYERS: tuple[Layer, ...] = (
    Layer("network", "Network", _ALL),
    Layer("tls", "TLS", _ALL),
    Layer("retired", "Retired by Microsoft", ("smtp-basic", "ews")),
    Layer("off-by-default", "Basic off by default", ("smtp-basic",)),
    Layer("authentication-policy", "Authentication policy", ("smtp-basic",)),
    Layer("registration", "App registration", _TOKEN),
    Layer("redirect", "Redirect URI", _TOKEN),
    Layer("locked", "Account locked", _ALL),
    Layer("credentials", "Account and password", _ALL),
    Layer("security-defaults", "Security Defaults", ("smtp-basic",)),
    Layer("conditional-access", "Conditional Access", _ALL),
    Layer("mfa", "Second factor (MFA)", ("smtp-basic",)),
    Layer("assignment", "Assignment to the app", _TOKEN),
    Layer("consent", "Consent", _TOKEN),
    Layer("application-off", "Enterprise application", _TOKEN),
    Layer("secret", "Client secret", _TOKEN),
    Layer("token", "Token", _TOKEN),
    Layer("no-mailbox", "Licence and mailbox", _ALL),
    Layer("mailbox-type", "Mailbox type", _SMTP),
    Layer("mailbox-off", "Mailbox switch", _SMTP),
    Layer("organisation-off", "Organization switch", _SMTP),
    Layer("ews-off", "EWS switches", ("ews",)),
    Layer("ews-list", "EWS allow lists", ("ews",)),
    Layer("send-as", "Sender's address", _ALL),
    Layer("restricted-sender", "Restricted sender", _ALL),
    Layer("recipient-quota", "Recipients a day", _ALL),
    Layer("connections", "Connections and rate", _ALL),
)
"""All layers, first refusal first. A way passes those that name it, in this order."""

_POSITION = {layer.id: place for place, layer in enumerate(LAYERS)}


def position(layer: str) -> int:
    """How far a mail has come when it meets a layer; 0 is first.

    Raises:
        KeyError: there is no such layer.
    """
    return _POSITION[layer]


def of_way(way: Way) -> tuple[Layer, ...]:
    """The layers of one way of sending, first refusal first."""
    return tuple(layer for layer in LAYERS if way in layer.ways)
