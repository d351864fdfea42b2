"""The lookups that the stand-in serves, by their tokens.

Owns: ``getServicePrincipal``, ``getApplication``, ``getClientConfig``, ``getApplicationPublishedAppIds``, their
arguments, requests and answers. Does not own: the shapes they share with resources.

Source: terraform-provider-azuread, the ``*_data_source.go`` files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from provision.standin import rules
from provision.standin.fields import Field, text
from provision.standin.planning import State
from provision.standin.published import PUBLISHED_APP_IDS
from provision.standin.resources import directory_shapes
from provision.standin.resources.application_shape import from_graph as application_from_graph
from provision.standin.resources.interface import Refused
from provision.standin.resources.service_principal import principal_from_graph
from provision.standin.session import Json, Session
from provision.standin.wire import Value

_IN_LISTS = {
    "api": "apis",
    "optionalClaims": "optionalClaims",
    "publicClient": "publicClients",
    "singlePageApplication": "singlePageApplications",
    "web": "webs",
}
"""What a resource has as one object, a lookup has as a list of one."""


@dataclass(frozen=True)
class Lookup:
    """One lookup: its arguments, of which exactly one is given, and the question."""

    arguments: tuple[Field, ...]
    ask: Callable[[Session, State], Awaitable[State]]

    def refusals(self, given: Mapping[str, Value]) -> list[str]:
        """What is wrong with the arguments."""
        by_name = {item.name: item for item in self.arguments}
        found = [f"[{name}] Invalid or unknown key" for name in given if name not in by_name]
        named = [name for name in by_name if given.get(name)]
        listed = ", ".join(by_name)
        if by_name and not named:
            found.append(f"Invalid combination of arguments: one of `{listed}` must be specified")
        if len(named) > 1:
            found.append(
                f"Invalid combination of arguments: only one of `{listed}` can be specified, "
                f"but `{', '.join(named)}` were specified."
            )
        found += [
            f"[{name}] {words}" for name in named for rule in by_name[name].rules if (words := rule(given[name], name))
        ]
        return found


async def _client_config(session: Session, given: State) -> State:
    del given
    ids = {"tenantId": session.tenant_id, "clientId": session.client_id, "objectId": session.object_id}
    return {"id": "-".join(ids.values()), **ids}


async def _published_app_ids(session: Session, given: State) -> State:
    del session, given
    return {"id": "appIds", "result": dict(PUBLISHED_APP_IDS)}


async def _service_principal(session: Session, given: State) -> State:
    conditions = {"clientId": "appId eq '{}'", "displayName": "displayName eq '{}'"}
    document = await _one(session, "/servicePrincipals", given, conditions, "service principal")
    extra = await session.get(f"/servicePrincipals/{document['id']}", beta=True, **{"$select": "samlMetadataUrl"})
    state = principal_from_graph(document)
    saml = state.pop("samlSingleSignOn")
    return {
        **state,
        "id": f"/servicePrincipals/{document['id']}",
        "samlMetadataUrl": extra.get("samlMetadataUrl") or "",
        "samlSingleSignOns": [] if saml is None else [saml],
    }


async def _application(session: Session, given: State) -> State:
    conditions = {
        "clientId": "appId eq '{}'",
        "displayName": "displayName eq '{}'",
        "identifierUri": "identifierUris/any(uri:uri eq '{}')",
    }
    document = await _one(session, "/applications", given, conditions, "application")
    path = f"/applications/{document['id']}"
    extra = await session.get(path, beta=True, **{"$select": "oauth2RequirePostResponse"})
    state = application_from_graph(document)
    del state["description"], state["templateId"]
    for name, listed in _IN_LISTS.items():
        value = state.pop(name)
        state[listed] = [] if value is None else [value]
    for web in state["webs"]:
        web["implicitGrants"] = [web.pop("implicitGrant")]
    return {
        **state,
        "id": path,
        "oauth2PostResponseRequired": bool(extra.get("oauth2RequirePostResponse")),
        "owners": await directory_shapes.owners_of(session, path),
        **({"identifierUri": given["identifierUri"]} if given.get("identifierUri") else {}),
    }


async def _one(session: Session, path: str, given: State, conditions: Mapping[str, str], what: str) -> Json:
    if given.get("objectId"):
        found = await session.present(f"{path}/{given['objectId']}")
        if found is None:
            raise Refused(f'[objectId] {what} with object ID "{given["objectId"]}" was not found')
        return found
    name = next(name for name in conditions if given.get(name))
    condition = conditions[name].format(given[name].replace("'", "''"))
    matches = await session.find(path, condition)
    if len(matches) != 1:
        counted = "multiple" if matches else "no"
        raise Refused(f'{what.capitalize()} not found: {counted} {what}s found matching filter: "{condition}"')
    return matches[0]


LOOKUPS: dict[str, Lookup] = {
    "azuread:index/getClientConfig:getClientConfig": Lookup((), _client_config),
    "azuread:index/getApplicationPublishedAppIds:getApplicationPublishedAppIds": Lookup((), _published_app_ids),
    "azuread:index/getServicePrincipal:getServicePrincipal": Lookup(
        (text("clientId", rules.guid), text("displayName", rules.filled), text("objectId", rules.guid)),
        _service_principal,
    ),
    "azuread:index/getApplication:getApplication": Lookup(
        (
            text("clientId", rules.guid),
            text("displayName", rules.filled),
            text("identifierUri", rules.filled),
            text("objectId", rules.guid),
        ),
        _application,
    ),
}
