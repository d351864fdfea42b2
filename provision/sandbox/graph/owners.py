"""Owners and members: references between directory objects.

Owns: reading a reference, adding and removing it in a document's list, the operations under ``owners`` and
``members``, and who becomes the first owner of what is registered. Does not own: who may call them (``permissions``),
members of directory roles (``directory_roles``).
Sources: "Add owner", "Remove owner" of the application, servicePrincipal and group reference pages; for first owners
"Microsoft Entra built-in roles" and "App registration permissions for custom roles".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, schema
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call
from provision.sandbox.published import ROLE

OWNER_KINDS = ("user", "servicePrincipal")
MEMBER_KINDS = ("user", "group", "servicePrincipal")
_REFERENCE = re.compile(
    r"https://[^/]+/(?:v1\.0|beta)(?:/[0-9a-fA-F-]{36})?/"
    r"(?:directoryObjects|users|servicePrincipals|groups|applications)[/(]'?([0-9a-fA-F-]{36})'?\)?",
    re.IGNORECASE,
)
_MAX_OWNERS = 100
UNOWNING_CREATORS = frozenset(
    ROLE[name] for name in ("Global Administrator", "Application Administrator", "Cloud Application Administrator")
)
"""Roles with the action ``create``: "the creator not being added as the first owner". Everybody else registers with
``createAsOwner``, the Application Developer by role and other users by the tenant's default permissions; of several
roles ``create`` counts."""


def reference_target(value: Any) -> str:
    """The object id in an ``@odata.id``; raises GraphError when it is not the URL of a directory object."""
    match = _REFERENCE.fullmatch(unquote(value)) if isinstance(value, str) else None
    if match is None:
        raise errors.GraphError("Unrecognized @odata.id annotation. The value is not a valid entity reference.")
    return match.group(1).lower()


def body_reference(body: Any) -> str:
    """The object id of a ``$ref`` request's body."""
    if not isinstance(body, dict) or "@odata.id" not in body:
        raise errors.GraphError("The request body must contain the required property '@odata.id'.")
    return reference_target(body["@odata.id"])


def check_target(call: Call, identity: str, kinds: tuple[str, ...]) -> None:
    """404 when the object does not exist, 400 when it is of a kind that cannot be referenced here."""
    row = navigation.directory_object(call, identity)
    if row is None:
        raise errors.resource_not_found(identity)
    if row[0] not in kinds:
        raise errors.GraphError("The reference target of this type is not supported for the requested property.")


def bound(call: Call, references: list[str], kinds: tuple[str, ...]) -> list[str]:
    """The ids behind ``owners@odata.bind`` and the like, each checked and named once."""
    identities = [reference_target(reference) for reference in references]
    for identity in identities:
        check_target(call, identity, kinds)
    return list(dict.fromkeys(identities))


def of_new(call: Call, references: list[str]) -> list[str]:
    """The owners of an application or service principal that the caller makes.

    Args:
        call: the request.
        references: the body's ``owners@odata.bind``; the caller joins them where Microsoft makes it the first owner.
    """
    named = bound(call, references, OWNER_KINDS)
    as_owner = call.owned_only or (call.caller.delegated and not call.caller.directory_roles & UNOWNING_CREATORS)
    return list(dict.fromkeys([*named, call.caller.object_id])) if as_owner else named


def add(document: Document, field: str, name: str, identity: str) -> None:
    """Adds a reference; 400 when it is there already or there are too many."""
    if identity in document[field]:
        raise errors.reference_exists(name)
    if name == "owners" and len(document[field]) >= _MAX_OWNERS:
        raise errors.GraphError("The maximum number of owners for this object has been reached.")
    document[field].append(identity)


def drop(document: Document, field: str, identity: str) -> None:
    """Removes a reference; 404 when it is not there."""
    if not schema.is_guid(identity):
        raise errors.invalid_object_id(identity)
    if identity.lower() not in document[field]:
        raise errors.resource_not_found(identity)
    document[field].remove(identity.lower())


@dataclass(frozen=True)
class References:
    """The operations on one navigation property whose references a client adds and removes."""

    kind: str
    """The type that has the property; the store names its documents alike."""
    name: str
    """The navigation property; the document keeps the ids under the same name with ``_`` in front."""
    targets: tuple[str, ...]
    """The kinds of objects that can be referenced."""
    find: Callable[[Call], Document]
    """The object that the path names."""
    last_stays: str = ""
    """Why the last reference cannot be removed; empty when it can."""

    def list(self, call: Call) -> Answer:
        """GET …/owners."""
        return collection.directory_objects(call, navigation.follow(call, self.kind, self.name, self.find(call)))

    def add(self, call: Call) -> Answer:
        """POST …/owners/$ref."""
        document = self.find(call)
        call.require_owner(document)
        identity = body_reference(call.body)
        check_target(call, identity, self.targets)
        add(document, f"_{self.name}", self.name, identity)
        call.directory.replace(call.tenant, self.kind, document)
        return NO_CONTENT

    def remove(self, call: Call) -> Answer:
        """DELETE …/owners/{id}/$ref."""
        document = self.find(call)
        call.require_owner(document)
        drop(document, f"_{self.name}", call.keys["member"])
        if self.last_stays and not document[f"_{self.name}"]:
            raise errors.GraphError(self.last_stays)
        call.directory.replace(call.tenant, self.kind, document)
        return NO_CONTENT
