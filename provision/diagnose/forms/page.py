"""A diagnosis as one self-contained HTML page: verdicts, causes and remedies, pictures of the layers and where mail
stops.

No script, no font and no picture from elsewhere: it opens without a network. Colours follow the reader's scheme; every
state is told by words and signs, too. What to do comes before the pictures, which stand upright: on a phone nobody has
to pass them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from provision.diagnose.forms.text import STATES
from provision.diagnose.judge import Diagnosis, Finding, Verdict, advice
from provision.diagnose.layers import WAYS, of_way, position

_ROW = 28
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --soft: #55555f; --line: #c9c9d1; --card: #f6f6f9;
  --good: #0b6a2f; --bad: #a4161a; --wait: #6b5500; --link: #0b4fa8; }
@media (prefers-color-scheme: dark) { :root { --page: #16161a; --ink: #ececf1; --soft: #b4b4bf; --line: #44444f;
  --card: #202027; --good: #6fd992; --bad: #ff9a9a; --wait: #e8cf6a; --link: #9cc4ff; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
a { color: var(--link); }
code { font: .875rem/1.4 ui-monospace, monospace; white-space: pre-wrap; }
.ways, .layers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); }
.layers { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: 0 0
1rem; } .ways .card, .layers .card { margin: 0; } .card h3 { margin: 0 0 .25rem; } .card p { margin: .25rem 0; }
.soft { color: var(--soft); } .open, .free { color: var(--good); } .stopped { color: var(--bad); }
.unclear { color: var(--wait); } dl { margin: .5rem 0 0; } dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
@media (min-width: 40rem) { dl { display: grid; grid-template-columns: 8rem 1fr; } dt { grid-column: 1; }
  dd { grid-column: 2; } }
svg { width: 100%; max-width: 20rem; height: auto; display: block; margin-top: .5rem; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; } svg .sign { font-weight: 700; }
svg .note { text-anchor: end; font-weight: 700; }
svg rect { fill: none; stroke: var(--line); } svg .passed rect { stroke: var(--good); } svg .passed .sign { fill:
var(--good); } svg .stop rect { stroke: var(--bad); stroke-width: 3; } svg .stop .sign { fill: var(--bad); }
svg .after text { fill: var(--soft); } svg .unseen .sign { fill: var(--wait); }
"""


def page(diagnosis: Diagnosis) -> str:
    """The whole page."""
    facts = diagnosis.facts
    subject = next(
        (each for each in (facts.mailbox.address, facts.registration.name, facts.tenant.id) if isinstance(each, str)),
        "this tenant",
    )
    causes = [one for one in diagnosis.findings if any(one in verdict.causes for verdict in diagnosis.verdicts)]
    open_ = [one for one in diagnosis.findings if one.rule.severity == "may" and one not in causes and one.ways]
    others = [one for one in diagnosis.findings if one.rule.severity not in ("stops", "may")]
    title = f"Why mail does not go out: {subject}" if causes else f"Sending mail: {subject}"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">Looked at {facts.now:%Y-%m-%d %H:%M} UTC by provision diagnose.</p>',
        '<h2>Ways of sending</h2><div class="ways">',
        *(_way(verdict) for verdict in diagnosis.verdicts),
        "</div>",
        "<h2>Good to know first</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in advice(diagnosis)),
        "</ul>",
    ]
    if causes:
        parts += ["<h2>Causes, the first refusal first</h2>", *(_finding(one) for one in causes)]
    if open_:
        parts += ["<h2>May apply; only an attempt or the sign-in log tells</h2>", *(_finding(one) for one in open_)]
    parts += ['<h2>Layer by layer, from the top</h2><div class="layers">']
    parts += [*(_layers(verdict, diagnosis) for verdict in diagnosis.verdicts), "</div>"]
    if others:
        parts += ["<h2>Besides</h2>", *(_finding(one) for one in others)]
    reasons = list(dict.fromkeys(reason for one in diagnosis.skipped for reason in one.missing.values()))
    if reasons:
        parts += [f"<h2>Not looked at: {len(diagnosis.skipped)} rules</h2><ul>"]
        parts += [*(f"<li>{escape(reason)}.</li>" for reason in reasons), "</ul>"]
    return "\n".join([*parts, "</main></body></html>"]) + "\n"


def _way(verdict: Verdict) -> str:
    """One verdict as a card, which leads to the first cause."""
    title = next((layer.title for layer in of_way(verdict.way) if layer.id == verdict.layer), "")
    said = STATES[verdict.state] + (f" at: {title}" if title else "")
    said += f", because {verdict.missing[0]}" if verdict.missing else ""
    cause = verdict.causes[0].rule.id if verdict.causes else ""
    link = f'<p><a href="#{escape(cause)}">The cause, and what to do</a></p>' if cause else ""
    return (
        f'<section class="card"><h3>{escape(WAYS[verdict.way])}</h3>'
        f'<p class="{verdict.state}">{escape(said[0].upper() + said[1:])}.</p>{link}</section>'
    )


def _layers(verdict: Verdict, diagnosis: Diagnosis) -> str:
    name = escape(WAYS[verdict.way])
    return f'<section class="card"><h3>{name}</h3>{_picture(verdict, diagnosis)}</section>'


def _picture(verdict: Verdict, diagnosis: Diagnosis) -> str:
    """The layers that a mail passes, from the top; the one that stops it is marked, what comes after it is pale."""
    layers = of_way(verdict.way)
    unseen = {
        one.rule.layer for one in diagnosis.skipped if one.rule.severity == "stops" and verdict.way in one.rule.ways
    }
    further = {one.rule.layer for one in verdict.causes}
    may = {one.rule.layer for one in diagnosis.findings if one.rule.severity == "may" and verdict.way in one.ways}
    rows = []
    for number, layer in enumerate(layers):
        kind, sign, note = "passed", "\N{CHECK MARK}", ""
        if verdict.state == "open":
            pass
        elif layer.id == verdict.layer:
            kind, sign, note = "stop", "\N{MULTIPLICATION X}", "stops here"
        elif layer.id in further:
            kind, sign, note = "stop", "!", "also stops"
        elif verdict.layer is not None and position(layer.id) > position(verdict.layer):
            kind, sign = "after", "\N{MIDDLE DOT}"
        elif layer.id in may or layer.id in unseen:
            kind, sign, note = "unseen", "?", "may stop it" if layer.id in may else "not known"
        top = number * _ROW
        rows.append(
            f'<g class="{kind}"><rect x="2" y="{top + 2}" width="284" height="{_ROW - 6}" rx="6"/>'
            f'<text class="sign" x="12" y="{top + 18}">{sign}</text>'
            f'<text x="32" y="{top + 18}">{escape(layer.title)}</text>'
            f'<text class="sign note" x="278" y="{top + 18}">{note}</text></g>'
        )
    stop = next((layer.title for layer in layers if layer.id == verdict.layer), None)
    label = f"{len(layers)} layers from the top; " + (f"mail stops at {stop}" if stop else "none is known to stop mail")
    height = len(layers) * _ROW
    return f'<svg viewBox="0 0 288 {height}" role="img" aria-label="{escape(label)}">{"".join(rows)}</svg>'


_VERBS = {"stops": "Stops", "may": "May stop"}


def _finding(one: Finding) -> str:
    """One cause as a card."""
    rows: dict[str, Sequence[str]] = {
        _VERBS.get(one.rule.severity, "Touches"): [WAYS[way] for way in one.ways],
        "Seen": one.seen,
        "What to do": [one.remedy.say],
        "In the portal": [one.remedy.portal],
    }
    shown = ""
    for name, values in rows.items():
        told = "".join(f"<dd>{escape(value)}</dd>" for value in values if value)
        shown += f"<dt>{name}</dt>{told}" if told else ""
    written = {"PowerShell": one.remedy.powershell, "Graph": one.remedy.graph, "Command": (one.remedy.command,)}
    for name, lines in written.items():
        code = "<br>".join(f"<code>{escape(line)}</code>" for line in lines if line)
        shown += f"<dt>{name}</dt><dd>{code}</dd>" if code else ""
    shown += f'<dt>More</dt><dd><a href="{escape(one.rule.docs)}">{escape(one.rule.docs)}</a></dd>'
    sure = ' <span class="soft">(the server says so)</span>' if one.confirmed else ""
    return (
        f'<section class="card" id="{escape(one.rule.id)}"><h3>{escape(one.rule.title)}{sure}</h3>'
        f'<p class="soft"><code>{escape(one.rule.id)}</code></p><dl>{shown}</dl></section>'
    )
