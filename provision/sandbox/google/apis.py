"""The Google APIs by which an administrator reads 2-Step Verification: Admin SDK Directory and Cloud Identity Policy.

Owns: ``users.get``, ``asps.list``, ``orgunits.get``, ``policies.list`` and their refusals.
Shapes and scopes: the discovery documents admin.directory_v1 and cloudidentity.v1 (revision of November 2026).
Refusals: the error's form is "Directory API: Handle errors"; the sentences are as clients' logs show them. Settings of
the Policy API: "Supported settings in the Cloud Identity Policy API". That the list lacks settings which nobody changed
is not acted out: each unit shows its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from provision.sandbox.directory import Document
from provision.sandbox.google import customers, oauth
from provision.sandbox.google.oauth import Principal
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_AUTH = "https://www.googleapis.com/auth"
USERS = frozenset({f"{_AUTH}/admin.directory.user", f"{_AUTH}/admin.directory.user.readonly"})
SECURITY = frozenset({f"{_AUTH}/admin.directory.user.security"})
UNITS = frozenset({f"{_AUTH}/admin.directory.orgunit", f"{_AUTH}/admin.directory.orgunit.readonly"})
POLICIES = frozenset({f"{_AUTH}/cloud-identity.policies", f"{_AUTH}/cloud-identity.policies.readonly"})
_FACTORS = {"off": "ALL", "any": "ALL", "securityKeys": "PASSKEY_ONLY"}


@dataclass
class _Refused(Exception):
    """An error as Google's APIs write it."""

    status: int
    reason: str
    message: str
    state: str
    location: str | None = None


_STATES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def _refused(status: int, reason: str, message: str, location: str | None = None) -> _Refused:
    return _Refused(status, reason, message, _STATES[status], location)


def _answer(refused: _Refused) -> Response:
    row: Document = {"message": refused.message, "domain": "global", "reason": refused.reason}
    if refused.location:
        row |= {"location": refused.location, "locationType": "header"}
    body = {"code": refused.status, "message": refused.message, "errors": [row], "status": refused.state}
    return JSONResponse({"error": body}, status_code=refused.status)


Operation = Callable[[World, Request, Principal], Document]


def _guarded(operation: Operation, scopes: frozenset[str]) -> Any:
    async def guarded(request: Request) -> Response:
        world: World = request.app.state.world
        try:
            caller = _admitted(world, request, scopes)
            note(request.scope, tenant=caller.account["customerId"])
            return JSONResponse(operation(world, request, caller))
        except _Refused as refused:
            note(request.scope, code=refused.reason)
            return _answer(refused)

    return guarded


def _admitted(world: World, request: Request, scopes: frozenset[str]) -> Principal:
    """The caller, if the token's scopes and its user's role are enough.

    Raises:
        _Refused: 401, or 403 for the API that is off, a missing scope, or somebody who is no administrator.
    """
    caller = oauth.principal(world.directory, request.headers.get("authorization"))
    if caller is None:
        raise _refused(
            401,
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "Authorization",
        )
    if not caller.account["apiEnabled"]:
        number = caller.account["projectNumber"]
        raise _refused(
            403,
            "accessNotConfigured",
            f"Admin SDK API has not been used in project {number} before or it is disabled. Enable it by visiting "
            f"https://console.developers.google.com/apis/api/admin.googleapis.com/overview?project={number} then "
            "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems "
            "and retry.",
        )
    if not caller.scopes & scopes:
        raise _refused(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
    if caller.user is None or not caller.user["isAdmin"]:
        raise _refused(403, "forbidden", "Not Authorized to access this resource/api")
    return caller


def _user(world: World, request: Request, caller: Principal) -> Document:
    key = request.path_params["key"]
    found = customers.find_user(world.directory, key)
    domain = key.rpartition("@")[2].lower()
    customer = world.directory.get(customers.REALM, customers.CUSTOMER, caller.account["customerId"], fresh=True) or {}
    if found is None and domain in {key.lower(), customer.get("domain")}:
        raise _refused(404, "notFound", "Resource Not Found: userKey")
    if found is None or found["customerId"] != customer["id"]:
        raise _refused(403, "forbidden", "Not Authorized to access this resource/api")
    return found


def _etag(value: str) -> str:
    return f'"{customers.REALM}/{value}"'


def users_get(world: World, request: Request, caller: Principal) -> Document:
    """GET admin/directory/v1/users/{userKey}."""
    user = _user(world, request, caller)
    unit = customers.unit_of(customers.customer_of(world.directory, user), user)
    given, _, family = user["fullName"].partition(" ")
    answer: Document = {
        "kind": "admin#directory#user",
        "id": user["id"],
        "etag": _etag(user["id"]),
        "primaryEmail": user["primaryEmail"],
        "name": {"givenName": given, "familyName": family, "fullName": user["fullName"]},
        "isAdmin": user["isAdmin"],
        "isDelegatedAdmin": False,
        "lastLoginTime": "1970-01-01T00:00:00.000Z",
        "creationTime": user["creationTime"].replace("Z", ".000Z"),
        "agreedToTerms": True,
        "suspended": user["suspended"],
        "archived": False,
        "changePasswordAtNextLogin": False,
        "ipWhitelisted": False,
        "emails": [{"address": user["primaryEmail"], "primary": True}],
        "customerId": user["customerId"],
        "orgUnitPath": user["orgUnitPath"],
        "isMailboxSetup": True,
        "isEnrolledIn2Sv": user["enrolled"],
        "isEnforcedIn2Sv": unit["enforce2sv"] != "off",
        "includeInGlobalAddressList": True,
    }
    if user["aliases"]:
        answer["aliases"] = user["aliases"]
    if user["suspended"]:
        answer["suspensionReason"] = "ADMIN"
    return answer


def asps_list(world: World, request: Request, caller: Principal) -> Document:
    """GET admin/directory/v1/users/{userKey}/asps; without any there is no ``items``."""
    user = _user(world, request, caller)
    items = [
        {
            "kind": "admin#directory#asp",
            "etag": _etag(f"{user['id']}/{entry['codeId']}"),
            "codeId": entry["codeId"],
            "name": entry["name"],
            "creationTime": str(entry["creationTime"]),
            "lastTimeUsed": str(entry["lastTimeUsed"]),
            "userKey": user["id"],
        }
        for entry in user["_appPasswords"]
    ]
    answer: Document = {"kind": "admin#directory#aspList", "etag": _etag(f"{user['id']}/asps")}
    return answer | ({"items": items} if items else {})


def orgunits_get(world: World, request: Request, caller: Principal) -> Document:
    """GET admin/directory/v1/customer/{customerId}/orgunits/{orgUnitPath}."""
    customer = _own_customer(world, request, caller)
    path = "/" + request.path_params["path"].strip("/")
    unit = customer["orgUnits"].get(path)
    if unit is None:
        raise _refused(404, "notFound", "Org unit not found")
    return {
        "kind": "admin#directory#orgUnit",
        "etag": _etag(unit["id"]),
        "name": path.rpartition("/")[2],
        "orgUnitPath": path,
        "orgUnitId": f"id:{unit['id']}",
        "parentOrgUnitPath": path.rpartition("/")[0] or "/",
    }


def _own_customer(world: World, request: Request, caller: Principal) -> Document:
    wanted = request.path_params["customer"]
    own: Document = (
        world.directory.get(customers.REALM, customers.CUSTOMER, caller.account["customerId"], fresh=True) or {}
    )
    if wanted not in {"my_customer", own["id"]}:
        raise _refused(403, "forbidden", "Not Authorized to access this resource/api")
    return own


_TYPE_FILTER = re.compile(r"setting\.type\.matches\('(?P<pattern>[^']*)'\)")


def policies_list(world: World, request: Request, caller: Principal) -> Document:
    """GET v1/policies of Cloud Identity; the filter ``setting.type.matches('…')`` alone is understood."""
    own = world.directory.get(customers.REALM, customers.CUSTOMER, caller.account["customerId"], fresh=True) or {}
    asked = request.query_params.get("filter", "")
    matched = _TYPE_FILTER.fullmatch(asked.strip())
    if asked and matched is None:
        raise _refused(400, "badRequest", f"Invalid filter: {asked}")
    try:
        pattern = re.compile(matched["pattern"].replace("\\\\", "\\")) if matched else re.compile("")
    except re.error:
        raise _refused(400, "badRequest", f"Invalid filter: {asked}") from None
    rows: list[Document] = []
    for unit in own["orgUnits"].values():
        settings: dict[str, Document] = {
            "security.two_step_verification_enrollment": {"allowEnrollment": unit["allow2sv"]},
            "security.two_step_verification_enforcement_factor": {
                "allowedSignInFactorSet": _FACTORS[unit["enforce2sv"]]
            },
        }
        if unit["enforce2sv"] != "off":
            settings["security.two_step_verification_enforcement"] = {"enforcedFrom": "2026-01-01T00:00:00Z"}
        for name, value in settings.items():
            if pattern.search(f"settings/{name}"):
                query = f"entity.org_units.exists(org_unit, org_unit.org_unit_id == orgUnitId('{unit['id']}'))"
                rows.append(
                    {
                        "name": f"policies/{unit['id']}{len(rows)}",
                        "customer": f"customers/{own['id']}",
                        "policyQuery": {"query": query, "orgUnit": f"orgUnits/{unit['id']}", "sortOrder": 1},
                        "setting": {"type": f"settings/{name}", "value": value},
                        "type": "ADMIN",
                    }
                )
    return {"policies": rows} if rows else {}


def routes(prefix: str = "/_google") -> list[Route]:
    """The token endpoint and the APIs; without a prefix where the host name tells whose they are."""
    directory = f"{prefix}/admin/directory/v1"
    return [
        Route(f"{prefix}/token", oauth.token, methods=["POST"]),
        Route(f"{directory}/users/{{key}}", _guarded(users_get, USERS)),
        Route(f"{directory}/users/{{key}}/asps", _guarded(asps_list, SECURITY)),
        Route(f"{directory}/customer/{{customer}}/orgunits/{{path:path}}", _guarded(orgunits_get, UNITS)),
        Route(f"{prefix}/v1/policies", _guarded(policies_list, POLICIES)),
    ]
