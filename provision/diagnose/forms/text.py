"""A diagnosis as text for a terminal."""

from __future__ import annotations

from provision.diagnose.judge import Diagnosis, Finding, Verdict, advice
from provision.diagnose.layers import LAYERS, WAYS

STATES = {
    "open": "mail is let in (tried just now)",
    "free": "nothing stands in the way",
    "stopped": "mail is stopped",
    "unclear": "not known",
}
_TITLES = {layer.id: layer.title for layer in LAYERS}
_MORE = 6
"""Reasons of what is not known that are shown; --json has all."""


def text(diagnosis: Diagnosis) -> str:
    """The verdicts, the causes with their remedies, what weakens, what could not be looked at."""
    lines = [_verdict(verdict) for verdict in diagnosis.verdicts]
    stopping = [one for one in diagnosis.findings if _counts(one, diagnosis)]
    open_ = [one for one in diagnosis.findings if one.rule.severity == "may" and one not in stopping and one.ways]
    others = [one for one in diagnosis.findings if one.rule.severity not in ("stops", "may")]
    lines += ["", *(f"note: {line}" for line in advice(diagnosis))]
    if stopping:
        lines += ["", "Causes, the first refusal first"]
        for number, one in enumerate(stopping, 1):
            lines += ["", *_finding(f"{number}. ", one)]
    if open_:
        lines += ["", "May apply; only an attempt or the sign-in log tells"]
        for one in open_:
            lines += ["", *_finding("? ", one)]
    if others:
        lines += ["", "Besides"]
        for one in others:
            lines += ["", *_finding("- ", one)]
    reasons = list(dict.fromkeys(f"{reason}." for one in diagnosis.skipped for reason in one.missing.values()))
    if reasons:
        lines += ["", f"Not looked at: {len(diagnosis.skipped)} rules, because"]
        lines += [f"  {reason}" for reason in reasons[:_MORE]]
        if len(reasons) > _MORE:
            lines.append(f"  and {len(reasons) - _MORE} reasons more (--json)")
    return "\n".join(lines)


def verdicts(diagnosis: Diagnosis) -> str:
    """The verdicts alone, a line each."""
    return "\n".join(_verdict(verdict) for verdict in diagnosis.verdicts)


def _counts(one: Finding, diagnosis: Diagnosis) -> bool:
    return any(one in verdict.causes for verdict in diagnosis.verdicts)


def _verdict(verdict: Verdict) -> str:
    said = STATES[verdict.state]
    if verdict.state == "stopped":
        said += f" at: {_TITLES[verdict.layer]}" if verdict.layer else ""
    if verdict.state == "unclear":
        said += f", because {verdict.missing[0]}"
        said += f" (and {len(verdict.missing) - 1} more)" if len(verdict.missing) > 1 else ""
    return f"{WAYS[verdict.way]}: {said}"


def _finding(mark: str, one: Finding) -> list[str]:
    names = ", ".join(WAYS[way] for way in one.ways)
    sure = " (the server says so)" if one.confirmed else ""
    pad = " " * len(mark)
    lines = [f"{mark}{one.rule.title} [{one.rule.id}]{sure}", f"{pad}for: {names}"]
    lines += [f"{pad}seen: {line}" for line in one.seen]
    lines.append(f"{pad}do: {one.remedy.say}")
    if one.remedy.portal:
        lines.append(f"{pad}portal: {one.remedy.portal}")
    lines += [f"{pad}PowerShell: {line}" for line in one.remedy.powershell]
    lines += [f"{pad}Graph: {line}" for line in one.remedy.graph]
    if one.remedy.command:
        lines.append(f"{pad}command: {one.remedy.command}")
    if one.rule.fix and one.stack is None:
        lines.append(f"{pad}--fix can do it{f' with {one.rule.flag}' if one.rule.flag else ''}")
    lines.append(f"{pad}more: {one.rule.docs}")
    return lines
