"""``azuread.ServicePrincipal`` against the local tenant.

Owns: its table, its requests and its shape. Source: terraform-provider-azuread, ``service_principal_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import block, block_list, flag, mapping, text, text_list, texts
from provision.standin.planning import State
from provision.standin.resources import directory_shapes as shapes
from provision.standin.resources.interface import Made, Refused, Resource, Timeouts, carried
from provision.standin.session import Deadline, GraphRefusal, Json, Session

_ID = "/servicePrincipals/{servicePrincipalId}"
_FEATURES = {
    "customSingleSignOnApp": "customSingleSignOn",
    "enterpriseApplication": "enterprise",
    "galleryApplication": "gallery",
}
"""The older block ``features`` by the names of ``featureTags``; ``visibleToUsers`` is the opposite of ``hide``."""

_TEXTS = {
    "description": "description",
    "loginUrl": "loginUrl",
    "notes": "notes",
    "preferredSingleSignOnMode": "preferredSingleSignOnMode",
}
_OUTPUT_TEXTS = {
    "applicationTenantId": "appOwnerOrganizationId",
    "clientId": "appId",
    "displayName": "displayName",
    "homepageUrl": "homepage",
    "logoutUrl": "logoutUrl",
    "objectId": "id",
    "signInAudience": "signInAudience",
    "type": "servicePrincipalType",
}
_NOT_YET = ("does not reference a valid application object", "the backing application of the service principal")
_MODES = ("", "notSupported", "oidc", "password", "saml")
_TEXT_LENGTH = 1024
_EVERYTHING = frozenset({"featureTags", "features", "samlSingleSignOn", "tags"})
"""What a create and a take-over set from their inputs alone."""


class ServicePrincipal(Resource):
    """An enterprise application."""

    token = "azuread:index/servicePrincipal:ServicePrincipal"  # noqa: S105 - Pulumi's word for a type's name
    known_as = "azuread_service_principal"
    timeouts = Timeouts(create=600, read=300, update=600, delete=300)
    schema_version = 1
    fields = (
        text("clientId", rules.guid, required=True, replaces=True),
        flag("accountEnabled", default=True),
        texts("alternativeNames", rules.filled),
        flag("appRoleAssignmentRequired"),
        text("description", rules.length(0, _TEXT_LENGTH)),
        block_list(
            "featureTags",
            flag("customSingleSignOn"),
            flag("enterprise"),
            flag("gallery"),
            flag("hide"),
            computed=True,
            conflicts=("features", "tags"),
        ),
        block_list(
            "features",
            flag("customSingleSignOnApp"),
            flag("enterpriseApplication"),
            flag("galleryApplication"),
            flag("visibleToUsers", default=True),
            computed=True,
            conflicts=("featureTags", "tags"),
        ),
        text("loginUrl", rules.web_address),
        text("notes", rules.length(0, _TEXT_LENGTH)),
        texts("notificationEmailAddresses", rules.filled),
        texts("owners", rules.guid),
        text("preferredSingleSignOnMode", rules.one_of(*_MODES)),
        block("samlSingleSignOn", text("relayState", rules.filled)),
        texts("tags", computed=True, conflicts=("features", "featureTags")),
        flag("useExisting"),
        mapping("appRoleIds", output=True),
        block_list(
            "appRoles",
            text("id", output=True),
            text_list("allowedMemberTypes", output=True),
            text("description", output=True),
            text("displayName", output=True),
            flag("enabled", output=True),
            text("value", output=True),
            output=True,
        ),
        text("applicationTenantId", output=True),
        text("displayName", output=True),
        text("homepageUrl", output=True),
        text("logoutUrl", output=True),
        mapping("oauth2PermissionScopeIds", output=True),
        block_list(
            "oauth2PermissionScopes",
            text("id", output=True),
            text("adminConsentDescription", output=True),
            text("adminConsentDisplayName", output=True),
            flag("enabled", output=True),
            text("type", output=True),
            text("userConsentDescription", output=True),
            text("userConsentDisplayName", output=True),
            text("value", output=True),
            output=True,
        ),
        text("objectId", output=True),
        text_list("redirectUris", output=True),
        text("samlMetadataUrl", output=True),
        text_list("servicePrincipalNames", output=True),
        text("signInAudience", output=True),
        text("type", output=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``/servicePrincipals/{object id}``."""
        return rules.resource_id(_ID)(resource_id, "id") is None

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Posts the service principal, or takes the one that is there when ``useExisting`` says so."""
        present = await session.find("/servicePrincipals", f"appId eq '{planned['clientId']}'")
        if present and not planned["useExisting"]:
            raise Refused(
                f'A resource with the ID "{present[0]["id"]}" already exists: '
                "this application has its service principal.",
                remedy="Import it (/servicePrincipals/{id}) or set useExisting.",
            )
        if present:
            path = f"/servicePrincipals/{present[0]['id']}"
            await session.patch(path, _to_graph(planned, _EVERYTHING))
            return Made(path, {"objectId": present[0]["id"]}, was_there=True)
        body = _to_graph(planned, _EVERYTHING) | {"appId": planned["clientId"]}
        body["owners@odata.bind"], _ = shapes.owner_bindings(session, planned.get("owners"))
        made = await session.post("/servicePrincipals", body, deadline=deadline, again=_not_replicated)
        return Made(f"/servicePrincipals/{made['id']}", {"objectId": made["id"]})

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until it is there, then sets its owners."""
        await session.wait_for(made.id, deadline, "the service principal")
        if not made.was_there:
            await shapes.finish_owners(session, made.id, planned.get("owners"))
        elif planned.get("owners"):
            await shapes.set_owners(session, made.id, planned["owners"])

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the service principal, the one property that only beta tells, and the owners."""
        document = await session.present(resource_id)
        if document is None:
            return None
        extra = await session.get(resource_id, beta=True, **{"$select": "samlMetadataUrl"})
        return {
            **principal_from_graph(document),
            "samlMetadataUrl": extra.get("samlMetadataUrl") or "",
            "owners": await shapes.owners_of(session, resource_id),
            **carried(prior, "useExisting"),
        }

    async def update(
        self, session: Session, resource_id: str, planned: State, changed: frozenset[str], deadline: Deadline
    ) -> None:
        """Patches the service principal and, when they differ, its owners."""
        del deadline
        await session.patch(resource_id, _to_graph(planned, changed))
        if "owners" in changed:
            await shapes.set_owners(session, resource_id, planned.get("owners"))

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes it; with ``useExisting`` a refusal (Microsoft's own principals) is accepted, as the plugin does."""
        try:
            await session.delete(resource_id)
        except GraphRefusal:
            if not prior.get("useExisting"):
                raise
            return
        await session.wait_gone(resource_id, deadline)


def principal_from_graph(document: Json) -> State:
    """What a service principal and its lookup have in common, as state."""
    names = document.get("servicePrincipalNames") or []
    features = shapes.features_of(document.get("tags"))[0]
    saml = document.get("samlSingleSignOnSettings")
    return {
        **{name: shapes.text_of(document, graph) for name, graph in {**_TEXTS, **_OUTPUT_TEXTS}.items()},
        "accountEnabled": bool(document.get("accountEnabled")),
        "alternativeNames": document.get("alternativeNames") or [],
        "appRoleAssignmentRequired": bool(document.get("appRoleAssignmentRequired")),
        "appRoleIds": shapes.ids_by_value(document.get("appRoles")),
        "appRoles": shapes.from_graph(shapes.ROLE_TO_GRAPH, document.get("appRoles")),
        "featureTags": [features],
        "features": [{old: features[new] for old, new in _FEATURES.items()} | {"visibleToUsers": not features["hide"]}],
        "notificationEmailAddresses": document.get("notificationEmailAddresses") or [],
        "oauth2PermissionScopeIds": shapes.ids_by_value(document.get("oauth2PermissionScopes")),
        "oauth2PermissionScopes": shapes.from_graph(shapes.SCOPE_TO_GRAPH, document.get("oauth2PermissionScopes")),
        "redirectUris": document.get("replyUrls") or [],
        "samlSingleSignOn": None if saml is None else {"relayState": saml.get("relayState") or ""},
        "servicePrincipalNames": [name for name in names if name.lower() != document["appId"].lower()],
        "tags": document.get("tags") or [],
    }


def _to_graph(planned: State, changed: frozenset[str]) -> Json:
    relay = (planned.get("samlSingleSignOn") or {}).get("relayState") or None
    return {
        **{graph: planned.get(name) or None for name, graph in _TEXTS.items()},
        "accountEnabled": planned["accountEnabled"],
        "alternativeNames": planned.get("alternativeNames") or [],
        "appRoleAssignmentRequired": bool(planned.get("appRoleAssignmentRequired")),
        "notificationEmailAddresses": planned.get("notificationEmailAddresses") or [],
        "samlSingleSignOnSettings": {"relayState": relay} if relay else {},
        "tags": _tags(planned, changed),
    }


def _tags(planned: State, changed: frozenset[str]) -> list[str]:
    features, older, tags = planned.get("featureTags"), planned.get("features"), planned.get("tags")
    if features and "featureTags" in changed:
        return shapes.tags_of(features)
    if older and "features" in changed:
        named = {new: older[0].get(old) for old, new in _FEATURES.items()}
        return shapes.tags_of([named | {"hide": not older[0].get("visibleToUsers")}])
    return list(tags or [])


def _not_replicated(refusal: GraphRefusal) -> bool:
    return any(words in refusal.graph_message for words in _NOT_YET)
