"""Shapes that applications and service principals share, between Graph and state.

Owns: roles, scopes, feature tags, owners.
Does not own: either resource.

Source of the tags: "Tags property of servicePrincipal" (Microsoft Graph) and terraform-provider-azuread,
``feature_tags``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from provision.standin.planning import State
from provision.standin.session import Json, Session
from provision.standin.wire import Value

FEATURE_TAGS = {
    "customSingleSignOn": "WindowsAzureActiveDirectoryCustomSingleSignOnApplication",
    "enterprise": "WindowsAzureActiveDirectoryIntegratedApp",
    "gallery": "WindowsAzureActiveDirectoryGalleryApplicationNonPrimaryV1",
    "hide": "HideApp",
}
"""Pulumi's name of a feature, and the tag that Microsoft reads."""

_CREATED_WITH_OWNERS = 20
"""Graph binds at most so many owners in the creating request."""

ROLE_TO_GRAPH = {
    "id": "id",
    "allowedMemberTypes": "allowedMemberTypes",
    "description": "description",
    "displayName": "displayName",
    "enabled": "isEnabled",
    "value": "value",
}
SCOPE_TO_GRAPH = {
    "id": "id",
    "adminConsentDescription": "adminConsentDescription",
    "adminConsentDisplayName": "adminConsentDisplayName",
    "enabled": "isEnabled",
    "type": "type",
    "userConsentDescription": "userConsentDescription",
    "userConsentDisplayName": "userConsentDisplayName",
    "value": "value",
}


def to_graph(names: Mapping[str, str], items: Iterable[State] | None) -> list[Json]:
    """State's objects as Graph's."""
    return [{graph: item[name] for name, graph in names.items()} for item in items or []]


def from_graph(names: Mapping[str, str], items: Iterable[Json] | None) -> list[State]:
    """Graph's objects as state's; a missing text is empty."""
    return [
        {
            name: item.get(graph) or ([] if name == "allowedMemberTypes" else False if name == "enabled" else "")
            for name, graph in names.items()
        }
        for item in items or []
    ]


def ids_by_value(items: Iterable[Json] | None) -> dict[str, str]:
    """The ids of roles or scopes by the value that stands in a token."""
    return {item["value"]: item["id"] for item in items or [] if item.get("value")}


def features_of(tags: Sequence[str] | None) -> list[State]:
    """The features that tags stand for."""
    present = {tag.lower() for tag in tags or []}
    return [{name: tag.lower() in present for name, tag in FEATURE_TAGS.items()}]


def tags_of(features: Sequence[State] | None) -> list[str]:
    """The tags that features stand for."""
    return [tag for name, tag in FEATURE_TAGS.items() for feature in (features or [])[:1] if feature.get(name)]


def owner_bindings(session: Session, wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The owners to bind in the creating request, the caller first, and those to add afterwards."""
    others = [owner for owner in wanted or [] if owner.lower() != session.object_id.lower()]
    first, rest = others[: _CREATED_WITH_OWNERS - 1], others[_CREATED_WITH_OWNERS - 1 :]
    return [session.reference(owner) for owner in [session.object_id, *first]], rest


async def finish_owners(session: Session, path: str, wanted: Sequence[str] | None) -> None:
    """Adds the owners that did not fit into the creating request; takes the caller out unless it was asked for."""
    _, rest = owner_bindings(session, wanted)
    for owner in rest:
        await session.post(f"{path}/owners/$ref", {"@odata.id": session.reference(owner)})
    if session.object_id.lower() not in {owner.lower() for owner in wanted or []}:
        await session.delete(f"{path}/owners/{session.object_id}/$ref")


async def set_owners(session: Session, path: str, wanted: Sequence[str] | None) -> None:
    """Makes exactly these the owners; adds before it removes, so that there always is one."""
    present = await owners_of(session, path)
    for owner in sorted(set(wanted or []) - set(present)):
        await session.post(f"{path}/owners/$ref", {"@odata.id": session.reference(owner)})
    for owner in sorted(set(present) - set(wanted or [])):
        await session.delete(f"{path}/owners/{owner}/$ref")


async def owners_of(session: Session, path: str) -> list[str]:
    """The object ids of the owners."""
    return [owner["id"] for owner in await session.all(f"{path}/owners")]


def text_of(document: Json, name: str) -> Value:
    """A text, empty when Graph has none."""
    return document.get(name) or ""
