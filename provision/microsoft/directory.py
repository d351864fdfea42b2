"""Microsoft Graph, as far as a diagnosis needs it: a user, the tenant's policies, an application's doors, the sign-in
log.

Owns: which request answers which question (v1.0, but for per-user multifactor authentication, which only beta tells)
and what an answer comes to for one user. Does not own: the line
(``microsoft.channel``), app registrations (``microsoft.graph``), judging. Each method names its page. Its few changes
are a diagnosis' remedies (``diagnose.fix``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provision.errors import InvalidInput
from provision.microsoft.channel import Document, Line
from provision.microsoft.objects import GRAPH_APP_ID, SignIn
from provision.microsoft.reading import sign_in_of
from provision.microsoft.refusals import GraphRefusal

_READ_USERS = "User.Read.All"
_READ_POLICIES = "Policy.Read.All"
_READ_APPS = "Application.Read.All"
_WRITE_APPS = "Application.ReadWrite.All, or an Application Administrator"
_WRITE_GRANTS = "DelegatedPermissionGrant.ReadWrite.All, or a Cloud Application or Application Administrator"
EXCHANGE_APP_ID = "00000002-0000-0ff1-ce00-000000000000"
_TARGETS = {"All", "Office365", EXCHANGE_APP_ID}
_UNMEETABLE = {"block", "mfa", "compliantDevice", "domainJoinedDevice", "approvedApplication", "compliantApplication"}
"""Grant controls that a client of legacy authentication is blocked by, for it can meet none ("Block legacy
authentication with Conditional Access")."""


@dataclass(frozen=True)
class User:
    """A user as far as sending mail goes."""

    id: str
    name: str
    """User principal name."""
    enabled: bool
    mail: str | None


@dataclass(frozen=True)
class AccessPolicy:
    """A Conditional Access policy, as far as it decides about one user's mail."""

    id: str
    name: str
    blocks_legacy: bool
    blocks_modern: bool
    depends: tuple[str, ...] = ()
    """On what of a sign-in it depends besides, in words: no setting shows whether it applies. Empty: it does."""


@dataclass(frozen=True)
class Door:
    """An enterprise application, as far as it decides who gets in."""

    object_id: str
    enabled: bool
    assignment_required: bool


def _gone(refusal: GraphRefusal) -> bool:
    return refusal.status == 404


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _in_beta(client: Any, path: str) -> Any:
    """The request builder of an address in beta; the SDK is of v1.0."""
    root = str(client.request_adapter.base_url).removesuffix("/v1.0")
    return client.users.with_url(f"{root}/beta{path}")


class Directory(Line):
    """Microsoft Entra as one caller sees it."""

    def user(self, name: str) -> User | None:
        """A user by principal name or address ("List users"); None when there is none."""
        found = self._channel.ask_all(
            lambda client: client.users,
            f"look up the user {name}",
            query={
                "filter": f"userPrincipalName eq {_quoted(name)} or mail eq {_quoted(name)}",
                "select": ["id", "userPrincipalName", "accountEnabled", "mail"],
            },
            needs=_READ_USERS,
        )
        if not found:
            return None
        raw = found[0]
        return User(raw["id"], raw["userPrincipalName"], raw.get("accountEnabled") is not False, raw.get("mail"))

    def has_exchange_licence(self, user_id: str) -> bool:
        """Whether an Exchange Online plan of one of the user's licences is on ("List licenseDetails")."""
        found = self._channel.ask_all(
            lambda client: client.users.by_user_id(user_id).license_details,
            "read the user's licences",
            needs="User.Read.All or Directory.Read.All",
        )
        plans = [plan for licence in found for plan in licence.get("servicePlans") or ()]
        return any(
            str(plan.get("servicePlanName", "")).startswith("EXCHANGE_S_")
            and plan.get("servicePlanName") != "EXCHANGE_S_FOUNDATION"
            and plan.get("provisioningStatus") not in {"Disabled", "Error"}
            for plan in plans
        )

    def mfa_enforced(self, user: User) -> bool:
        """Whether SMTP is refused the user's normal password for per-user multifactor authentication ("Get
        authentication method states", in beta; "Enable per-user Microsoft Entra multifactor authentication": in the
        state enabled "legacy authentication continues to work until the registration process is completed").

        Raises:
            InvalidInput: a state that is none of the three.
        """
        found = self._channel.ask(
            lambda client: _in_beta(client, f"/users/{user.id}/authentication/requirements"),
            "read the user's multifactor authentication",
            needs="Policy.Read.All, and as a user the role Global Reader",
        )
        state = (found or {}).get("perUserMfaState")
        if state not in {"disabled", "enabled", "enforced"}:
            raise InvalidInput(f"Microsoft Graph says {state!r} of the user's multifactor authentication.", remedy="")
        return bool(state == "enforced")

    def mfa_registered(self, user: User) -> bool:
        """Whether the user has registered a second factor ("List userRegistrationDetails"; takes Entra ID P1).

        Raises:
            InvalidInput: the report does not have the user yet.
        """
        found = self._channel.ask_all(
            lambda client: client.reports.authentication_methods.user_registration_details,
            "read which second factors are registered",
            query={"filter": f"userPrincipalName eq {_quoted(user.name)}"},
            needs="AuditLog.Read.All, Directory.Read.All and a Microsoft Entra ID P1 licence",
        )
        if not found:
            raise InvalidInput(f"The report of registered second factors does not have {user.name} yet.", remedy="")
        return bool(found[0].get("isMfaRegistered"))

    def security_defaults(self) -> bool:
        """Whether Security Defaults are on ("Get identitySecurityDefaultsEnforcementPolicy")."""
        found = self._channel.ask(
            lambda client: client.policies.identity_security_defaults_enforcement_policy,
            "read the security defaults",
            needs=_READ_POLICIES,
        )
        return bool((found or {}).get("isEnabled"))

    def set_security_defaults(self, on: bool) -> None:
        """Switches Security Defaults ("Update identitySecurityDefaultsEnforcementPolicy")."""
        self._channel.ask(
            lambda client: client.policies.identity_security_defaults_enforcement_policy,
            "change the security defaults",
            method="PATCH",
            body={"isEnabled": on},
            needs="Policy.ReadWrite.SecurityDefaults, and a Security or Conditional Access Administrator",
        )

    def access_policies(self, user: User) -> list[AccessPolicy]:
        """The enabled Conditional Access policies that block a user's mail one way or another ("List policies"), those
        that look at a place, a platform, a device or a risk among them ("List namedLocations" for their names).
        """
        found = self._channel.ask_all(
            lambda client: client.identity.conditional_access.policies,
            "read the Conditional Access policies",
            needs=_READ_POLICIES,
        )
        enabled = [raw for raw in found if raw.get("state") == "enabled"]
        if not enabled:
            return []
        groups, roles = self._memberships(user.id)
        places = self._places() if any(_place_ids(raw) for raw in enabled) else {}
        read = [_policy_of(raw, {user.id, "All"}, groups, roles, places) for raw in enabled]
        return [policy for policy in read if policy.blocks_legacy or policy.blocks_modern]

    def _places(self) -> dict[str, str]:
        """The names of named locations by their ids."""
        found = self._channel.ask_all(
            lambda client: client.identity.conditional_access.named_locations,
            "read the named locations",
            needs=_READ_POLICIES,
        )
        return {place["id"]: str(place.get("displayName") or place["id"]) for place in found}

    def exclude_from_policy(self, policy_id: str, user: User) -> None:
        """Adds a user to those whom a Conditional Access policy excludes ("Update conditionalAccessPolicy"); the rest
        of its conditions is sent back as it is.
        """

        def address(client: Any) -> Any:
            return client.identity.conditional_access.policies.by_conditional_access_policy_id(policy_id)

        raw = self._channel.ask(address, "read the Conditional Access policy", needs=_READ_POLICIES) or {}
        conditions = raw.get("conditions") or {}
        users = conditions.get("users") or {}
        excluded = list(dict.fromkeys([*(users.get("excludeUsers") or ()), user.id]))
        self._channel.ask(
            address,
            "change the Conditional Access policy",
            method="PATCH",
            body={"conditions": {**conditions, "users": {**users, "excludeUsers": excluded}}},
            needs="Policy.ReadWrite.ConditionalAccess, and a Conditional Access Administrator",
        )

    def add_web_redirect(self, object_id: str, uri: str) -> None:
        """Registers a redirect URI as Web, and takes the same one, in any letter case, from every other place.

        The whole ``web`` is sent back, for a part of it would reset the rest ("Update application").
        """

        def address(client: Any) -> Any:
            return client.applications.by_application_id(object_id)

        select = {"select": ["web", "spa", "publicClient"]}
        raw = self._channel.ask(address, "read the application", query=select, needs=_READ_APPS) or {}
        body: dict[str, Any] = {}
        for kind in ("web", "spa", "publicClient"):
            held = raw.get(kind) or {}
            uris = list(held.get("redirectUris") or ())
            wanted = [one for one in uris if one.lower() != uri.lower()] + ([uri] if kind == "web" else [])
            if wanted != uris:
                kept = {name: value for name, value in held.items() if name != "redirectUriSettings"}
                body[kind] = {**kept, "redirectUris": wanted}
        if body:
            self._channel.ask(address, "change the redirect URIs", method="PATCH", body=body, needs=_WRITE_APPS)

    def consent(self, app_id: str, resource_app_id: str, scopes: Collection[str]) -> None:
        """Consents to delegated permissions for the whole tenant, and makes the enterprise application where there is
        none ("Create oAuth2PermissionGrant"); what was consented to before is kept.

        Raises:
            InvalidInput: the tenant has no such resource.
        """
        client_id = (self.door(app_id) or self._new_door(app_id)).object_id
        resource = self.door(resource_app_id)
        if resource is None:
            raise InvalidInput(f"The tenant does not know the resource {resource_app_id}.", remedy="Check the cloud.")
        found = self._channel.ask_all(
            lambda client: client.oauth2_permission_grants,
            "list the grants",
            query={"filter": f"clientId eq {_quoted(client_id)}"},
            needs="Directory.Read.All",
        )
        same = [
            one for one in found if one["resourceId"] == resource.object_id and one["consentType"] == "AllPrincipals"
        ]
        if not same:
            self._channel.ask(
                lambda client: client.oauth2_permission_grants,
                "consent",
                method="POST",
                body={
                    "clientId": client_id,
                    "consentType": "AllPrincipals",
                    "resourceId": resource.object_id,
                    "scope": " ".join(scopes),
                },
                needs=_WRITE_GRANTS,
            )
            return
        before = str(same[0].get("scope") or "").split()
        self._channel.ask(
            lambda client: client.oauth2_permission_grants.by_o_auth2_permission_grant_id(same[0]["id"]),
            "extend the consent",
            method="PATCH",
            body={"scope": " ".join(dict.fromkeys([*before, *scopes]))},
            needs=_WRITE_GRANTS,
        )

    def _new_door(self, app_id: str) -> Door:
        made = self._channel.ask(
            lambda client: client.service_principals,
            "make the enterprise application",
            method="POST",
            body={"appId": app_id},
            needs=_WRITE_APPS,
        )
        return Door(str((made or {})["id"]), enabled=True, assignment_required=False)

    def _memberships(self, user_id: str) -> tuple[set[str], set[str]]:
        found = self._channel.ask_all(
            lambda client: client.users.by_user_id(user_id).transitive_member_of,
            "read the user's groups",
            needs="User.Read.All and GroupMember.Read.All, or Directory.Read.All",
        )
        groups = {item["id"] for item in found}
        return groups, {str(item["roleTemplateId"]) for item in found if item.get("roleTemplateId")}

    def door(self, app_id: str) -> Door | None:
        """The enterprise application of an appId ("List servicePrincipals"); None when there is none."""
        found = self._channel.ask_all(
            lambda client: client.service_principals,
            "look up the enterprise application",
            query={
                "filter": f"appId eq {_quoted(app_id)}",
                "select": ["id", "accountEnabled", "appRoleAssignmentRequired"],
            },
            needs=_READ_APPS,
        )
        if not found:
            return None
        raw = found[0]
        return Door(raw["id"], raw.get("accountEnabled") is not False, bool(raw.get("appRoleAssignmentRequired")))

    def assigned(self, door: Door) -> set[str]:
        """Object ids of users and groups that are assigned to an application ("List appRoleAssignedTo")."""
        found = self._channel.ask_all(
            lambda client: client.service_principals.by_service_principal_id(door.object_id).app_role_assigned_to,
            "list who is assigned to the application",
            needs=_READ_APPS,
        )
        return {str(item["principalId"]) for item in found}

    def groups_of(self, user: User) -> set[str]:
        """Object ids of the groups that a user is in, directly or not ("List a user's memberships")."""
        return self._memberships(user.id)[0]

    def granted_roles(self, door: Door, resource: str = GRAPH_APP_ID) -> list[str]:
        """Names of the application permissions that were consented to ("List appRoleAssignments").

        Args:
            door: the enterprise application.
            resource: whose permissions, by its application id: Microsoft Graph's, or Exchange Online's.
        """
        found = self._channel.ask_all(
            lambda client: client.service_principals.by_service_principal_id(door.object_id).app_role_assignments,
            "list the application's permissions",
            needs=_READ_APPS,
        )
        ids = {str(item["appRoleId"]) for item in found}
        if not ids:
            return []
        owner = self._channel.ask_all(
            lambda client: client.service_principals,
            "look up the permissions' names",
            query={"filter": f"appId eq {_quoted(resource)}", "select": ["id", "appRoles"]},
            needs=_READ_APPS,
        )
        roles = owner[0].get("appRoles") or () if owner else ()
        return sorted(str(role.get("value")) for role in roles if role.get("id") in ids)

    def sign_ins_of(self, user: User, since: datetime) -> list[SignIn]:
        """A user's sign-ins, newest first ("List signIns"; the log takes Entra ID P1)."""
        moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        found = self._channel.ask_all(
            lambda client: client.audit_logs.sign_ins,
            "read the sign-in log",
            query={"filter": f"userId eq {_quoted(user.id)} and createdDateTime ge {moment}", "top": 50},
            needs="AuditLog.Read.All, and a Microsoft Entra ID P1 licence",
        )
        return [sign_in_of(item) for item in found]


def _policy_of(
    raw: Document,
    user: Collection[str],
    groups: Collection[str],
    roles: Collection[str],
    places: Mapping[str, str],
) -> AccessPolicy:
    """What a policy comes to for a user. One for a flow of its own (device code) is not about mail."""
    conditions = raw.get("conditions") or {}
    controls = set((raw.get("grantControls") or {}).get("builtInControls") or ())
    clients = set(conditions.get("clientAppTypes") or ())
    applies = (
        _names(conditions, user, groups, roles)
        and bool(_TARGETS & set((conditions.get("applications") or {}).get("includeApplications") or ()))
        and EXCHANGE_APP_ID not in ((conditions.get("applications") or {}).get("excludeApplications") or ())
        and (conditions.get("authenticationFlows") or {}).get("transferMethods") in (None, "", "none")
    )
    return AccessPolicy(
        id=raw["id"],
        name=raw.get("displayName") or raw["id"],
        blocks_legacy=applies and bool(clients & {"other", "all"}) and bool(controls & _UNMEETABLE),
        blocks_modern=applies
        and bool(clients & {"browser", "mobileAppsAndDesktopClients", "all"})
        and "block" in controls,
        depends=_depends(conditions, places),
    )


def _names(conditions: Document, user: Collection[str], groups: Collection[str], roles: Collection[str]) -> bool:
    users = conditions.get("users") or {}

    def any_of(prefix: str) -> bool:
        def listed(kind: str) -> Iterable[str]:
            return users.get(f"{prefix}{kind}") or ()

        return (
            any(one in user for one in listed("Users"))
            or any(one in groups for one in listed("Groups"))
            or any(one in roles for one in listed("Roles"))
        )

    return any_of("include") and not any_of("exclude")


def _place_ids(raw: Document) -> list[str]:
    """What a policy's condition of places names, but for every place."""
    locations = (raw.get("conditions") or {}).get("locations") or {}
    both = [*(locations.get("includeLocations") or ()), *(locations.get("excludeLocations") or ())]
    return [name for name in both if name != "All"]


def _depends(conditions: Document, places: Mapping[str, str]) -> tuple[str, ...]:
    """Where, with what, or at which risk a policy applies, in words; empty for everywhere and everything."""

    def named(kind: str, prefix: str, every: str, names: Mapping[str, str]) -> str:
        found = (conditions.get(kind) or {}).get(prefix + kind.capitalize()) or ()
        return ", ".join(names.get(one, one) for one in found if one != every)

    known = {"AllTrusted": "trusted places", **places}
    device = (conditions.get("devices") or {}).get("deviceFilter") or {}
    said = {
        "from": named("locations", "include", "All", known),
        "not from": named("locations", "exclude", "All", known),
        "on": named("platforms", "include", "all", {}),
        "not on": named("platforms", "exclude", "all", {}),
        "at a user risk": ", ".join(conditions.get("userRiskLevels") or ()),
        "at a sign-in risk": ", ".join(conditions.get("signInRiskLevels") or ()),
        "at an insider risk": str(conditions.get("insiderRiskLevels") or ""),
        "with a device for which": str(device.get("rule") or "") if device.get("mode") == "include" else "",
        "without a device for which": str(device.get("rule") or "") if device.get("mode") == "exclude" else "",
    }
    return tuple(f"{how} {what}" for how, what in said.items() if what)
