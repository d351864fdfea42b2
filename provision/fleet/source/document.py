"""``tenants.yaml``: its sections, taken apart into rows.

Owns: which sections there are and where a row, a credential and the defaults begin. Does not own: YAML (``nodes``) or
what rows mean (``rows``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from dataclasses import dataclass

from provision.errors import InvalidInput
from provision.fleet.source import entries
from provision.fleet.source.fields import BY_NAME, KEY, Field
from provision.fleet.source.nodes import Mapping, Node, Scalar, Sequence, compose
from provision.fleet.source.raw import Given, Raw, nearest
from provision.fleet.source.rows import SHARED

SECTIONS: Table[str, str] = {
    "fleet": "The fleet's name; the store, logs and leases are called so.",
    "defaults": "What counts where a tenant says nothing.",
    "credentials": "Ways to sign in, by name; a secret is never here, only where it is.",
    "tenants": "The tenants, one after another; or the name of a CSV file beside this one.",
}


@dataclass(frozen=True)
class Document:
    """A fleet file in YAML, taken apart."""

    name: str
    defaults: Raw
    credentials: tuple[Raw, ...]
    rows: tuple[Raw, ...]
    table: str | None
    """The CSV file that holds the rows instead."""
    root: Mapping


def take_apart(text: str, source: str) -> Document:
    """Reads a fleet file in YAML.

    Args:
        text: the file.
        source: what to call it in messages.

    Raises:
        InvalidInput: it is no fleet file as a whole.
    """
    root = compose(text, source)
    if not isinstance(root, Mapping):
        raise InvalidInput(f"{source} is not a fleet file: it has no sections.", remedy=_SEE)
    for name, first in root.twice():
        raise InvalidInput(
            f"{source}:{name.line}: {name.text!r} stands twice, first on line {first}.", remedy="Make them one."
        )
    for name, _ in root.entries:
        if name.text not in SECTIONS:
            raise InvalidInput(
                f"{source}:{name.line}: a fleet file has no section {name.text[:60]!r}.",
                remedy=nearest(name.text, SECTIONS) or f"Sections: {', '.join(SECTIONS)}.",
            )
    table, rows = _rows(root, source)
    return Document(
        _name(root, source),
        _defaults(root, source),
        _credentials(root, source),
        rows,
        table,
        root,
    )


_SEE = "`provision fleet init` writes one to begin with; see docs/fleet.md."


def _name(root: Mapping, source: str) -> str:
    node = root.get("fleet")
    if not isinstance(node, Scalar) or node.is_empty:
        raise InvalidInput(
            f"{source} does not say what the fleet is called.", remedy="Add a line like `fleet: customers`."
        )
    if not re.fullmatch(KEY, node.text):
        raise InvalidInput(
            f"{source}:{node.line}: {node.text[:80]!r} is no name for a fleet.",
            remedy="Use 1 to 63 of a-z, 0-9 and hyphens.",
        )
    return node.text


def _rows(root: Mapping, source: str) -> tuple[str | None, tuple[Raw, ...]]:
    node = root.get("tenants")
    if node is None:
        raise InvalidInput(f"{source} has no section `tenants`.", remedy=_SEE)
    if isinstance(node, Scalar) and node.is_empty:
        return None, ()
    if isinstance(node, Scalar):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]*\.csv", node.text):
            raise InvalidInput(
                f"{source}:{node.line}: `tenants` is neither a list nor the name of a CSV file beside this one.",
                remedy="Name it without a folder, as in customers.csv.",
            )
        return node.text, ()
    if isinstance(node, Mapping):
        raise InvalidInput(f"{source}:{node.line}: `tenants` is no list.", remedy="Begin each tenant with `- key:`.")
    return None, tuple(_row(item, number) for number, item in enumerate(node.items, start=1))


def _row(node: Node, number: int) -> Raw:
    key = node.get("key") if isinstance(node, Mapping) else None
    label = key.text if isinstance(key, Scalar) and re.fullmatch(KEY, key.text) else f"tenant {number}"
    return _raw(node, label, BY_NAME)


def _defaults(root: Mapping, source: str) -> Raw:
    node = root.get("defaults")
    if node is None or (isinstance(node, Scalar) and node.is_empty):
        return Raw(1, "defaults")
    if not isinstance(node, Mapping):
        raise InvalidInput(f"{source}:{node.line}: `defaults` holds no fields.", remedy="Write `profile: cloudex` …")
    return _raw(node, "defaults", SHARED)


def _credentials(root: Mapping, source: str) -> tuple[Raw, ...]:
    node = root.get("credentials")
    if node is None or (isinstance(node, Scalar) and node.is_empty):
        return ()
    if not isinstance(node, Mapping):
        raise InvalidInput(f"{source}:{node.line}: `credentials` holds no names.", remedy="Write `partner:` …")
    for name, first in node.twice():
        raise InvalidInput(
            f"{source}:{name.line}: the credential {name.text[:60]!r} stands twice, first on line {first}.",
            remedy="Give each a name of its own.",
        )
    found = []
    for name, value in node.entries:
        raw = _raw(value, name.text, entries.KNOWN)
        if not re.fullmatch(KEY, name.text):
            raw.refuse(None, name.line, "this is no name for a credential.", "Use 1 to 63 of a-z, 0-9 and hyphens.")
        found.append(raw)
    return tuple(found)


def _raw(node: Node, label: str, known: Table[str, Field]) -> Raw:
    raw = Raw(node.line, label)
    if not isinstance(node, Mapping):
        raw.refuse(None, node.line, "this holds no fields.", "Write them as `key: contoso`, one a line.")
        return raw
    for name, first in node.twice():
        raw.refuse(name.text, name.line, f"the field stands twice, first on line {first}.", "Keep one of them.")
    for name, value in node.entries:
        if name.text == "<<":
            raw.refuse("<<", name.line, "merge keys are not read.", "Write what is repeated under `defaults`.")
        elif (texts := _texts(value, name.text in known and known[name.text].many)) is None:
            raw.refuse(name.text, value.line, _wrong_form(known.get(name.text)))
        else:
            raw.add(name.text, Given(texts, name.line), known)
    return raw


def _texts(node: Node, many: bool) -> tuple[str, ...] | None:
    """The texts of a field; a list may be written as one text with blanks between, too. None for another form."""
    if isinstance(node, Scalar):
        if node.is_empty:
            return ()
        return divided(node.text) if many else (node.text,)
    if isinstance(node, Sequence) and many and all(isinstance(item, Scalar) for item in node.items):
        return tuple(item.text for item in node.items if isinstance(item, Scalar))
    return None


def divided(text: str) -> tuple[str, ...]:
    """The parts of a list that was written as one text: blanks, commas or semicolons between them."""
    return tuple(re.split(r"[\s,;]+", text.strip(" \t\r\n,;"))) if text.strip(" \t\r\n,;") else ()


def _wrong_form(known: Field | None) -> str:
    if known is None:
        return "there is no such field, and it is no single text."
    return "must be a list of texts." if known.many else "must be one text, no list and no table."
