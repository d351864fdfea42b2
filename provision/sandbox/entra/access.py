"""Whether a sign-in may go on: assignment, Security Defaults, Conditional Access and second factors.

Owns: the decision. Does not own: asking for the second factor (``interaction``).
Sources: "Security defaults in Microsoft Entra ID"; Microsoft Graph's conditionalAccessPolicy resource.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra import places
from provision.sandbox.entra.accounts import role_templates
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.errors import EntraError

_OFFICE_365 = frozenset({"00000003-0000-0000-c000-000000000000", "00000002-0000-0ff1-ce00-000000000000"})
"""Members of the "Office365" application group that exist here."""
_RISKS = ("signInRiskLevels", "userRiskLevels")
_DEVICE_CONTROLS = {"compliantDevice": "compliant", "domainJoinedDevice": "domain_joined"}


@dataclass(frozen=True)
class Attempt:
    """One sign-in to be judged; ``client_app_type`` as Conditional Access names it."""

    tenant_id: str
    user: Document
    client: Client
    principal: Document | None
    resource: Document
    client_app_type: str
    """``browser``, ``mobileAppsAndDesktopClients``, ``exchangeActiveSync`` or ``other`` (legacy authentication)."""
    transfer_method: str = ""
    """``deviceCodeFlow`` where a code was typed in, as Conditional Access names authentication flows; else empty."""
    address: str = ""
    """The caller's IP address, by which places are told."""


@dataclass(frozen=True)
class Demand:
    """What the sign-in still needs."""

    second_factor: bool
    """The account must pass a second factor."""
    registration: bool
    """The account has none yet and must register one."""


def judge(directory: Directory, attempt: Attempt) -> Demand:
    """Decides.

    Raises:
        EntraError: 50105 not assigned, 53003 blocked, 53000 device not compliant, 530035 legacy authentication or
            a device code under Security Defaults ("After security defaults are enabled in your tenant, authentication
            requests that use device code flow are blocked").
    """
    _check_assignment(directory, attempt)
    method = attempt.user.get("_mfa", "off")
    required = method != "off"
    templates = role_templates(directory, attempt.tenant_id, attempt.user["id"])
    if _security_defaults(directory, attempt.tenant_id):
        if attempt.client_app_type in {"other", "exchangeActiveSync"} or attempt.transfer_method == "deviceCodeFlow":
            raise EntraError(530035)
        required = True
    for policy in directory.all(attempt.tenant_id, "conditionalAccessPolicy", fresh=True):
        if policy.get("state") == "enabled" and _applies(directory, policy, attempt, templates):
            required |= _enforce(policy)
    return Demand(second_factor=required, registration=required and not _registered(attempt.user))


def require_without_interaction(directory: Directory, attempt: Attempt, *, second_factor_passed: bool) -> None:
    """Judges a sign-in in which nobody can be asked.

    Raises:
        EntraError: as ``judge``; 50076 or 50079 when a second factor or its registration is needed.
    """
    demand = judge(directory, attempt)
    if second_factor_passed or not demand.second_factor:
        return
    raise EntraError(50079 if demand.registration else 50076, resource=attempt.resource["appId"])


def judge_workload(directory: Directory, tenant_id: str, principal: Document, resource: Document) -> None:
    """Judges an application's own sign-in (Conditional Access for workload identities).

    Raises:
        EntraError: 53003 blocked.
    """
    for policy in directory.all(tenant_id, "conditionalAccessPolicy", fresh=True):
        conditions = policy.get("conditions") or {}
        applications = conditions.get("clientApplications") or {}
        included = set(applications.get("includeServicePrincipals") or [])
        excluded = set(applications.get("excludeServicePrincipals") or [])
        hit = included & {"ServicePrincipalsInMyTenant", principal["id"]} and principal["id"] not in excluded
        if policy.get("state") == "enabled" and hit and _resource_hit(conditions, resource):
            controls = (policy.get("grantControls") or {}).get("builtInControls") or []
            if "block" in controls:
                raise EntraError(53003)


def _registered(user: Document) -> bool:
    return user.get("_mfa") == "registered" or bool(user.get("_securityInfo"))


def _check_assignment(directory: Directory, attempt: Attempt) -> None:
    principal = attempt.principal
    if principal is None or not principal.get("appRoleAssignmentRequired"):
        return
    assignments = directory.find(
        attempt.tenant_id, "appRoleAssignment", principalId=attempt.user["id"], resourceId=principal["id"]
    )
    if not assignments:
        raise EntraError(
            50105, name=attempt.client.name, app=attempt.client.app_id, user=attempt.user["userPrincipalName"]
        )


def _security_defaults(directory: Directory, tenant_id: str) -> bool:
    policies = directory.all(tenant_id, "identitySecurityDefaultsEnforcementPolicy", fresh=True)
    return any(policy.get("isEnabled") for policy in policies)


def _applies(directory: Directory, policy: Document, attempt: Attempt, templates: list[str]) -> bool:
    """Whether a policy covers an attempt. No sign-in here is risky; device platforms and filters are not looked at."""
    conditions: dict[str, Any] = policy.get("conditions") or {}
    types = conditions.get("clientAppTypes") or ["all"]
    flows = (conditions.get("authenticationFlows") or {}).get("transferMethods") or "none"
    return (
        ("all" in types or attempt.client_app_type in types)
        and (flows == "none" or attempt.transfer_method in flows.split(","))
        and all("none" in levels for name in _RISKS if (levels := conditions.get(name)))
        and places.is_met(directory, attempt.tenant_id, conditions.get("locations"), attempt.address)
        and _user_hit(conditions.get("users") or {}, attempt.user["id"], templates)
        and _resource_hit(conditions, attempt.resource)
    )


def _user_hit(users: dict[str, Any], user_id: str, templates: list[str]) -> bool:
    def listed(prefix: str) -> bool:
        names = set(users.get(f"{prefix}Users") or [])
        roles = set(users.get(f"{prefix}Roles") or [])
        return bool(names & {"All", user_id} or roles & set(templates))

    return listed("include") and not listed("exclude")


def _resource_hit(conditions: dict[str, Any], resource: Document) -> bool:
    applications = conditions.get("applications") or {}

    def listed(prefix: str) -> bool:
        names = set(applications.get(f"{prefix}Applications") or [])
        office = "Office365" in names and resource["appId"] in _OFFICE_365
        return bool(names & {"All", resource["appId"]}) or office

    return listed("include") and not listed("exclude")


def _enforce(policy: Document) -> bool:
    """Whether the policy asks for a second factor; raises when it cannot be met at all."""
    controls = policy.get("grantControls") or {}
    wanted = list(controls.get("builtInControls") or [])
    if "block" in wanted:
        raise EntraError(53003)
    devices = [_DEVICE_CONTROLS[name] for name in wanted if name in _DEVICE_CONTROLS]
    either = controls.get("operator", "OR") == "OR"
    if devices and not (either and "mfa" in wanted):
        raise EntraError(53000, state=devices[0])
    return "mfa" in wanted or bool(controls.get("authenticationStrength"))
