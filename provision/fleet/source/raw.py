"""What stands in a row, the defaults or a credential, before it means anything: names, texts and lines.

Owns: which names are known, secrets that stand where none may, and the sentence for a wrong value. A value that may be
a secret in the wrong place is never told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from provision.fleet.source.fields import LONGEST, Field, looks_secret
from provision.fleet.source.problem import Problem

_SECRET_REMEDY = "Keep it in a vault, a file or the environment, name the place here, and renew the one written down."  # noqa: S105


@dataclass(frozen=True)
class Given:
    """What stands in a field: one text or several, with the line."""

    texts: tuple[str, ...]
    line: int


@dataclass
class Raw:
    """A row, the defaults or a credential as it stands, its fields known by name."""

    line: int
    label: str
    """How to call it in messages: its key where it has one."""
    given: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    """Fields with a problem of their own."""

    def add(self, name: str, given: Given, known: Mapping[str, Field]) -> None:
        """Takes up a field, or notes why it cannot be."""
        if any(looks_secret(text) for text in given.texts):
            self.refuse(name, given.line, "this is a secret itself; a fleet file holds none.", _SECRET_REMEDY)
        elif name not in known:
            near = nearest(name, known)
            self.refuse(
                name, given.line, f"there is no field {_shown_name(name)}.", near or f"Fields: {', '.join(known)}."
            )
        elif given.texts or known[name].many:
            self.given[name] = given

    def refuse(self, name: str | None, line: int, message: str, remedy: str = "") -> None:
        """Notes what is wrong."""
        if name:
            self.wrong.add(name)
        where = f"{self.label}, {_shown_name(name)}" if name else self.label
        self.problems.append(Problem(line, where, message, remedy))

    def checked(self, name: str, fields: Mapping[str, Field]) -> tuple[str, ...] | None:
        """The values of a field as they count; None where there are none, or one is wrong."""
        given = self.given.get(name)
        if given is None:
            return None
        values = []
        for text in given.texts:
            try:
                if len(text) > LONGEST:
                    raise ValueError(f"is longer than {LONGEST} characters")  # noqa: TRY301
                values.append(fields[name].check(text))
            except ValueError as error:
                said = f"a value of {name}" if fields[name].secretive else f"{name} is {_short(text)}; it"
                self.refuse(name, given.line, f"{said} {error}.")
        return tuple(values) if len(values) == len(given.texts) else None


def nearest(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?``, or nothing."""
    folded = {one.lower(): one for one in known}
    near = get_close_matches(re.sub(r"[ _-]", "", name.lower()), folded, n=1)
    return f"Did you mean {folded[near[0]]}?" if near else ""


def _shown_name(name: str) -> str:
    if looks_secret(name):
        return "a name that is not told"
    return name if re.fullmatch(r"[A-Za-z$][A-Za-z0-9 _-]{0,40}", name) else _short(name)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}…")
