"""How users stand with multifactor authentication: per-user MFA, and what they have registered.

Owns: the two reads. Does not own: asking for the second factor (``entra``), registering one (``entra.interaction``).
Sources: "Get authentication method states" (beta only: ``strongAuthenticationRequirements``), "List
userRegistrationDetails", "Get userRegistrationDetails"; that the latter take Entra ID P1 and Directory.Read.All, as the
sign-in log does: microsoftgraph/microsoft-graph-docs-contrib#8777 and microsoft-graph-docs#12537.

What the store calls ``required`` is per-user MFA *enforced* by an administrator before the user has registered: SMTP
takes no normal password then; in the state *enabled* it would go on taking it ("Enable per-user Microsoft Entra
multifactor authentication", table of states). That state is not in the local tenant.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, schema, users
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.sign_ins import require_reader

_DETAILS = "userRegistrationDetails"


def get_requirements(call: Call) -> Answer:
    """GET /users/{id}/authentication/requirements, in beta."""
    user = users.find(call)
    context = f"{call.root}/$metadata#users('{user['id']}')/authentication/requirements"
    state = "disabled" if user.get("_mfa", "off") == "off" else "enforced"
    return Answer({"@odata.context": context, "perUserMfaState": state})


def list_registration_details(call: Call) -> Answer:
    """GET /reports/authenticationMethods/userRegistrationDetails."""
    require_reader(call)
    admins = _admins(call)
    return collection.many(call, _DETAILS, [_details(call, user, admins) for user in call.all("user")])


def get_registration_details(call: Call) -> Answer:
    """GET /reports/authenticationMethods/userRegistrationDetails/{userId}."""
    require_reader(call)
    key = call.keys["user"].lower()
    if not schema.is_guid(key):
        raise errors.resource_not_found(call.keys["user"])
    return collection.one(call, _DETAILS, _details(call, call.get("user", key), _admins(call)))


def _admins(call: Call) -> set[str]:
    return {row["memberId"] for row in call.all("roleMembership")}


def _details(call: Call, user: Document, admins: set[str]) -> Document:
    """One user's row; the only second factor here is a code, as an authenticator shows it."""
    registered = user.get("_mfa") == "registered" or bool(user.get("_securityInfo"))
    return {
        "id": user["id"],
        "userPrincipalName": user["userPrincipalName"],
        "userDisplayName": user["displayName"],
        "userType": "guest" if user.get("userType") == "Guest" else "member",
        "isAdmin": user["id"] in admins,
        "isSsprRegistered": False,
        "isSsprEnabled": False,
        "isSsprCapable": False,
        "isMfaRegistered": registered,
        "isMfaCapable": registered,
        "isPasswordlessCapable": False,
        "lastUpdatedDateTime": call.now(),
        "methodsRegistered": ["softwareOneTimePasscode"] if registered else [],
        "isSystemPreferredAuthenticationMethodEnabled": True,
        "systemPreferredAuthenticationMethods": ["oath"] if registered else [],
        "userPreferredMethodForSecondaryAuthentication": "oath" if registered else "none",
    }
