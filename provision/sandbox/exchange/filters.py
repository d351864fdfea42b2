"""OPATH, the filter language of Exchange's cmdlets: ``-Filter`` and a scope's ``-RecipientRestrictionFilter``.

Owns: reading a filter and asking it of an object. Does not own: which properties an object has (its rows).
Source: "Filterable properties for the Filter parameter on Exchange cmdlets": ``-eq -ne -like -notlike -gt -ge -lt
-le``, ``-and -or -not``, parentheses, quoted texts, ``$true $false $null``; wildcards stand at the ends of a text
only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors

Test = Callable[[Document], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<operator>-[A-Za-z]+)"""
    r"""|(?P<constant>\$(?:true|false|null))|(?P<word>[\w.:+-]+))""",
    re.IGNORECASE,
)
_CONSTANTS: dict[str, bool | None] = {"$true": True, "$false": False, "$null": None}
_DEEPEST = 50
"""Parentheses and ``-not`` inside one another; Exchange's own limit was not read at a source."""
_MANY = re.compile(r"^\{(.*)\}$", re.DOTALL)


class Filter:
    """A filter ready to be asked.

    Args:
        text: as the client wrote it, with or without braces around.
        properties: the names that may be filtered by.

    Raises:
        ExchangeError: it cannot be read, or names another property.
    """

    def __init__(self, text: str, properties: Collection[str]) -> None:
        self._text = text
        self._names = {name.lower(): name for name in properties}
        stripped = _MANY.sub(r"\1", text.strip())
        self._tokens = self._split(stripped)
        self._at = 0
        self._depth = 0
        self._test = self._either()
        if self._at != len(self._tokens):
            raise self._bad()

    def matches(self, document: Document) -> bool:
        """Whether an object passes."""
        return self._test(document)

    def _bad(self) -> errors.ExchangeError:
        return errors.bad_filter(self._text, "Invalid filter syntax.")

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, at = [], 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self._bad()
            tokens.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        if not tokens:
            raise self._bad()
        return tokens

    def _peek(self) -> tuple[str, str]:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        return kind, text.lower() if kind == "operator" else text

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek() == ("operator", "-or"):
            self._next()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._peek() == ("operator", "-and"):
            self._next()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._bad()
        found = self._inner()
        self._depth -= 1
        return found

    def _inner(self) -> Test:
        kind, text = self._next()
        if (kind, text) == ("operator", "-not"):
            inner = self._one()
            return lambda document: not inner(document)
        if kind == "open":
            inner = self._either()
            if self._next()[0] != "close":
                raise self._bad()
            return inner
        if kind != "word":
            raise self._bad()
        return self._comparison(text)

    def _comparison(self, word: str) -> Test:
        name = self._names.get(word.lower())
        if name is None:
            raise errors.unfilterable(self._text, word)
        kind, operator = self._next()
        if kind != "operator" or operator not in _OPERATORS:
            raise self._bad()
        kind, text = self._next()
        if kind == "text":
            quote = text[0]
            wanted: Any = text[1:-1].replace(quote * 2, quote)
        elif kind == "constant":
            wanted = _CONSTANTS[text.lower()]
        elif kind == "word":
            wanted = text
        else:
            raise self._bad()
        if operator.endswith("like") and (not isinstance(wanted, str) or "*" in wanted[1:-1]):
            raise errors.bad_filter(self._text, "Wildcards can only be used at the start or the end of a string.")
        compare = _OPERATORS[operator]
        return lambda document: compare(document.get(name), wanted)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return wanted is None and not value if wanted is None else any(_same(one, wanted) for one in value)
    if wanted is None:
        return value in {None, ""}
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    return value is not None and str(value).lower() == str(wanted).lower()


def _like(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_like(one, wanted) for one in value)
    if value is None:
        return False
    pattern = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", wanted))
    return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None


def _ordered(decide: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: value is not None and wanted is not None and decide(str(value), str(wanted))


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "-eq": _same,
    "-ne": lambda value, wanted: not _same(value, wanted),
    "-like": _like,
    "-notlike": lambda value, wanted: not _like(value, wanted),
    "-gt": _ordered(lambda a, b: a > b),
    "-ge": _ordered(lambda a, b: a >= b),
    "-lt": _ordered(lambda a, b: a < b),
    "-le": _ordered(lambda a, b: a <= b),
}
