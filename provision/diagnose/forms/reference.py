"""The page that lists every rule (``docs/rules.md``), made from the rules themselves."""

from __future__ import annotations

from provision.diagnose.codes import BY_ID
from provision.diagnose.layers import LAYERS, WAYS
from provision.diagnose.rules import RULES
from provision.diagnose.rules.rule import SEVERITIES, Rule

_HEAD = """# Rules of `provision diagnose`

Made from `provision/diagnose/rules` by `make docs`; changes here are lost. What the command does:
[diagnose.md](diagnose.md).
"""
_SHORT = {"graph": "Graph", "smtp-oauth": "SMTP OAuth", "smtp-basic": "SMTP password", "ews": "EWS"}


def reference() -> str:
    """The page in Markdown."""
    families = list(dict.fromkeys(rule.family for rule in RULES if rule.id not in BY_ID))
    lines = [_HEAD, "## The order of the layers", "", _layers(), ""]
    for family in families:
        lines += [f"## {family.capitalize()}", ""]
        lines += [line for rule in RULES if rule.family == family for line in _rule(rule)]
    lines += [
        "## Answers",
        "",
        "What `provision explain` knows, and what a live attempt or the sign-in log may say.",
        "",
    ]
    lines += ["| answer | means | layers |", "| --- | --- | --- |"]
    lines += [f"| `{code.id}` | {code.means} | {', '.join(code.layers)} |" for code in BY_ID.values()]
    return "\n".join(lines) + "\n"


def _layers() -> str:
    heads = ["layer", *(_SHORT[way] for way in WAYS)]
    rows = [[layer.title, *("x" if way in layer.ways else "" for way in WAYS)] for layer in LAYERS]
    table = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def _rule(rule: Rule) -> list[str]:
    ways = ", ".join(_SHORT[way] for way in rule.ways)
    lines = [f"### `{rule.id}`: {rule.title}", "", f"{SEVERITIES[rule.severity].capitalize()}; {ways}. {rule.why}", ""]
    lines += [f"- Do: {_plain(rule.remedy.say)}"]
    if rule.remedy.portal:
        lines.append(f"- Portal: {_plain(rule.remedy.portal)}")
    lines += [f"- PowerShell: `{_plain(line)}`" for line in rule.remedy.powershell]
    lines += [f"- Graph: `{_plain(line)}`" for line in rule.remedy.graph]
    if rule.remedy.command:
        lines.append(f"- Command: `{_plain(rule.remedy.command)}`")
    if rule.remedy.up is not None:
        up = f"provision up --stack STACK {rule.remedy.up}".rstrip()
        lines.append(f"- Where a stack owns it: `provision refresh --stack STACK && {up}`")
    if rule.fix:
        lines.append(f"- `--fix`: {rule.fix}" + (f", with `{rule.flag}`" if rule.flag else ""))
    facts = ", ".join(f"`{name}`" for name in rule.takes)
    return [*lines, f"- Looks at: {facts}", f"- [More]({rule.docs})", ""]


def _plain(text: str) -> str:
    names = {"mailbox": "USER@DOMAIN", "client": "the application", "policy": "POLICY", "domain": "DOMAIN"}
    names |= {"client_id": "CLIENT-ID", "which": "--stack STACK"}
    for name, value in {**names, "redirect": "the address that the product shows"}.items():
        text = text.replace("{" + name + "}", value)
    return text
