"""Which operands a comparison or function of ``$filter`` may join.

Owns: the types of properties and constants in a filter, and the refusal of those that do not go together. Does not own:
which property may be filtered at all (``support``), or comparing (``filter``).
The sentence is OData's own, quoted in msgraph-sdk-javascript#1657 and msgraph-sdk-dotnet#2306.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from provision.sandbox.graph import schema
from provision.sandbox.graph.errors import BadRequest
from provision.sandbox.graph.odata.filter import Call, Compare, Lambda, Literal, Logic, Node, Not, Property

_KINDS = {
    "eq": "Equal",
    "in": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
_NUMBERS = frozenset({"Edm.Int32", "Edm.Int64", "Edm.Double"})
_COMPARED = frozenset({"Edm.String", "Edm.Boolean", "Edm.Guid", "Edm.DateTimeOffset"}) | _NUMBERS


def check(node: Node, type_name: str, variables: Mapping[str, str] | None = None) -> None:
    """Refuses a filter that compares values of types which do not go together.

    Args:
        node: the filter.
        type_name: the type whose properties it names.
        variables: the type behind each range variable of the lambdas around this node.

    Raises:
        GraphError: BadRequest with OData's sentence.
    """
    bound = variables or {}
    if isinstance(node, Logic):
        check(node.left, type_name, bound)
        check(node.right, type_name, bound)
    elif isinstance(node, Not):
        check(node.operand, type_name, bound)
    elif isinstance(node, Lambda) and node.body is not None:
        item = _type_of(node.collection, type_name, bound)
        check(node.body, type_name, {**bound, node.variable: (item or "").removeprefix("Edm.")})
    elif isinstance(node, Compare):
        rights = node.right if isinstance(node.right, tuple) else (node.right,)
        for right in rights:
            _check_pair(node.operator, _type_of(node.left, type_name, bound), _type_of(right, type_name, bound))
    elif isinstance(node, Call) and not (isinstance(node.argument.value, str) and not node.argument.guid):
        raise BadRequest(
            f"Invalid filter clause: No function signature for the function with name '{node.function}' matches the "
            f"specified arguments. The function signatures considered are: {node.function}(Edm.String Nullable=true, "
            "Edm.String Nullable=true)."
        )


def _check_pair(operator: str, left: str | None, right: str | None) -> None:
    if left == right or left not in _COMPARED or right not in _COMPARED or {left, right} <= _NUMBERS:
        return
    raise BadRequest(
        "Invalid filter clause: A binary operator with incompatible types was detected. "
        f"Found operand types '{left}' and '{right}' for operator kind '{_KINDS[operator]}'."
    )


def _type_of(node: Node, type_name: str, variables: Mapping[str, str]) -> str | None:
    """The EDM name of an operand's type (of its items, for a collection); None where nothing is known about it."""
    if isinstance(node, Literal):
        return _literal_type(node)
    if not isinstance(node, Property):
        return None
    head, *rest = node.path
    current, names = (variables[head], rest) if head in variables else (type_name, list(node.path))
    for name in names:
        if not schema.is_structured(current):
            return None
        known = schema.graph_type(current)
        canonical = known.canonical(name)
        text = known.properties.get(canonical or "") or known.navigation.get(canonical or "")
        if text is None:
            return None
        current = schema.element(text)[0]
    return current if schema.is_structured(current) else f"Edm.{current}"


def _literal_type(literal: Literal) -> str | None:
    if literal.guid:
        return "Edm.Guid"
    by_type = {str: "String", bool: "Boolean", int: "Int32", float: "Double", datetime: "DateTimeOffset"}
    name = by_type.get(type(literal.value))
    return f"Edm.{name}" if name else None
