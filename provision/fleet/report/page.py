"""A fleet's view as one self-contained HTML page, written in pieces.

No font, picture or script from elsewhere: it opens without a network. Its own style and script are allowed by their
hashes and nothing else is (Content-Security-Policy in a ``meta``), so that a name or a message that got past the
escaping still could not run. Without the script everything stands there; with it the table sorts and filters. Colours
follow the reader's scheme; every state is told by a word and a sign, too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from provision.fleet.forms import why
from provision.fleet.outcome import Status
from provision.fleet.report.view import Cause, Ran, Row, RuleFound, Span, View

_CLASS: Mapping[str, str] = {"failed": "f", "pending": "p", "not-tried": "n", "changed": "c", "unchanged": "u"}
_SIGN: Mapping[Status, str] = {
    "failed": "\N{MULTIPLICATION X}",
    "pending": "!",
    "not-tried": "?",
    "changed": "+",
    "unchanged": "\N{CHECK MARK}",
}
_WORD: Mapping[Status, str] = {
    "failed": "failed",
    "pending": "not as it should be",
    "not-tried": "not tried",
    "changed": "put right",
    "unchanged": "as it should be",
}
_HEADS = ("Tenant", "State", "What", "Secret ends", "Seen (UTC)", "Last runs")
_SHOWN = 12
"""Keys that are named beside a rule or a cause; the table finds the others."""
_CAUSES = 100
_ROW, _LABEL, _WIDTH = 24, 116, 360
_SAID = 4
"""Sentences that a row of the table shows at once."""


def page(view: View) -> Iterator[str]:
    """The page's parts, in order."""
    style, script = _own("page.css"), _own("page.js")
    title = escape(f"{view.fleet}: {len(view.rows)} {'tenant' if len(view.rows) == 1 else 'tenants'}")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    of = f"Run {view.run.id} ({view.run.action}) alone. " if view.run else ""
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title><style>{style}</style></head><body><main>\n<h1>{title}</h1>\n"
        f'<p class="soft">{escape(of)}Made {view.made:%Y-%m-%d %H:%M} UTC by provision fleet report.</p>\n'
    )
    yield _counts(view)
    yield _contents()
    yield from _failures(view.causes())
    yield from _drift(view)
    yield from _rules(view.rules())
    yield _timeline(view.timeline(), sum(row.secret_ends is not None for row in view.rows))
    yield from _runs(view.runs)
    yield from _table(view.rows)
    yield f"</main><script>{script}</script></body></html>\n"


def _own(name: str) -> str:
    return files("provision.fleet.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _counts(view: View) -> str:
    cards = "".join(
        f'<p><b class="{_CLASS[state]}">{_SIGN[state]} {count}</b> {_WORD[state]}</p>'
        for state, count in view.counts.items()
    )
    return f'<div class="counts">{cards}</div>\n'


def _contents() -> str:
    parts = ("failed", "drift", "rules", "ends", "history", "all")
    names = ("Failed", "Drift", "Findings by rule", "Secrets' ends", "Runs", "All tenants")
    links = "".join(f'<li><a href="#{part}">{name}</a></li>' for part, name in zip(parts, names, strict=True))
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>\n'


def _failures(causes: Sequence[Cause]) -> Iterator[str]:
    yield '<h2 id="failed">Failed</h2>\n'
    if not causes:
        yield "<p>Nothing that failed stands.</p>\n"
    for cause in causes[:_CAUSES]:
        failure = cause.failure
        yield (
            f'<section class="card"><h3 class="f">{escape(failure.message)}</h3><p>{escape(failure.remedy)}</p>'
            f'<p class="soft"><code>{escape(failure.kind)}</code>, {escape(cause.action)}, '
            f"{_keys(cause.keys)}</p></section>\n"
        )
    if len(causes) > _CAUSES:
        yield f"<p>And {len(causes) - _CAUSES} more causes; the table has them.</p>\n"


def _drift(view: View) -> Iterator[str]:
    rows = view.drifted
    yield '<h2 id="drift">Drift</h2>\n'
    if not rows:
        yield "<p>No tenant is known to differ from what its row asks for.</p>\n"
        return
    verdicts: dict[str, list[str]] = {}
    for row in rows:
        for one in row.standing:
            if one.outcome.status == "pending" and one.outcome.verdict:
                verdicts.setdefault(one.outcome.verdict, []).append(row.key)
                break
    yield "<ul>"
    for verdict, keys in sorted(verdicts.items()):
        yield f'<li><strong class="p">{escape(verdict)}</strong>: {_keys(keys)}</li>'
    yield "</ul>\n"


def _rules(rules: Sequence[RuleFound]) -> Iterator[str]:
    yield '<h2 id="rules">Findings by rule</h2>\n'
    if not rules:
        yield "<p>Nothing was found.</p>\n"
        return
    kinds = {"error": "f", "warning": "p", "note": "soft"}
    for one in rules:
        yield (
            f'<section class="card"><h3><code>{escape(one.rule)}</code> '
            f'<span class="{kinds[one.severity]}">{one.severity}</span>: {len(one.keys)}</h3>'
            f"<p>{escape(one.example.message)}</p><p>{escape(one.example.remedy)}</p>"
            f'<p class="soft">{_keys(one.keys)} <a href="#all" data-find="{escape(one.rule)}">in the table</a></p>'
            "</section>\n"
        )


def _keys(keys: Sequence[str]) -> str:
    named = ", ".join(escape(key) for key in keys[:_SHOWN])
    return named + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")


def _timeline(spans: Sequence[Span], known: int) -> str:
    """Bars from the top, the next weeks first; a bar's tooltip names the tenants."""
    head = '<h2 id="ends">When secrets end</h2>\n'
    if not known:
        return head + "<p>No secret's end is known.</p>\n"
    most = max(len(span.keys) for span in spans)
    rows = []
    for number, span in enumerate(spans):
        top = number * _ROW
        width = round((_WIDTH - _LABEL - 50) * len(span.keys) / most, 1)
        kind = ("f" if number == 0 else "p") if span.soon else "later"
        count = str(len(span.keys)) if span.keys else ""
        rows.append(
            f'<g><title>{_keys(span.keys)}</title><text x="0" y="{top + 16}">{escape(span.label)}</text>'
            f'<rect class="{kind}" x="{_LABEL}" y="{top + 4}" width="{width}" height="{_ROW - 8}" rx="3"/>'
            f'<text x="{_LABEL + width + 6}" y="{top + 16}">{count}</text></g>'
        )
    soon = sum(len(span.keys) for span in spans if span.soon)
    label = f"{known} secrets: {len(spans[0].keys)} have ended, {soon - len(spans[0].keys)} end within five weeks"
    return (
        f'{head}<p class="soft">{label}.</p>\n<svg class="line" viewBox="0 0 {_WIDTH} {len(spans) * _ROW}" role="img" '
        f'aria-label="{label}">{"".join(rows)}</svg>\n'
    )


def _runs(runs: Sequence[Ran]) -> Iterator[str]:
    yield '<h2 id="history">Runs</h2>\n'
    if not runs:
        yield "<p>No run yet.</p>\n"
        return
    yield '<table id="runs"><caption>The newest first; better and worse than the run of the same action before.'
    heads = ("Run", "Action", "Begun (UTC)", "Took", "Tenants", "Better", "Worse")
    yield f"</caption><thead><tr>{''.join(f'<th scope=col>{head}' for head in heads)}</thead><tbody>\n"
    for ran in runs:
        run = ran.run
        took = f"{(run.ended - run.begun).total_seconds():.0f} s" if run.ended else "not ended"
        yield (
            f"<tr><th scope=row><code>{escape(run.id)}</code><td>{run.action}<td>{_time(run.begun)}<td>{took}"
            f"<td>{_bar(ran.counts)}<td>{ran.better or ''}<td>{ran.worse or ''}\n"
        )
    yield "</tbody></table>\n"


def _bar(counts: Mapping[str, int]) -> str:
    total, left, parts = sum(counts.values()), 0.0, []
    said = ", ".join(f"{counts[state]} {_WORD[state]}" for state in _WORD if counts.get(state))
    for state in reversed(list(_WORD)):
        width = 100 * counts.get(state, 0) / (total or 1)
        if width:
            parts.append(f'<rect class="{_CLASS[state]}" x="{left:.1f}" width="{width:.1f}" height="10"/>')
        left += width
    svg = f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    return f"{svg}{said}"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    states = "".join(f'<option value="{_CLASS[state]}">{word}</option>' for state, word in _WORD.items())
    signs = ", ".join(f"{_SIGN[state]} {_WORD[state]}" for state in _WORD)
    yield (
        '<h2 id="all">All tenants</h2>\n<form class="find" id="find" hidden>'
        '<label>Words in a row<input id="words" type="search" autocomplete="off"></label>'
        f'<label>State<select id="state"><option value="">every state</option>{states}</select></label>'
        f'<span id="shown" role="status">{len(rows)} of {len(rows)} shown</span></form>\n'
        f'<table id="tenants"><caption>Signs: {signs}.</caption>'
        f"<thead><tr>{''.join(f'<th scope=col>{head}' for head in _HEADS)}</thead><tbody>\n"
    )
    for row in rows:
        yield _row(row)
    yield "</tbody></table>\n"


def _row(row: Row) -> str:
    """One row; closing tags that HTML does without are left out, which is a fifth of a large page."""
    ends = f"{row.secret_ends:%Y-%m-%d}" if row.secret_ends else ""
    trail = "".join(_SIGN[status] for status in row.trail)
    about = escape(" ".join((row.tenant, row.profile, *row.groups)))
    return (
        f'<tr class="{_CLASS[row.state]}"><th scope=row>{escape(row.key)}<small>{about}</small>'
        f"<td>{_SIGN[row.state]} {_WORD[row.state]}<td>{_said(row)}<td>{ends}<td>{_time(row.at)}"
        f"<td class=trail>{trail}\n"
    )


def _said(row: Row) -> str:
    """What there is to say about a tenant: the first sentences at once; the others, and every remedy, folded in."""
    said = [
        (f"{escape(one.outcome.action)}: {escape(failure.message)}", "", failure.remedy)
        for one, failure in row.failures
    ]
    if row.verdict not in ("", "unchanged"):
        said.append((escape(row.verdict), "", ""))
    for finding in row.findings:
        rule = f"<code>{escape(finding.rule)}</code> "
        said.append((f"{rule}{escape(finding.message)}", rule, finding.remedy))
    if not said and row.state == "changed":
        said.append((escape(why(row.standing[0].outcome)), "", ""))
    folded = [f"{name}{escape(remedy)}" for _, name, remedy in said[:_SAID] if remedy]
    folded += [f"{sentence} {escape(remedy)}" for sentence, _, remedy in said[_SAID:]]
    more = f"And {len(said) - _SAID} more; what to do" if len(said) > _SAID else "What to do"
    shown = "".join(f"<p>{sentence}" for sentence, _, _ in said[:_SAID])
    return shown + (f"<details><summary>{more}</summary><p>{'<p>'.join(folded)}</details>" if folded else "")


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
