"""Rules made of ``codes``: one for each answer of a server, for what no fact in the tenant's settings explains.

A wrong password, a locked account, a sender without Send As permission, a quota: only the answer tells. Where a setting
explains it, too, the judge tells that cause and takes the answer as its evidence.
"""

from __future__ import annotations

from provision.diagnose.codes import CODES, Code
from provision.diagnose.facts import Answer
from provision.diagnose.layers import LAYERS, WAYS, Way
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_WAYS = {layer.id: layer.ways for layer in LAYERS}
_LINKS = {
    "entra": "https://login.microsoftonline.com/error?code={}",
    "google": "https://support.google.com/a/answer/3726730",
    "graph": "https://learn.microsoft.com/graph/errors",
    "ews": "https://learn.microsoft.com/exchange/client-developer/exchange-web-services/how-to-control-access-to-ews-in-exchange",
}
_SMTP = (
    "https://learn.microsoft.com/exchange/mail-flow-best-practices/"
    "fix-issues-with-printers-scanners-and-lob-applications-that-send-email-using-off"
)


def of_code(code: Code) -> Rule:
    """The rule of one answer."""

    def met(attempt_answers: tuple[Answer, ...]) -> Seen:
        seen = [f"{answer.where}: {answer.said}" for answer in attempt_answers if code.id in answer.codes]
        return tuple(dict.fromkeys(seen)) or None

    met.__doc__ = f"Source: {code.source if code.source != 'ref' else 'Microsoft Entra error codes'}."
    link = _LINKS.get(code.family, _SMTP).format(code.id.removeprefix("AADSTS"))
    return rule(
        id=code.id,
        family=f"answers: {code.family}",
        title=code.means.rstrip("."),
        severity="stops",
        ways=_ways(code),
        layer=code.layers[0] if code.layers else None,
        remedy=Remedy(code.remedy),
        docs=link,
    )(met)


def _ways(code: Code) -> tuple[Way, ...]:
    if code.family in {"smtp", "google"}:
        return ("smtp-oauth", "smtp-basic")
    if code.family in {"graph", "ews"}:
        return tuple(way for way in WAYS if way == code.family)
    met = {way for layer in code.layers for way in _WAYS[layer]}
    return tuple(way for way in WAYS if way in met) or tuple(WAYS)


RULES: tuple[Rule, ...] = tuple(of_code(code) for code in CODES)
