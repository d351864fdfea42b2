"""``azuread.Application`` against the local tenant.

Owns: the requests of its life, in the order of the real plugin, and the refusals that need several properties.
Does not own: the table (``application_fields``) and the shapes (``application_shape``).

Source: terraform-provider-azuread, ``application_resource.go`` and ``applications.go``; personal-account limits from
"Validation differences by supported account types" (Microsoft identity platform).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from provision.standin import rules
from provision.standin.planning import State
from provision.standin.resources import application_fields, application_shape, directory_shapes
from provision.standin.resources.interface import Made, Refused, Resource, Timeouts, carried
from provision.standin.session import Deadline, Json, Session
from provision.standin.wire import Value, contains_unknown

_ID = "/applications/{applicationId}"
_PERSONAL = frozenset({"AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"})
_PERSONAL_URI_SCHEMES = ["http", "https", "api", "ms-appx"]


class Application(Resource):
    """An app registration."""

    token = "azuread:index/application:Application"  # noqa: S105 - Pulumi's word for a type's name
    known_as = "azuread_application"
    fields = application_fields.FIELDS
    timeouts = Timeouts(create=600, read=300, update=600, delete=300)
    schema_version = 2

    def owns_id(self, resource_id: str) -> bool:
        """``/applications/{object id}``."""
        return rules.resource_id(_ID)(resource_id, "id") is None

    def contradictions(self, planned: State) -> list[str]:
        """Roles and scopes that clash, and what personal accounts do not allow."""
        return [*_clashing_permissions(planned), *_personal_account_limits(planned)]

    async def foresee(self, session: Session, planned: State, prior: State | None) -> None:
        """Refuses a second application of the same name where that was asked for."""
        name = planned["displayName"]
        unchanged = prior is not None and prior.get("displayName") == name
        if not planned["preventDuplicateNames"] or contains_unknown(name) or unchanged:
            return
        own = prior.get("objectId") if prior else None
        quoted = name.replace("'", "''")
        for found in await session.find("/applications", f"displayName eq '{quoted}'"):
            if found["displayName"] == name and found["id"] != own:
                raise Refused(
                    f'An existing "{self.known_as}" with name "{name}" (ID: "{found["id"]}") was found and '
                    "`preventDuplicateNames` was specified.",
                    remedy="Import it, give the new one another name, or leave preventDuplicateNames out.",
                )

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Posts the application, the caller among its owners."""
        await self.foresee(session, planned, None)
        body = application_shape.to_graph(planned)
        body["tags"] = _tags(planned, frozenset({"featureTags"}))
        body["api"]["acceptMappedClaims"] = False
        body["owners@odata.bind"], _ = directory_shapes.owner_bindings(session, planned.get("owners"))
        made = await session.post("/applications", body, deadline=deadline)
        return Made(f"/applications/{made['id']}", {"objectId": made["id"], "clientId": made["appId"]})

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until it is there, then sets what the creating request cannot."""
        await session.wait_for(made.id, deadline, "the new application")
        if planned.get("oauth2PostResponseRequired") is not None:
            await _require_post(session, made.id, planned)
        if (planned.get("api") or {}).get("mappedClaimsEnabled"):
            await session.patch(made.id, {"api": {"acceptMappedClaims": True}})
        await directory_shapes.finish_owners(session, made.id, planned.get("owners"))

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the application, the one property that only beta tells, and the owners."""
        document = await session.present(resource_id)
        if document is None:
            return None
        extra = await session.get(resource_id, beta=True, **{"$select": "oauth2RequirePostResponse"})
        return {
            **application_shape.from_graph(document),
            "oauth2PostResponseRequired": bool(extra.get("oauth2RequirePostResponse")),
            "owners": await directory_shapes.owners_of(session, resource_id),
            "logoImage": prior.get("logoImage") or "",
            "preventDuplicateNames": bool(prior.get("preventDuplicateNames")),
            **carried({}, "password"),
        }

    async def update(
        self, session: Session, resource_id: str, planned: State, changed: frozenset[str], deadline: Deadline
    ) -> None:
        """Patches the application; permissions are disabled before they are changed or removed, as Graph demands."""
        await self.foresee(session, planned, {"objectId": resource_id.rpartition("/")[2]})
        async with session.lock(resource_id):
            body = application_shape.changes_to_graph(planned, changed)
            body["tags"] = _tags(planned, changed)
            await _disable_leaving(session, resource_id, body, deadline)
            await session.patch(resource_id, body)
            if "oauth2PostResponseRequired" in changed:
                await _require_post(session, resource_id, planned)
            if "owners" in changed:
                await directory_shapes.set_owners(session, resource_id, planned.get("owners"))

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes the application (it stays in the deleted items for 30 days, as Microsoft keeps it)."""
        del prior
        async with session.lock(resource_id):
            await session.delete(resource_id)
        await session.wait_gone(resource_id, deadline)


def _tags(planned: State, changed: frozenset[str]) -> list[str]:
    features = planned.get("featureTags")
    if features and "featureTags" in changed:
        return directory_shapes.tags_of(features)
    return list(planned.get("tags") or [])


async def _require_post(session: Session, resource_id: str, planned: State) -> None:
    body = {"oauth2RequirePostResponse": bool(planned.get("oauth2PostResponseRequired"))}
    await session.patch(resource_id, body, beta=True)


async def _disable_leaving(session: Session, resource_id: str, body: Json, deadline: Deadline) -> None:
    roles, scopes = body.get("appRoles"), body["api"].get("oauth2PermissionScopes")
    if roles is None and scopes is None:
        return
    document = await session.get(resource_id)
    first: Json = {}
    if roles is not None and (disabled := _disabled(document["appRoles"], roles)):
        first["appRoles"] = disabled
    if scopes is not None and (disabled := _disabled(document["api"]["oauth2PermissionScopes"], scopes)):
        first["api"] = {"oauth2PermissionScopes": disabled}
    if first:
        await session.patch(resource_id, first)
        await session.wait(
            lambda: _shows_disabled(session, resource_id, first),
            deadline,
            "permissions to be disabled before they change",
        )


def _disabled(present: list[Json], wanted: list[Json]) -> list[Json] | None:
    by_id = {item["id"]: item for item in wanted}
    leaving = {
        item["id"]
        for item in present
        if item.get("isEnabled")
        and (
            item["id"] not in by_id
            or any((item.get(name) or "") != (value or "") for name, value in by_id[item["id"]].items())
        )
    }
    return [{**item, "isEnabled": False} if item["id"] in leaving else item for item in present] if leaving else None


async def _shows_disabled(session: Session, resource_id: str, first: Json) -> bool | None:
    document = await session.get(resource_id)
    expected = [*first.get("appRoles", []), *first.get("api", {}).get("oauth2PermissionScopes", [])]
    off = {item["id"] for item in expected if not item["isEnabled"]}
    shown = [*document["appRoles"], *document["api"]["oauth2PermissionScopes"]]
    return None if any(item["id"] in off and item["isEnabled"] for item in shown) else True


def _clashing_permissions(planned: State) -> list[str]:
    scopes = (planned.get("api") or {}).get("oauth2PermissionScopes") or []
    seen: dict[str, Value] = {}
    refusals = []
    for item in [*(planned.get("appRoles") or []), *scopes]:
        permission_id, value = item["id"], item.get("value")
        if contains_unknown([permission_id, value]) or not value:
            continue
        if seen.setdefault(f"id {permission_id}", value) != value:
            refusals.append(f'validation failed: duplicate ID found: "{permission_id}"')
        if seen.setdefault(f"value {value}", permission_id) != permission_id:
            refusals.append(f'validation failed: duplicate value found: "{value}"')
    return refusals


def _personal_account_limits(planned: State) -> list[str]:
    audience = planned["signInAudience"]
    if audience not in _PERSONAL:
        return []
    api = planned.get("api") or {}
    redirects = [
        uri
        for name in ("publicClient", "singlePageApplication", "web")
        for uri in (planned.get(name) or {}).get("redirectUris") or []
        if not contains_unknown(uri)
    ]
    checks = (
        (api.get("requestedAccessTokenVersion", 1) == 1, "`api.requestedAccessTokenVersion` must be 2"),
        (
            any(len(scope.get("value") or "") > 40 for scope in api.get("oauth2PermissionScopes") or []),
            "`value` in `api.oauth2PermissionScopes` must be 40 characters or less",
        ),
        (
            any(rules.address(_PERSONAL_URI_SCHEMES)(uri, "") for uri in planned.get("identifierUris") or []),
            "`identifierUris` must not use the URN scheme",
        ),
        (len(redirects) > 100, "`redirectUris` must have no more than 100 URIs"),
        (any("*" in (urlsplit(uri).netloc) for uri in redirects), "`redirectUris` must not have wildcard hosts"),
    )
    return [f'{words} when `signInAudience` is "{audience}"' for wrong, words in checks if wrong]
