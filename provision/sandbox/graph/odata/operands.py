"""Which operands a comparison or function of ``$filter`` may join.

Owns: the types of properties and constants in a filter, and the refusal of those that do not go together. Does not own:
which property may be filtered at all (``support``), or comparing (``filter``).
The sentences are those of Microsoft's OData library (OData/odata.net, ``SRResources.resx`` and the binders), which
binds the filter before any workload sees it; msgraph-sdk-javascript#1657 and msgraph-sdk-dotnet#2306 quote one.
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
    elif isinstance(node, Lambda):
        item, is_collection = _resolve(node.collection, type_name, bound)
        if item and not is_collection:
            raise BadRequest("Invalid filter clause: Any/All may only be used following a collection.")
        if node.body is not None:
            check(node.body, type_name, {**bound, node.variable: item or ""})
    elif isinstance(node, Compare):
        _check_compared(node, type_name, bound)
    elif isinstance(node, Call):
        _check_arguments(node, type_name, bound)


def _check_compared(node: Compare, type_name: str, variables: Mapping[str, str]) -> None:
    rights = node.right if isinstance(node.right, tuple) else (node.right,)
    for operand in (node.left, *rights):
        if not isinstance(operand, Property) or not _resolve(operand, type_name, variables)[1]:
            continue
        if node.operator == "in":
            raise BadRequest(
                "Invalid filter clause: The left operand for the IN operation is not a single value. IN operations "
                "require the left operand to be a single value and the right operand to be a collection value."
            )
        raise BadRequest(
            f"Invalid filter clause: The operand for a binary operator '{_KINDS[node.operator]}' is not a single "
            "value. Binary operators require both operands to be single values."
        )
    left = _type_of(node.left, type_name, variables)
    for right in rights:
        _check_pair(node.operator, left, _type_of(right, type_name, variables))


def _check_pair(operator: str, left: str | None, right: str | None) -> None:
    if left == right or left not in _COMPARED or right not in _COMPARED or {left, right} <= _NUMBERS:
        return
    raise BadRequest(
        "Invalid filter clause: A binary operator with incompatible types was detected. "
        f"Found operand types '{left}' and '{right}' for operator kind '{_KINDS[operator]}'."
    )


def _check_arguments(node: Call, type_name: str, variables: Mapping[str, str]) -> None:
    if _resolve(node.target, type_name, variables)[1]:
        raise BadRequest(
            f"Invalid filter clause: The argument for an invocation of a function with name '{node.function}' is not a "
            "single value. All arguments for this function must be single values."
        )
    if isinstance(node.argument.value, str) and not node.argument.guid:
        return
    raise BadRequest(
        f"Invalid filter clause: No function signature for the function with name '{node.function}' matches the "
        f"specified arguments. The function signatures considered are: {node.function}(Edm.String Nullable=true, "
        "Edm.String Nullable=true)."
    )


def _resolve(node: Property, type_name: str, variables: Mapping[str, str]) -> tuple[str | None, bool]:
    """The type at the end of a property path (None where nothing is known about it) and whether it is a collection."""
    head, *rest = node.path
    current, names = (variables[head], rest) if head in variables else (type_name, list(node.path))
    is_collection = False
    for name in names:
        if is_collection:
            raise BadRequest(
                f"Invalid filter clause: The parent value for a property access of a property '{name}' is not a single "
                "value. Property access can only be applied to a single value."
            )
        if not schema.is_structured(current):
            return None, False
        known = schema.graph_type(current)
        canonical = known.canonical(name)
        text = known.properties.get(canonical or "") or known.navigation.get(canonical or "")
        if text is None:
            return None, False
        current, is_collection, _ = schema.element(text)
    return current, is_collection


def _type_of(node: Node, type_name: str, variables: Mapping[str, str]) -> str | None:
    """The EDM name of an operand's type; None where nothing is known about it."""
    if isinstance(node, Literal):
        return _literal_type(node)
    if not isinstance(node, Property):
        return None
    name, _ = _resolve(node, type_name, variables)
    return name if name is None or schema.is_structured(name) else f"Edm.{name}"


def _literal_type(literal: Literal) -> str | None:
    if literal.guid:
        return "Edm.Guid"
    by_type = {str: "String", bool: "Boolean", int: "Int32", float: "Double", datetime: "DateTimeOffset"}
    name = by_type.get(type(literal.value))
    return f"Edm.{name}" if name else None
