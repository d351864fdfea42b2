"""The entries under ``credentials``: each with what it inherits, and whether it can be used.

Owns: inheritance. Does not own: what a way to sign in needs (``fleet.credentials``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from provision.errors import InvalidInput
from provision.fleet import credentials as places
from provision.fleet.source.fields import CREDENTIAL_FIELDS, Field
from provision.fleet.source.problem import Problem
from provision.fleet.source.raw import Raw, nearest
from provision.fleet.tenant import CredentialReference
from provision.settings.credential import NAMES

BY_ITSELF = frozenset(
    name for name in NAMES if name.startswith("workload-identity") or name in ("managed-identity", "azure-cli")
)
"""Ways to sign in that are a credential by their name alone: nothing is kept for them."""
KNOWN: Mapping[str, Field] = {one.name: one for one in CREDENTIAL_FIELDS}


class Credentials:
    """The entries under ``credentials``, each with what it inherits."""

    def __init__(self, raws: Iterable[Raw]) -> None:
        self._raws = {raw.label: raw for raw in raws}
        self._values: dict[str, dict[str, str]] = {}
        for name, raw in self._raws.items():
            checked = {one: raw.checked(one, KNOWN) for one in raw.given}
            self._values[name] = {one: values[0] for one, values in checked.items() if values}
        self._good: dict[str, CredentialReference | None] = {}
        inherited = {values.get("inherits") for values in self._values.values()}
        self._chains = {name: self._chain(name) for name in self._raws}
        for name in self._raws:  # what others inherit from need not be whole, unless a tenant names it
            if name in inherited:
                self._check(name, places.check_places)
        for name in self._raws:
            if name not in inherited:
                self.get(name)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with them."""
        return [problem for raw in self._raws.values() for problem in raw.problems]

    @property
    def names(self) -> list[str]:
        """Every name, also of those that cannot be used."""
        return list(self._raws)

    def knows(self, name: str) -> bool:
        """Whether there is one of that name, or a way to sign in that needs nothing kept."""
        return name in self._raws or name in BY_ITSELF

    def get(self, name: str) -> CredentialReference | None:
        """The one of that name, which ``knows`` knows; None when it cannot be used."""
        if name in self._raws:
            if name not in self._good:
                self._good[name] = self._reference(name)
            return self._good[name]
        return CredentialReference(name, name)

    def _chain(self, name: str) -> list[str] | None:
        """An entry and all that it inherits from, itself first; None where that leads nowhere."""
        raw = self._raws[name]
        chain = [name]
        while (parent := self._values[chain[-1]].get("inherits")) is not None:
            if parent not in self._raws:
                line = self._raws[chain[-1]].given["inherits"].line
                if len(chain) == 1:
                    near = nearest(parent, self._raws)
                    raw.refuse("inherits", line, f"there is no credential {parent}.", near)
                return None
            if parent in chain:
                raw.refuse("inherits", raw.given["inherits"].line, f"it inherits from itself, by way of {parent}.")
                return None
            chain.append(parent)
        return chain

    def _reference(self, name: str) -> CredentialReference | None:
        raw, chain = self._raws[name], self._chains[name]
        if chain is None or any(self._raws[one].problems for one in chain):
            return None
        if not any("method" in self._values[one] for one in chain):
            raw.refuse("method", raw.line, "method is missing.", f"Use one of {', '.join(NAMES)}.")
            return None
        return self._check(name, places.check)

    def _check(self, name: str, check: Callable[[CredentialReference], None]) -> CredentialReference | None:
        """An entry with what it inherits, checked; None when it is refused."""
        raw = self._raws[name]
        values: dict[str, str] = {}
        for one in self._chains[name] or ():
            values = self._values[one] | values
        reference = CredentialReference(
            name,
            values.get("method", ""),
            client_id=values.get("clientId"),
            secret=values.get("secret"),
            certificate=values.get("certificate"),
            certificate_password=values.get("certificatePassword"),
        )
        try:
            check(reference)
        except InvalidInput as error:
            raw.refuse(None, raw.line, error.message, error.remedy)
            return None
        return reference
