"""From facts to causes: every rule that can be asked is asked, and what stops mail first comes first.

Owns: skipping, what confirms what, the ranking and the verdict for each way of sending. Does not own: the causes
(``rules``), the order of the layers (``layers``), wording of whole reports (``forms``). Pure.

Ranking: an attempt that got through beats everything; a cause that a server's answer names comes before one that only
settings show; of equals the one at the earlier layer, a certain one first. What only may stop mail (a policy that looks
at the place, say) is a cause where an answer says the same, and else leaves the verdict open. An answer can come from
several layers ("the user credentials were incorrect"); the settings, and further answers such as the sign-in log's,
choose among them. Where nothing does, the answer is told as the cause itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from provision.diagnose.codes import BY_ID
from provision.diagnose.facts import AUXILIARY, Facts
from provision.diagnose.layers import LAYERS, Way, position
from provision.diagnose.rules import RULES
from provision.diagnose.rules.calendar import BASIC_OFF_BY_DEFAULT, EWS_GONE
from provision.diagnose.rules.rule import Remedy, Rule, Severity

State = Literal["open", "free", "stopped", "unclear"]
"""Mail was let in just now; nothing stands in the way; a cause was found; something needed could not be read."""

_ORDER: dict[Severity, int] = {"stops": 0, "may": 1, "ends": 2, "weakens": 3, "note": 4}
_STOPPING: tuple[Severity, ...] = ("stops", "may")
_LAST = len(LAYERS)
GRAPH_NEEDS_NO_SMTP = (
    "Sending through Microsoft Graph needs no SMTP AUTH: no switch of the mailbox or the organization, no app "
    "password, nothing that Security Defaults or a policy against legacy authentication block."
)


@dataclass(frozen=True)
class Finding:
    """One cause that is there."""

    rule: Rule
    seen: tuple[str, ...]
    remedy: Remedy
    """The rule's, with this tenant's names in it."""
    confirmed: tuple[Way, ...] = ()
    """For which ways a server's answer says the same."""
    refuted: tuple[Way, ...] = ()
    """For which ways an attempt got through all the same."""
    stack: str | None = None
    """The stack whose program says how this is to be; None where no stack does."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways of sending that it stops, or touches."""
        return tuple(way for way in self.rule.ways if way not in self.refuted)


@dataclass(frozen=True)
class Skipped:
    """A rule that could not be asked."""

    rule: Rule
    missing: Mapping[str, str]
    """The facts that are not known, and why."""


@dataclass(frozen=True)
class Verdict:
    """What is known about one way of sending."""

    way: Way
    state: State
    causes: tuple[Finding, ...] = ()
    """What stops it, the first refusal first."""
    missing: tuple[str, ...] = ()
    """Why it is unclear: reasons, each once; what could not be read before what may stop mail."""

    @property
    def layer(self) -> str | None:
        """Where mail stops; None when it does not."""
        return self.causes[0].rule.layer if self.causes else None


@dataclass(frozen=True)
class Diagnosis:
    """The whole judgement."""

    facts: Facts
    verdicts: tuple[Verdict, ...]
    """One for each way that was asked about, in the order of ``WAYS``."""
    findings: tuple[Finding, ...]
    """Everything that was found for these ways, the most urgent first."""
    skipped: tuple[Skipped, ...]
    passed: tuple[Rule, ...] = field(default=())
    """The rules that found nothing."""

    @property
    def can_send(self) -> bool:
        """Whether mail can be sent by at least one of the ways that were asked about."""
        return any(verdict.state in ("open", "free") for verdict in self.verdicts)

    @property
    def is_stopped(self) -> bool:
        """Whether a cause was found for every way that was asked about."""
        return all(verdict.state == "stopped" for verdict in self.verdicts)


def judge(facts: Facts, ways: Iterable[Way], rules: Iterable[Rule] = RULES) -> Diagnosis:
    """Judges.

    Args:
        facts: all that is known.
        ways: which ways of sending are asked about.
        rules: which rules to ask.
    """
    asked = tuple(dict.fromkeys(ways))
    found: list[Finding] = []
    skipped: list[Skipped] = []
    passed: list[Rule] = []
    for rule in rules:
        if not set(rule.ways) & set(asked):
            continue
        if missing := rule.missing(facts):
            skipped.append(Skipped(rule, missing))
        elif (seen := rule.look(facts)) is not None:
            stack = _stack(rule, facts)
            found.append(Finding(rule, seen, _filled(rule.remedy, facts, stack), stack=stack))
        else:
            passed.append(rule)
    works = facts.attempt.works if isinstance(facts.attempt.works, tuple) else ()
    refuting = tuple(way for way in asked if way in works)
    findings = [replace(one, refuted=refuting) if one.rule.severity in _STOPPING else one for one in found]
    for way in asked:
        findings = _weighed(findings, way, facts)
    findings = [one for one in findings if one.rule.id not in BY_ID or set(one.ways) & set(asked)]
    verdicts = tuple(_verdict(way, findings, skipped, way in works) for way in asked)
    return Diagnosis(facts, verdicts, tuple(_ranked(findings, asked)), tuple(skipped), tuple(passed))


def _weighed(findings: list[Finding], way: Way, facts: Facts) -> list[Finding]:
    """Marks what the answers of one way confirm, and takes that way from answers that a setting explains."""
    told = _layers_told(way, facts)
    answers = {one.rule.id for one in findings if one.rule.id in BY_ID}
    explained: set[str] = set()
    weighed = []
    for one in findings:
        layer = one.rule.layer
        if one.rule.id not in answers and one.rule.severity in _STOPPING and way in one.ways and layer in told:
            explained |= {code for code in answers if layer in BY_ID[code].layers}
            seen = tuple(dict.fromkeys((*one.seen, *_said(layer, way, facts))))
            weighed.append(replace(one, confirmed=(*one.confirmed, way), seen=seen))
        else:
            weighed.append(one)
    result = []
    for one in weighed:
        if one.rule.id not in answers or way not in one.ways:
            result.append(one)
            continue
        code = one.rule.id
        stands = _is_about(code, way, facts) and code not in explained and not _is_vaguer(code, answers, told)
        result.append(
            replace(one, confirmed=(*one.confirmed, way)) if stands else replace(one, refuted=(*one.refuted, way))
        )
    return result


def _layers_told(way: Way, facts: Facts) -> frozenset[str]:
    """The layers from which the answers about a way can all have come; the most exact answer counts first."""
    here = {layer.id for layer in LAYERS if way in layer.ways}
    sets = [
        frozenset(layer for code in answer.codes[:1] for layer in BY_ID[code].layers if layer in here)
        for answer in facts.attempt.answers
        if answer.way in ("", way)
    ]
    told: frozenset[str] = frozenset()
    for layers in sorted((each for each in sets if each), key=len):
        told = (told & layers) or told if told else layers
    return told


def _said(layer: str, way: Way, facts: Facts) -> list[str]:
    return [
        f"{answer.where}: {answer.said}"
        for answer in facts.attempt.answers
        if answer.way in ("", way) and any(layer in BY_ID[code].layers for code in answer.codes)
    ]


def _is_about(code: str, way: Way, facts: Facts) -> bool:
    return any(code in answer.codes and answer.way in ("", way) for answer in facts.attempt.answers)


def _is_vaguer(code: str, answers: set[str], told: frozenset[str]) -> bool:
    """Whether another answer says more exactly what this one says, or this one says nothing by itself."""
    layers = set(BY_ID[code].layers)
    others = [set(BY_ID[other].layers) for other in answers - {code}]
    if not layers:
        return any(others)
    return any(other and other < layers for other in others) or (bool(told) and not layers & told)


def _verdict(way: Way, findings: list[Finding], skipped: list[Skipped], works: bool) -> Verdict:
    mine = [one for one in findings if one.rule.severity in _STOPPING and way in one.ways]
    causes = _ranked([one for one in mine if one.rule.severity == "stops" or way in one.confirmed], (way,))
    if works:
        return Verdict(way, "open")
    if causes:
        return Verdict(way, "stopped", tuple(causes))
    missing = [
        reason
        for one in skipped
        if one.rule.severity == "stops" and one.rule.layer is not None and way in one.rule.ways
        for name, reason in one.missing.items()
        if not set(one.missing) & set(AUXILIARY)
    ]
    missing += [f"this may apply: {one.rule.title}" for one in _ranked(mine, (way,))]
    if missing:
        return Verdict(way, "unclear", missing=tuple(dict.fromkeys(missing)))
    return Verdict(way, "free")


def _ranked(findings: Iterable[Finding], ways: tuple[Way, ...]) -> list[Finding]:
    def rank(one: Finding) -> tuple[bool, int, bool, int, bool, str]:
        confirmed = any(way in one.confirmed for way in ways)
        place = _LAST if one.rule.layer is None else position(one.rule.layer)
        dead = not set(one.ways) & set(ways)
        may = one.rule.severity == "may"
        order = _ORDER["stops" if may and confirmed else one.rule.severity]
        return (dead, order, not confirmed, place, may, one.rule.id)

    return sorted(findings, key=rank)


def _stack(rule: Rule, facts: Facts) -> str | None:
    """Whose program says how this is to be: of the registration its own, of a mailbox that of its switch.

    A stack's program consents for Microsoft Graph alone, so that consent to SMTP.Send is nobody else's.
    """
    if rule.remedy.up is None:
        return None
    stack = facts.registration.stack if rule.family == "registration" else facts.mailbox.stack
    return stack if isinstance(stack, str) else None


def _filled(remedy: Remedy, facts: Facts, stack: str | None) -> Remedy:
    """The remedy with this tenant's names; what is not known stays a word in capitals.

    What a stack owns is put right by its program: ``provision up`` compares with Pulumi's state, which does not have
    what somebody clicked before ``provision refresh`` has read it.
    """
    blocking = facts.tenant.legacy_blocked_by
    registration = facts.registration
    client_id = _text(registration.client_id) or "CLIENT-ID"
    whole = registration.stack if isinstance(registration.stack, str) else None
    names = {
        "mailbox": facts.mailbox.address if isinstance(facts.mailbox.address, str) else "USER@DOMAIN",
        "client": _text(registration.name) or _text(registration.client_id) or "the application",
        "client_id": client_id,
        "which": f"--stack {whole}" if whole else f"--client-id {client_id} --sink KIND:PLACE",
        "redirect": _text(registration.wanted_redirect) or "the address that the product shows",
        "policy": blocking[0] if isinstance(blocking, tuple) and blocking else "POLICY",
        "domain": _text(facts.domain.name) or "DOMAIN",
    }

    def fill(text: str) -> str:
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        return text

    up = f"provision refresh --stack {stack} && provision up --stack {stack} {remedy.up}".rstrip()
    return replace(
        remedy,
        say=fill(remedy.say),
        portal=fill(remedy.portal),
        powershell=tuple(fill(line) for line in remedy.powershell),
        graph=tuple(fill(line) for line in remedy.graph),
        command=fill(remedy.command) if stack is None else up,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def advice(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What is said before any remedy that lowers security: the better ways out, and until when the others last."""
    asked = {verdict.way: verdict for verdict in diagnosis.verdicts}
    lines = [GRAPH_NEEDS_NO_SMTP]
    if any(one.remedy.better and set(one.ways) & set(asked) for one in diagnosis.findings):
        lines.append(
            "Better than switching security off: send through Microsoft Graph (Mail.Send; provision up sets it up), or "
            "through SMTP with OAuth (SMTP.Send), which needs the mailbox's switch and no password."
        )
    if "smtp-basic" in asked:
        lines.append(basic_calendar(diagnosis.facts.now))
    if "ews" in asked:
        lines.append(f"Exchange Web Services in Exchange Online end for good on {EWS_GONE:%Y-%m-%d}.")
    return tuple(lines)


def basic_calendar(now: datetime) -> str:
    """What Microsoft's calendar says about passwords over SMTP today."""
    if now < BASIC_OFF_BY_DEFAULT:
        when = f"are off by default from {BASIC_OFF_BY_DEFAULT:%Y-%m-%d} on"
    else:
        when = f"are off by default since {BASIC_OFF_BY_DEFAULT:%Y-%m-%d}"
    return f"Passwords over SMTP {when}; the date of their removal is announced in the second half of 2027."
