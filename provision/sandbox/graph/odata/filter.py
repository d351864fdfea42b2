"""``$filter``: from text to a tree, and from the tree to yes or no for one document.

Owns: the grammar (OData 4.01 URL conventions, section 5.1.1, the part that Microsoft Graph accepts) and the comparison
rules. Does not own: which property of which resource may be filtered how (``support``).
Letter case is ignored in comparisons of strings, as Microsoft Graph does for directory objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provision.sandbox.graph.errors import BadRequest

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<datetime>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)(?![\w-])
    | (?P<guid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})
    | (?P<number>-?\d+(?:\.\d+)?)(?!\w)
    | (?P<name>[A-Za-z_$@][\w.]*(?:/[A-Za-z_$][\w.]*)*)
    | (?P<punctuation>[(),:])
    )""",
    re.VERBOSE,
)
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
FUNCTIONS = ("startswith", "endswith", "contains")
_MAX_TERMS = 100
"""OData's reader refuses what is nested too deeply; chains count too, which need as much of the evaluator."""


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Any
    guid: bool = False
    """Whether it was written as a GUID, without quotes."""


@dataclass(frozen=True)
class Property:
    """A property path, or (inside a lambda) the range variable."""

    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The path as written."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Count:
    """``collection/$count``."""

    target: Property


@dataclass(frozen=True)
class Compare:
    """``left op right``; ``in`` has a tuple on the right."""

    operator: str
    left: Node
    right: Node | tuple[Literal, ...]


@dataclass(frozen=True)
class Call:
    """A function on two operands."""

    function: str
    target: Property
    argument: Literal


@dataclass(frozen=True)
class Lambda:
    """``collection/any(variable:body)``; ``any()`` has no body."""

    quantifier: str
    collection: Property
    variable: str
    body: Node | None


@dataclass(frozen=True)
class Not:
    """Negation."""

    operand: Node


@dataclass(frozen=True)
class Logic:
    """``and`` / ``or``."""

    operator: str
    left: Node
    right: Node


Node = Literal | Property | Count | Compare | Call | Lambda | Not | Logic


def parse(text: str) -> Node:
    """The tree of a filter; raises BadRequest with Graph's sentence when the text is not one."""
    parser = _Parser(text)
    node = parser.either()
    parser.end()
    return node


class _Parser:
    """Recursive descent; ``or`` binds weaker than ``and``, ``not`` strongest."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._tokenize(text))
        self._at = 0
        self._terms = 0

    def _fail(self, position: int) -> BadRequest:
        return BadRequest(f"Invalid filter clause: Syntax error at position {position} in '{self._text}'.")

    def _tokenize(self, text: str) -> Iterator[tuple[str, str, int]]:
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._fail(position)
            kind = str(match.lastgroup)
            yield kind, match.group(kind), match.start(kind)
            position = match.end()

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", len(self._text))

    def _next(self) -> tuple[str, str, int]:
        token = self._peek()
        self._at += 1
        return token

    def _keyword(self, *words: str) -> str | None:
        kind, text, _ = self._peek()
        if kind == "name" and text.lower() in words:
            self._at += 1
            return text.lower()
        return None

    def _expect(self, symbol: str) -> None:
        kind, text, position = self._next()
        if kind != "punctuation" or text != symbol:
            raise self._fail(position)

    def end(self) -> None:
        if self._peek()[0] != "end":
            raise self._fail(self._peek()[2])

    def either(self) -> Node:
        node = self.both()
        while self._keyword("or"):
            node = Logic("or", node, self.both())
        return node

    def both(self) -> Node:
        node = self.negated()
        while self._keyword("and"):
            node = Logic("and", node, self.negated())
        return node

    def negated(self) -> Node:
        self._terms += 1
        if self._terms > _MAX_TERMS:
            raise BadRequest("Invalid filter clause: Recursion depth exceeded allowed limit.")
        if self._keyword("not"):
            return Not(self.negated())
        return self.comparison()

    def comparison(self) -> Node:
        left = self.operand()
        if self._keyword("in"):
            self._expect("(")
            values = [self._literal()]
            while self._peek()[1] == ",":
                self._next()
                values.append(self._literal())
            self._expect(")")
            return Compare("in", left, tuple(values))
        operator = self._keyword(*COMPARISONS)
        if operator is None:
            if isinstance(left, Literal | Property | Count):
                raise self._fail(self._peek()[2])
            return left
        return Compare(operator, left, self.operand())

    def operand(self) -> Node:
        kind, text, position = self._peek()
        if kind == "punctuation" and text == "(":
            self._next()
            node = self.either()
            self._expect(")")
            return node
        if kind == "name" and text.lower() not in {"null", "true", "false"}:
            self._next()
            return self._named(text, position)
        return self._literal()

    def _named(self, text: str, position: int) -> Node:
        calls = self._peek()[1] == "("
        *head, last = text.split("/")
        if last == "$count" and head:
            return Count(Property(tuple(head)))
        if not calls:
            return Property((*head, last))
        self._next()
        if last.lower() in {"any", "all"} and head:
            return self._lambda(last.lower(), Property(tuple(head)))
        if head or text.lower() not in FUNCTIONS:
            raise BadRequest(f"Invalid filter clause: An unknown function with name '{text}' was found.")
        target = self.operand()
        self._expect(",")
        argument = self._literal()
        self._expect(")")
        if not isinstance(target, Property):
            raise self._fail(position)
        return Call(text.lower(), target, argument)

    def _lambda(self, quantifier: str, collection: Property) -> Node:
        if self._peek()[1] == ")":
            self._next()
            return Lambda(quantifier, collection, "", None)
        kind, variable, position = self._next()
        if kind != "name" or "/" in variable:
            raise self._fail(position)
        self._expect(":")
        body = self.either()
        self._expect(")")
        return Lambda(quantifier, collection, variable, body)

    def _literal(self) -> Literal:
        kind, text, position = self._next()
        if kind == "string":
            return Literal(text[1:-1].replace("''", "'"))
        if kind == "guid":
            return Literal(text, guid=True)
        if kind == "datetime":
            try:
                return Literal(_time(text))
            except ValueError:
                raise self._fail(position) from None
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "name" and text.lower() in {"null", "true", "false"}:
            return Literal({"null": None, "true": True, "false": False}[text.lower()])
        raise self._fail(position)


def _time(text: str) -> datetime:
    if len(text) == 10:
        text += "T00:00:00Z"
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def matches(node: Node, document: dict[str, Any]) -> bool:
    """Whether a document fulfils the filter (its property support has been checked before)."""
    return bool(_evaluate(node, document, {}))


def _evaluate(node: Node, document: dict[str, Any], variables: dict[str, Any]) -> Any:
    return _EVALUATORS[type(node)](node, document, variables)


def _literal_value(node: Literal, _document: dict[str, Any], _variables: dict[str, Any]) -> Any:
    return node.value


def read_path(path: tuple[str, ...], document: Any, variables: dict[str, Any] | None = None) -> Any:
    """The value at a property path, letter case of the names ignored; None when something on the way is absent."""
    head, *rest = path
    if variables and head in variables:
        value = variables[head]
    else:
        value, rest = document, list(path)
    for name in rest:
        if not isinstance(value, dict):
            return None
        if name in value:
            value = value[name]
            continue
        value = next((v for k, v in value.items() if k.lower() == name.lower()), None)
    return value


def _property_value(node: Property, document: dict[str, Any], variables: dict[str, Any]) -> Any:
    return read_path(node.path, document, variables)


def _count_value(node: Count, document: dict[str, Any], variables: dict[str, Any]) -> Any:
    return len(read_path(node.target.path, document, variables) or [])


def _folded(value: Any, like: Any = None) -> Any:
    if isinstance(value, str):
        if isinstance(like, datetime):
            return _time(value)
        return value.casefold()
    return value


def _compare(node: Compare, document: dict[str, Any], variables: dict[str, Any]) -> bool:
    left = _evaluate(node.left, document, variables)
    if isinstance(node.right, tuple):
        return any(_folded(left) == _folded(item.value) for item in node.right)
    right = _evaluate(node.right, document, variables)
    left, right = _folded(left, right), _folded(right, left)
    if node.operator == "eq":
        return bool(left == right)
    if node.operator == "ne":
        return bool(left != right)
    if left is None or right is None or isinstance(left, str) != isinstance(right, str):
        return False
    ordered: dict[str, Callable[[Any, Any], bool]] = {
        "gt": lambda a, b: a > b,
        "ge": lambda a, b: a >= b,
        "lt": lambda a, b: a < b,
        "le": lambda a, b: a <= b,
    }
    return ordered[node.operator](left, right)


def _call(node: Call, document: dict[str, Any], variables: dict[str, Any]) -> bool:
    value = _folded(_evaluate(node.target, document, variables))
    wanted = _folded(node.argument.value)
    if not isinstance(value, str) or not isinstance(wanted, str):
        return False
    if node.function == "startswith":
        return value.startswith(wanted)
    if node.function == "endswith":
        return value.endswith(wanted)
    return wanted in value


def _lambda(node: Lambda, document: dict[str, Any], variables: dict[str, Any]) -> bool:
    items = read_path(node.collection.path, document, variables) or []
    body = node.body
    if body is None:
        return bool(items)
    quantify: Callable[[Iterator[bool]], bool] = any if node.quantifier == "any" else all
    return quantify(bool(_evaluate(body, document, {**variables, node.variable: item})) for item in items)


def _logic(node: Logic, document: dict[str, Any], variables: dict[str, Any]) -> bool:
    left = bool(_evaluate(node.left, document, variables))
    if node.operator == "or":
        return left or bool(_evaluate(node.right, document, variables))
    return left and bool(_evaluate(node.right, document, variables))


def _not(node: Not, document: dict[str, Any], variables: dict[str, Any]) -> bool:
    return not _evaluate(node.operand, document, variables)


_EVALUATORS: dict[type, Callable[[Any, dict[str, Any], dict[str, Any]], Any]] = {
    Literal: _literal_value,
    Property: _property_value,
    Count: _count_value,
    Compare: _compare,
    Call: _call,
    Lambda: _lambda,
    Not: _not,
    Logic: _logic,
}
