"""The parameters of cmdlets: their types, and binding what a client sent to them as PowerShell does.

Owns: types, mandatory and unknown parameters. Does not own: what a value means (the cmdlets).
Common parameters of PowerShell (``ErrorAction``, ``Confirm`` …) are accepted everywhere and change nothing here, but
for ``WhatIf``, which is refused honestly: nothing is simulated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors

_COMMON = frozenset(("confirm", "debug", "erroraction", "errorvariable", "outbuffer", "outvariable", "verbose")) | {
    "warningaction",
    "warningvariable",
    "informationaction",
    "informationvariable",
}
_BOOLEAN = "Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0."


@dataclass(frozen=True)
class Parameter:
    """One parameter of a cmdlet."""

    convert: Callable[[str, Any], Any]
    """Makes a JSON value into the parameter's type, or refuses it; the first argument is the parameter's name."""
    mandatory: bool = False


def boolean(name: str, value: Any) -> bool:
    """A Boolean."""
    if isinstance(value, bool) or (type(value) in {int, float}):
        return bool(value)
    raise errors.wrong_type(name, _shown(value), "System.Boolean", _BOOLEAN)


def nullable_boolean(name: str, value: Any) -> bool | None:
    """A Boolean, or null for "not set"."""
    if value is None:
        return None
    if isinstance(value, bool) or (type(value) in {int, float}):
        return bool(value)
    raise errors.wrong_type(name, _shown(value), "System.Nullable`1[System.Boolean]", _BOOLEAN)


def text(name: str, value: Any) -> str:
    """A text; numbers are written out, null is the empty text."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise errors.wrong_type(name, _shown(value), "System.String", "Cannot convert value to type System.String.")
    return str(value)


def nullable_text(name: str, value: Any) -> str | None:
    """A text, or None for null and the empty text (which clear a property)."""
    return text(name, value) or None


def identity(name: str, value: Any) -> str:
    """What names an object; never empty."""
    found = text(name, value).strip()
    if not found:
        raise errors.empty_argument(name)
    return found


def texts(name: str, value: Any) -> Document | list[str]:
    """Many texts: one, a list, null for none, or ``{"@odata.type": "#Exchange.GenericHashTable", "Add": …}``."""
    if isinstance(value, dict):
        change = {key.lower(): texts(name, row) for key, row in value.items() if not key.startswith("@")}
        if not change or set(change) - {"add", "remove"}:
            raise errors.wrong_type(name, _shown(value), "MultiValuedProperty", "Use the keys Add and Remove.")
        return change
    if value is None:
        return []
    return [text(name, row) for row in (value if isinstance(value, list) else [value])]


def result_size(name: str, value: Any) -> int | None:
    """A number of objects; None for ``Unlimited``."""
    if isinstance(value, str) and value.lower() == "unlimited":
        return None
    if not isinstance(value, bool) and re.fullmatch(r"\d+", str(value)) and int(value) > 0:
        return int(value)
    raise errors.wrong_type(
        name,
        _shown(value),
        "Microsoft.Exchange.Data.Unlimited`1[System.UInt32]",
        f"Error: \"The value '{_shown(value)}' isn't valid: use a number greater than 0 or Unlimited.\"",
    )


def moment(name: str, value: Any) -> float:
    """A point in time, as seconds since 1970."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise errors.wrong_type(
            name, _shown(value), "System.DateTime", 'Error: "String was not recognized as a valid DateTime."'
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def one_of(*allowed: str) -> Callable[[str, Any], str]:
    """A type with a fixed set of names, letter case ignored."""
    names = {row.lower(): row for row in allowed}

    def convert(name: str, value: Any) -> str:
        found = names.get(text(name, value).lower())
        if found is None:
            raise errors.wrong_type(name, _shown(value), f"Microsoft.Exchange.Management.{name}", _enumerators(value))
        return found

    def _enumerators(value: Any) -> str:
        return (
            f'Error: "Unable to match the identifier name {_shown(value)} to a valid enumerator name. Specify one of '
            f'the following enumerator names and try again: {", ".join(allowed)}"'
        )

    return convert


def many_of(*allowed: str) -> Callable[[str, Any], list[str]]:
    """One or more of a fixed set of names: a list, or a text with commas."""
    single = one_of(*allowed)

    def convert(name: str, value: Any) -> list[str]:
        rows = value if isinstance(value, list) else text(name, value).split(",")
        return [single(name, row.strip() if isinstance(row, str) else row) for row in rows]

    return convert


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return "System.Collections.Hashtable" if isinstance(value, dict) else str(value)


def bind(declared: Mapping[str, Parameter], sent: Document) -> Document:
    """What a client sent, by the declared names and in the declared types.

    Args:
        declared: the cmdlet's parameters.
        sent: ``CmdletInput.Parameters``.

    Raises:
        ExchangeError: an unknown parameter, one given twice, a wrong type, or a mandatory one that is missing.
    """
    names = {name.lower(): name for name in declared}
    bound: Document = {}
    for given, value in sent.items():
        if "@odata." in given or given.lower() in _COMMON:
            continue
        if given.lower() == "whatif":
            if value not in {False, None}:
                raise errors.refused("The local tenant does not simulate cmdlets: run it without WhatIf.")
            continue
        name = names.get(given.lower())
        if name is None or name in bound:
            raise errors.unknown_parameter(given)
        bound[name] = declared[name].convert(name, value)
    missing = [name for name, parameter in declared.items() if parameter.mandatory and name not in bound]
    if missing:
        raise errors.missing_parameters(missing)
    return bound


def changed_list(before: list[str], wanted: Document | list[str]) -> list[str]:
    """The list after ``texts``: replaced, or with rows added and removed (letter case ignored)."""
    if isinstance(wanted, list):
        return wanted
    removed = {row.lower() for row in wanted.get("remove", ())}
    kept = [row for row in before if row.lower() not in removed]
    have = {row.lower() for row in kept}
    return kept + [row for row in wanted.get("add", ()) if row.lower() not in have]


SWITCH = Parameter(boolean)
BOOLEAN = Parameter(boolean)
NULLABLE_BOOLEAN = Parameter(nullable_boolean)
TEXT = Parameter(text)
NULLABLE_TEXT = Parameter(nullable_text)
TEXTS = Parameter(texts)
IDENTITY = Parameter(identity)
MANDATORY_IDENTITY = Parameter(identity, mandatory=True)
RESULT_SIZE = Parameter(result_size)
