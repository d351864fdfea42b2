"""What a rule is: a pure function over facts, with its remedy beside it.

A rule's parameters name the facts that it needs (``facts.NAMES``). One whose type allows ``NotKnown`` is taken as it
is; where any other is not known, the rule is skipped. It returns what was seen, one sentence or several, or None when
all is well. It does no I/O and changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from provision.diagnose.facts import NAMES, Facts, NotKnown
from provision.diagnose.layers import WAYS, Way, position

Severity = Literal["stops", "may", "ends", "weakens", "note"]
"""Mail is refused; is refused if something is so that no setting shows, but an answer does; will be refused from a
date on; goes out but is less safe or may not arrive; good to know.
"""

SEVERITIES: dict[Severity, str] = {
    "stops": "stops mail",
    "may": "may stop mail",
    "ends": "will stop mail",
    "weakens": "lowers safety or delivery",
    "note": "good to know",
}
Seen = str | tuple[str, ...] | None


@dataclass(frozen=True)
class Remedy:
    """What to do, in the words of the portals. ``{mailbox}``, ``{client}``, ``{client_id}``, ``{redirect}``,
    ``{policy}``, ``{domain}`` and ``{which}`` (the registration, as options of a command) are filled in.
    """

    say: str
    """One or two sentences."""
    portal: str = ""
    """Where to click."""
    powershell: tuple[str, ...] = ()
    """Lines of Exchange Online PowerShell."""
    graph: tuple[str, ...] = ()
    """The same as requests to Microsoft Graph (v1.0): method, path, body."""
    command: str = ""
    """The toolkit's own command, where no stack owns what is wrong."""
    up: str | None = None
    """Where a stack owns it: options of ``provision up``, which puts it right after ``provision refresh`` has read the
    tenant. None where a stack's program does not say what is to be there.
    """
    better: bool = False
    """Whether sending by Graph or by SMTP with OAuth is to be recommended before this."""


@dataclass(frozen=True)
class Rule:
    """One cause."""

    id: str
    family: str
    title: str
    severity: Severity
    ways: tuple[Way, ...]
    """Which ways of sending it touches."""
    layer: str | None
    """Where it stops mail (``layers``); None for what does not."""
    why: str
    """What is behind it: the function's docstring."""
    check: Callable[..., Seen]
    needs: tuple[str, ...]
    """Facts without which it is skipped."""
    takes: tuple[str, ...]
    """All facts that it looks at."""
    remedy: Remedy
    fix: str | None
    """Name of the remedy that ``--fix`` applies (``fix``); None where a person must."""
    flag: str | None
    """The flag without which ``--fix`` leaves it alone: it lowers security beyond this one mailbox."""
    docs: str

    def look(self, facts: Facts) -> tuple[str, ...] | None:
        """What is seen of this cause; None when it is not there. The facts that it needs must be known."""
        seen = self.check(**{name: facts.get(name) for name in self.takes})
        return (seen,) if isinstance(seen, str) else seen

    def missing(self, facts: Facts) -> dict[str, str]:
        """The facts that it needs and that are not known, with the reasons."""
        values = {name: facts.get(name) for name in self.needs}
        return {name: value.reason for name, value in values.items() if isinstance(value, NotKnown)}


def rule(
    *,
    id: str,
    family: str,
    title: str,
    severity: Severity,
    ways: tuple[Way, ...] = tuple(WAYS),
    layer: str | None = None,
    remedy: Remedy,
    fix: str | None = None,
    flag: str | None = None,
    docs: str,
) -> Callable[[Callable[..., Seen]], Rule]:
    """Makes a rule of a function.

    Raises:
        KeyError: it asks for a fact, or stands at a layer, that does not exist.
    """
    if layer is not None:
        position(layer)

    def made(check: Callable[..., Seen]) -> Rule:
        hints = get_type_hints(check)
        takes = tuple(inspect.signature(check).parameters)
        unknown = [name for name in takes if name not in NAMES]
        if unknown:
            raise KeyError(f"the rule {id!r} asks for {', '.join(unknown)}; there are {', '.join(NAMES)}")
        why = " ".join((inspect.getdoc(check) or "").split())
        needs = tuple(name for name in takes if not _optional(hints.get(name)))
        return Rule(id, family, title, severity, ways, layer, why, check, needs, takes, remedy, fix, flag, docs)

    return made


def _optional(hint: Any) -> bool:
    return hint is NotKnown or NotKnown in get_args(hint)
