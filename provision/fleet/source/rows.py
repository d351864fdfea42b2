"""From what stands in a row to a tenant, or to what is wrong with it: the same for YAML and CSV.

Owns: defaults, the checks of a row as a whole (those of ``settings.stack`` and ``app.redirect``, as ``provision up``
makes them), and what no two rows may share. Does not own: the checks of one field (``fields``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.app.redirect import redirect_uri
from provision.errors import InvalidInput
from provision.fleet import placeholders
from provision.fleet.placeholders import Unfilled
from provision.fleet.source.entries import Credentials
from provision.fleet.source.fields import BY_NAME, FIELDS, SETTINGS, Field
from provision.fleet.source.problem import Problem
from provision.fleet.source.raw import Raw, nearest
from provision.fleet.tenant import CredentialReference, Tenant
from provision.settings import profile as profiles
from provision.settings.profile import Profile
from provision.settings.stack import NAMESPACE, StackSettings

SHARED: Mapping[str, Field] = {one.name: one for one in FIELDS if one.shared}
_LOCAL = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")
_ORDINARY = "cloudex"
"""The profile of a row that names none, as everywhere (``settings.stack``)."""


_TOGETHER = frozenset({"companyCode", "redirectUri", "federatedName", "federatedIssuer", "federatedSubject"})
"""Fields that are checked together; where one of them is wrong by itself, that is said and nothing more."""


class _LeftOut(Exception):
    """The row cannot be used for a reason that stands elsewhere; ``args[0]`` says which, for all such rows at once."""


@dataclass(frozen=True)
class _Claim:
    """What a row has that no other may have."""

    tenant: Tenant
    text: str
    """As it stands there."""


class Rows:
    """Makes tenants of rows, and gathers what is wrong.

    Args:
        defaults: what counts where a row says nothing.
        credentials: the file's.
        beside: the folder of the file, for profiles of one's own.
    """

    def __init__(self, defaults: Raw, credentials: Credentials, beside: Path) -> None:
        self._credentials = credentials
        self._beside = beside
        self._products: dict[str, Profile | InvalidInput] = {}
        checked = {name: defaults.checked(name, SHARED) for name in defaults.given}
        self._shared = {name: values for name, values in checked.items() if values is not None}
        self._broken = {name for name, values in checked.items() if values is None}
        self._tenants: list[Tenant] = []
        self._problems: list[Problem] = []
        self._left_out: dict[str, list[Raw]] = {}
        self._claims: dict[tuple[str, ...], _Claim] = {}
        self._clashing: set[str] = set()

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """The rows that can be used, in their order."""
        return tuple(tenant for tenant in self._tenants if tenant.key not in self._clashing)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the others, by line; not what is wrong with the defaults and credentials themselves."""
        found = list(self._problems)
        for reason, raws in self._left_out.items():
            more = "" if len(raws) == 1 else f" (and {len(raws) - 1} more rows for the same reason)"
            found.append(Problem(raws[0].line, raws[0].label, f"the row is left out{more}: {reason}."))
        return tuple(sorted(found, key=lambda problem: problem.line))

    def add(self, raw: Raw) -> None:
        """Takes up a row."""
        try:
            tenant = self._tenant(raw)
        except _LeftOut as left_out:
            self._left_out.setdefault(str(left_out), []).append(raw)
        else:
            if tenant is not None and self._is_whole(tenant, raw):
                self._tenants.append(tenant)
            if tenant is not None:
                self._claim(tenant, raw)
        self._problems += raw.problems

    def _tenant(self, raw: Raw) -> Tenant | None:
        """The tenant of a row as its fields say; None when it has no name or place."""
        if raw.problems and not raw.given:
            return None  # it is no row at all, which is said
        values = {name: raw.checked(name, BY_NAME) for name in BY_NAME if name in raw.given}
        for name in ("key", "tenant"):
            if name not in values:
                raw.refuse(name, raw.line, f"{name} is missing.", BY_NAME[name].about)
        for name in self._broken - values.keys():
            raise _LeftOut(f"it takes {name} from `defaults`, where it is wrong")
        for name, shared in self._shared.items():
            values.setdefault(name, shared)
        key, tenant = values.get("key"), values.get("tenant")
        if not key or not tenant:
            return None
        return Tenant(
            key=key[0],
            tenant=tenant[0],
            profile=_one(values.get("profile")) or _ORDINARY,
            company_code=_one(values.get("companyCode")),
            credential=self._credential(_one(values.get("credential")), raw),
            mailboxes=_each_once(values.get("mailboxes")),
            sinks=self._filled(values, raw),
            groups=_each_once(values.get("groups")),
            settings={name: " ".join(found) for name in SETTINGS if (found := values.get(name))},
            metadata_host=_one(values.get("metadataHost")),
            environment=_one(values.get("environment")),
            line=raw.line,
        )

    def _credential(self, name: str | None, raw: Raw) -> CredentialReference | None:
        if name is None:
            return None
        if not self._credentials.knows(name):
            line = raw.given["credential"].line if "credential" in raw.given else raw.line
            raw.refuse("credential", line, f"there is no credential {name}.", nearest(name, self._credentials.names))
            return None
        found = self._credentials.get(name)
        if found is None:
            raise _LeftOut(f"its credential {name} cannot be used")
        return found

    def _filled(self, values: Mapping[str, tuple[str, ...] | None], raw: Raw) -> tuple[str, ...]:
        """The sinks, with the row's own values in place of the placeholders."""
        filled = []
        for sink in _each_once(values.get("sinks")):
            try:
                filled.append(placeholders.filled(sink, {name: _one(values.get(name)) for name in placeholders.NAMES}))
            except Unfilled as left:
                raw.refuse("sinks", raw.line, f"a sink needs {{{left.name}}}, and the row has no {left.name}.")
        return tuple(filled)

    def _is_whole(self, tenant: Tenant, raw: Raw) -> bool:
        """Whether the row would do as the settings of a stack; what would not is noted."""
        product = self._product(tenant.profile)
        if isinstance(product, InvalidInput):
            line = raw.given["profile"].line if "profile" in raw.given else raw.line
            raw.refuse("profile", line, product.message, product.remedy)
        elif _TOGETHER.isdisjoint(raw.wrong):
            local = tenant.metadata_host is not None and _LOCAL.fullmatch(tenant.metadata_host) is not None
            try:
                settings = StackSettings.from_config(
                    tenant.configuration(), beside=self._beside, source=tenant.key, product=product
                )
                redirect_uri(settings, local=local)
            except InvalidInput as error:
                message = error.message.removeprefix(f"{tenant.key}: ").replace(f"{NAMESPACE}:", "")
                raw.refuse(None, raw.line, message, error.remedy.replace(f"{NAMESPACE}:", ""))
        return not raw.problems

    def _product(self, name: str) -> Profile | InvalidInput:
        if name not in self._products:
            try:
                self._products[name] = profiles.load(name, beside=self._beside)
            except InvalidInput as error:
                self._products[name] = error
        return self._products[name]

    def _claim(self, tenant: Tenant, raw: Raw) -> None:
        """Notes where two rows want to be the only one. Which of them is right nobody knows, so both are left out."""
        claims: dict[tuple[str, ...], tuple[str, str]] = {
            ("key", tenant.key): ("key", tenant.key),
            ("tenant", tenant.tenant, tenant.profile): ("tenant", tenant.tenant),
            **{("sink", sink): ("sinks", sink) for sink in tenant.sinks},
        }
        if tenant.company_code is not None:
            code = tenant.company_code
            claims["companyCode", code.casefold(), tenant.profile] = ("companyCode", code)
        told = False
        for claim, (name, text) in claims.items():
            first = self._claims.setdefault(claim, _Claim(tenant, text))
            if first.tenant is tenant or told:
                continue
            told = True
            self._clashing |= {tenant.key, first.tenant.key}
            line = raw.given[name].line if name in raw.given else raw.line
            how = "is that of" if first.text == text else f"differs only in letter case from {first.text} of"
            raw.refuse(
                name,
                line,
                f"{name} {text} {how} the row {first.tenant.key} on line {first.tenant.line}; both rows are left out.",
                _CLASHES[name],
            )


_CLASHES: Mapping[str, str] = {
    "key": "Give each row a name of its own.",
    "tenant": "Take out the one that is wrong; for a second product of the customer name another profile.",
    "companyCode": "Copy each from its customer's address in the product, letter case kept.",
    "sinks": "Two secrets cannot lie in one place: put {key} into it.",
}
"""What no two rows may have in common, and what to do."""


def _one(values: tuple[str, ...] | None) -> str | None:
    return values[0] if values else None


def _each_once(values: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values or ()))
