"""How a property is described: its kind, who may set it, and what a change of it means.

Owns: the description that checking, planning, comparing and the published schema all read.
Does not own: any resource's table (``resources``), nor the rules for single values (``rules``).

Source of the meanings: the Terraform plugin SDK's ``schema.Schema`` (Optional, Computed, ForceNew, ConflictsWith),
which the real azuread plugin is bridged from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from provision.standin.wire import Value

Rule = Callable[[Value, str], str | None]
"""Takes a value and the name it goes by; gives the refusal, or None."""


class Kind(Enum):
    """The shape of a property's value."""

    STRING = "string"
    BOOL = "boolean"
    INT = "integer"
    LIST = "list"
    SET = "set"
    MAP = "map"
    BLOCK = "block"

    @property
    def is_collection(self) -> bool:
        """Whether the value holds elements."""
        return self in {Kind.LIST, Kind.SET, Kind.MAP}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One property.

    ``computed``: Microsoft fills it when it is left out. ``output``: only Microsoft sets it. ``replaces``: a change
    needs a new resource. ``recomputed_with``: another property (dotted) whose change makes this output unknown until
    applied.
    ``cannot``: why the stand-in refuses a value here, in words that follow the property's name.
    """

    name: str
    kind: Kind = Kind.STRING
    required: bool = False
    default: Value = None
    computed: bool = False
    output: bool = False
    replaces: bool = False
    secret: bool = False
    rules: tuple[Rule, ...] = ()
    fields: tuple[Field, ...] = ()
    least: int = 0
    most: int | None = None
    conflicts: tuple[str, ...] = ()
    recomputed_with: str = ""
    cannot: str = ""

    @property
    def zero(self) -> Value:
        """What the value is when nothing was said and it is not allowed to be missing."""
        zeros = {Kind.STRING: "", Kind.BOOL: False, Kind.INT: 0, Kind.MAP: {}}
        return zeros.get(self.kind, [])

    @property
    def holds_blocks(self) -> bool:
        """Whether it is a collection of objects."""
        return self.kind.is_collection and bool(self.fields)


def text(name: str, *rules: Rule, **kwargs: Value) -> Field:
    """A string."""
    return Field(name=name, rules=rules, **kwargs)


def flag(name: str, **kwargs: Value) -> Field:
    """A boolean."""
    return Field(name=name, kind=Kind.BOOL, **kwargs)


def number(name: str, *rules: Rule, **kwargs: Value) -> Field:
    """A whole number."""
    return Field(name=name, kind=Kind.INT, rules=rules, **kwargs)


def block(name: str, *fields: Field, **kwargs: Value) -> Field:
    """An object."""
    return Field(name=name, kind=Kind.BLOCK, fields=fields, **kwargs)


def texts(name: str, *rules: Rule, **kwargs: Value) -> Field:
    """A set of strings; rules apply to each."""
    return Field(name=name, kind=Kind.SET, rules=rules, **kwargs)


def text_list(name: str, *rules: Rule, **kwargs: Value) -> Field:
    """A list of strings; rules apply to each."""
    return Field(name=name, kind=Kind.LIST, rules=rules, **kwargs)


def blocks(name: str, *fields: Field, **kwargs: Value) -> Field:
    """A set of objects."""
    return Field(name=name, kind=Kind.SET, fields=fields, **kwargs)


def block_list(name: str, *fields: Field, **kwargs: Value) -> Field:
    """A list of objects."""
    return Field(name=name, kind=Kind.LIST, fields=fields, **kwargs)


def mapping(name: str, **kwargs: Value) -> Field:
    """A map of strings."""
    return Field(name=name, kind=Kind.MAP, **kwargs)


def inputs(fields: tuple[Field, ...]) -> Iterator[Field]:
    """The properties a program may set."""
    return (field for field in fields if not field.output)
