"""Rows out of what is there already: the stacks beside ``Pulumi.yaml``, another table, a partner's customers.

Owns: what becomes a field, and what is kept for the fleet's store, so that a tenant that was onboarded before is not
taken for a new one. Does not own: where rows are written (``source.writing``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from provision.errors import InvalidInput
from provision.fleet.kept import Kept
from provision.fleet.source import read_bytes
from provision.fleet.source.entries import BY_ITSELF
from provision.fleet.source.fields import BY_NAME, KEY, SETTINGS
from provision.fleet.source.nodes import decode
from provision.fleet.source.table import read_table
from provision.fleet.source.writing import Row, row_of
from provision.microsoft.partners import Customer
from provision.onboard.project import stacks_of
from provision.settings.stack import NAMESPACE


@dataclass
class Import:
    """What was found."""

    rows: list[Row] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    """For the fleet's store, by key."""
    notes: list[str] = field(default_factory=list)
    """What was left out and why, a sentence each."""


_FIELDS: Mapping[str, str] = {
    "azuread:tenantId": "tenant",
    "azuread:metadataHost": "metadataHost",
    "azuread:environment": "environment",
    f"{NAMESPACE}:profile": "profile",
    f"{NAMESPACE}:companyCode": "companyCode",
    f"{NAMESPACE}:smtpAuthMailboxes": "mailboxes",
    f"{NAMESPACE}:secretSinks": "sinks",
    **{f"{NAMESPACE}:{name}": name for name in SETTINGS},
}
"""A stack's settings that are fields of a row."""
_INSTANCE = f"{NAMESPACE}:instanceId"
_ADOPTED = f"{NAMESPACE}:adoptedClientId"
_METHOD = f"{NAMESPACE}:credential"


def of_stacks(project: Path) -> Import:
    """The stacks that have settings beside ``Pulumi.yaml``, each a row.

    Args:
        project: the folder of ``Pulumi.yaml``.
    """
    found = Import()
    for stack in stacks_of(project):
        file = project / f"Pulumi.{stack}.yaml"
        try:
            _of_stack(stack, file, found)
        except InvalidInput as error:
            found.notes.append(f"{file.name} is left out: {error}")
    return found


def _of_stack(stack: str, file: Path, found: Import) -> None:
    try:
        document = yaml.safe_load(decode(read_bytes(file), file.name))
    except yaml.YAMLError:
        raise InvalidInput("it is not YAML.") from None
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict) or not config.get("azuread:tenantId"):
        raise InvalidInput(
            "it does not say which tenant it is for.", remedy=f"pulumi config set --stack {stack} azuread:tenantId …"
        )
    if not re.fullmatch(KEY, stack):
        raise InvalidInput(
            "the stack's name cannot be a row's.",
            remedy="Rename it first: pulumi stack rename, with a-z, 0-9 and hyphens.",
        )
    values: dict[str, Sequence[str]] = {"key": [stack]}
    for key, name in _FIELDS.items():
        if key in config:
            values[name] = _texts(config[key], many=BY_NAME[name].many, key=key)
    in_state = values.pop("secretInState", ["true"])
    if in_state != (["false"] if values.get("sinks") else ["true"]):
        values["secretInState"] = in_state  # otherwise than a row without it would have it
    if (method := config.get(_METHOD)) in BY_ITSELF:
        values["credential"] = [str(method)]
    elif method:
        found.notes.append(f"{stack}: it signs in by {method}; name a credential for it in the fleet file.")
    found.rows.append(row_of(values))
    adopted = config.get(_ADOPTED)
    instance, salt = config.get(_INSTANCE), document.get("encryptionsalt")
    if instance or salt or adopted:
        found.kept[stack] = Kept(
            instance_id=str(instance) if instance else None,
            encryption_salt=str(salt) if salt else None,
            settings={_ADOPTED: str(adopted)} if adopted else {},
        )


def _texts(value: Any, *, many: bool, key: str) -> Sequence[str]:
    if isinstance(value, dict | list):
        raise InvalidInput(f"{key} is encrypted or no text.", remedy="Set it as plain text; none of these is a secret.")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace(",", " ").split() if many else [text]


def of_table(path: Path) -> Import:
    """The rows of a CSV file whose fields can be understood; the others are noted with their lines."""
    content = decode(read_bytes(path), str(path))
    found = Import()
    for raw in read_table(content, str(path)):
        found.notes += [f"{path}:{one.line}: {one.where}: {one.message} {one.remedy}".rstrip() for one in raw.problems]
        if not raw.problems and "key" in raw.given and "tenant" in raw.given:
            found.rows.append(row_of({name: given.texts for name, given in raw.given.items()}))
        elif not raw.problems:
            found.notes.append(f"{path}:{raw.line}: {raw.label}: key or tenant is missing.")
    return found


def of_customers(customers: Iterable[Customer]) -> Import:
    """A partner's customers; what Microsoft does not know (the company code) is left for a person."""
    found = Import()
    taken: set[str] = set()
    for customer in customers:
        key = _key_of(customer, taken)
        taken.add(key)
        found.rows.append({"key": (key,), "tenant": (customer.tenant_id.lower(),), "companyCode": ()})
    return found


def _key_of(customer: Customer, taken: set[str]) -> str:
    """A key from a name, and where it is another's or gives none, from the id."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", customer.name) if not unicodedata.combining(one))
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:50].strip("-")
    for candidate in (name, f"{name or 'tenant'}-{customer.tenant_id[:8].lower()}"):
        if re.fullmatch(KEY, candidate) and candidate not in taken:
            try:
                return BY_NAME["key"].check(candidate)
            except ValueError:  # a device's name
                continue
    return customer.tenant_id.lower()
