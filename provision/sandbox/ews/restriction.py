"""``Restriction`` and ``SortOrder`` of ``FindItem``: which messages, in which order.

Source: "Restriction", "Contains", "FieldOrder" (EWS reference); text is compared without letter case unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from provision.sandbox.directory import Document
from provision.sandbox.ews import soap
from provision.sandbox.ews.errors import EwsError
from provision.sandbox.ews.messages import FIELDS

Test = Callable[[Document], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "IsEqualTo": lambda value, constant: bool(value == constant),
    "IsNotEqualTo": lambda value, constant: bool(value != constant),
    "IsGreaterThan": lambda value, constant: bool(value > constant),
    "IsGreaterThanOrEqualTo": lambda value, constant: bool(value >= constant),
    "IsLessThan": lambda value, constant: bool(value < constant),
    "IsLessThanOrEqualTo": lambda value, constant: bool(value <= constant),
}
_CONTAINMENTS: dict[str, Callable[[str, str], bool]] = {
    "FullString": lambda value, constant: value == constant,
    "Prefixed": lambda value, constant: value.startswith(constant),
    "Substring": lambda value, constant: constant in value,
    "PrefixOnWords": lambda value, constant: any(word.startswith(constant) for word in value.split()),
    "ExactPhrase": lambda value, constant: constant in value,
}


def matcher(restriction: Element | None) -> Test:
    """The test that a ``Restriction`` stands for; without one everything passes.

    Raises:
        EwsError: a property or an expression that cannot be searched here.
    """
    expressions = [] if restriction is None else list(restriction)
    return _expression(expressions[0]) if expressions else bool


def _expression(element: Element) -> Test:
    name = soap.local(element.tag)
    if name in {"And", "Or", "Not"}:
        parts = [_expression(child) for child in element]
        if name == "Not":
            return lambda message: not parts[0](message)
        combine = all if name == "And" else any
        return lambda message: combine(part(message) for part in parts)
    value = _value(element)
    if name == "Exists":
        return lambda message: value(message) not in (None, "", [])
    if name == "Contains":
        return _contains(element, value)
    if name in _COMPARISONS:
        return _compared(element, value, _COMPARISONS[name])
    raise EwsError("ErrorUnsupportedPathForQuery", f"The local tenant does not search by {name}.")


def _value(element: Element) -> Callable[[Document], Any]:
    path = element.find(soap.t("FieldURI"))
    field = FIELDS.get("" if path is None else path.get("FieldURI", ""))
    if field is None:
        raise EwsError("ErrorUnsupportedPathForQuery")
    return field.value


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value or "")]


def _contains(element: Element, value: Callable[[Document], Any]) -> Test:
    constant = element.find(soap.t("Constant"))
    wanted = "" if constant is None else constant.get("Value", "")
    contained = _CONTAINMENTS.get(element.get("ContainmentMode", "FullString"), _CONTAINMENTS["FullString"])
    fold: Callable[[str], str] = str.casefold if "IgnoreCase" in element.get("ContainmentComparison", "") else str
    return lambda message: any(contained(fold(one), fold(wanted)) for one in _texts(value(message)))


def _compared(element: Element, value: Callable[[Document], Any], compare: Callable[[Any, Any], bool]) -> Test:
    constant = element.find(f"{soap.t('FieldURIOrConstant')}/{soap.t('Constant')}")
    if constant is None:
        raise EwsError("ErrorUnsupportedPathForQuery", "The local tenant compares a property with a constant only.")
    text = constant.get("Value", "")

    def test(message: Document) -> bool:
        found = value(message)
        if isinstance(found, bool):
            return compare(found, text.lower() in {"true", "1"})
        if isinstance(found, int):
            return compare(found, int(text)) if text.lstrip("-").isdigit() else False
        return any(compare(one.casefold(), text.casefold()) for one in _texts(found))

    return test


def sort(messages: Sequence[Document], order: Element | None) -> list[Document]:
    """The messages in the order that ``SortOrder`` asks for; as they were without one.

    Raises:
        EwsError: a property that cannot be sorted by.
    """
    rows = list(messages)
    for field in reversed([] if order is None else list(order)):
        value = _value(field)
        rows.sort(key=lambda row: str(value(row)).casefold(), reverse=field.get("Order") == "Descending")
    return rows
