"""``/users`` and ``/me``: people, shared mailboxes and rooms.

Owns: the operations on users. Does not own: licences (``licences``), mail (``mail``), sign-in (``entra``).
Sources: "Create User", "Update user", "user: revokeSignInSessions"; "Self-service sign-in and password policies".
"""

from __future__ import annotations

import copy
import re
from typing import Any

from provision.sandbox import hashing
from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes
from provision.sandbox.graph import collection, errors, navigation, schema, shapes
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call

_TYPE = "user"
_REQUIRED = ("accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile")
_SELF_WRITABLE = frozenset(
    (
        "aboutMe",
        "birthday",
        "businessPhones",
        "interests",
        "mobilePhone",
        "mySite",
        "pastProjects",
        "preferredLanguage",
        "responsibilities",
        "schools",
        "skills",
    )
)
"""What a signed-in user without a role may change of himself ("Update user", permissions)."""
_ALIAS = re.compile(r"[A-Za-z0-9'._!#^~-]{1,64}")


def find(call: Call, key: str | None = None) -> Document:
    """The user that the path names: by id, by user principal name, or ``/me``.

    Raises:
        GraphError: 404 when there is none; 400 for ``/me`` with an app-only token.
    """
    key = call.keys.get("user") if key is None else key
    if key is None:
        if not call.caller.delegated:
            raise errors.BadRequest("/me request is only valid with delegated authentication flow.")
        key = call.caller.object_id
    if schema.is_guid(key):
        return call.get("user", key.lower())
    found = call.directory.find(call.tenant, "user", userPrincipalName=key)
    if not found:
        raise errors.resource_not_found(key)
    return found[0]


def list_users(call: Call) -> Answer:
    """GET /users."""
    return collection.many(call, _TYPE, call.all("user"))


def count_users(call: Call) -> Answer:
    """GET /users/$count."""
    return collection.count(call, _TYPE, call.all("user"))


def get_user(call: Call) -> Answer:
    """GET /users/{id}: with ``User.Read`` alone only oneself."""
    user = find(call)
    if call.caller.delegated and user["id"] != call.caller.object_id:
        _refuse_self_only(call, {"user.read", "user.readwrite"})
    return collection.one(call, _TYPE, user)


def _refuse_self_only(call: Call, names: set[str]) -> None:
    """403 when the token has nothing but permissions for the signed-in user's own profile."""
    if not {p for p in call.caller.permissions if p.startswith(("user.", "directory.")) and p not in names}:
        raise errors.insufficient_privileges()


def create_user(call: Call) -> Answer:
    """POST /users."""
    payload = schema.check(_TYPE, call.body, create=True)
    for name in _REQUIRED:
        if payload.get(name) in (None, ""):
            raise errors.value_required(name, "User")
    values = copy.deepcopy(payload.values)
    password = _password(values.pop("passwordProfile"))
    _check_names(call, values, before=None)
    values |= {"createdDateTime": call.now(), "_passwordHash": hashing.hash_secret(password)}
    values["signInSessionsValidFromDateTime"] = call.now()
    user = shapes.complete(shapes.USER, values)
    return collection.one(call, _TYPE, call.directory.insert(call.tenant, "user", user), status=201)


def _password(profile: Document | None) -> str:
    """The password of a profile, if strong enough: 8 to 256 characters of three kinds."""
    text: Any = (profile or {}).get("password")
    if not text:
        raise errors.value_required("password", "PasswordProfile")
    kinds = sum(bool(re.search(kind, text)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z0-9]"))
    if not 8 <= len(text) <= 256 or kinds < 3:
        raise errors.GraphError(
            "The specified password does not comply with password complexity requirements. "
            "Please provide a different password."
        )
    return str(text)


def _check_names(call: Call, values: Document, before: Document | None) -> None:
    name = values.get("userPrincipalName")
    if name is not None and (before is None or name.lower() != before["userPrincipalName"].lower()):
        alias, _, domain = name.partition("@")
        if not _ALIAS.fullmatch(alias):
            raise errors.invalid_value("userPrincipalName", "User")
        verified = {d["id"].lower() for d in call.all("domain") if d["isVerified"]}
        if domain.lower() not in verified:
            raise errors.GraphError(
                "The domain portion of the userPrincipalName property is invalid. "
                "You must use one of the verified domain names in your organization."
            )
        if call.directory.find(call.tenant, "user", fresh=True, userPrincipalName=name):
            raise errors.same_value_exists("userPrincipalName")
    location = values.get("usageLocation")
    if location is not None and not re.fullmatch(r"[A-Z]{2}", location):
        raise errors.invalid_value("usageLocation", "User")


def update_user(call: Call) -> Answer:
    """PATCH /users/{id}."""
    user = find(call)
    payload = schema.check(_TYPE, call.body, create=False)
    foreign = user["id"] != call.caller.object_id or set(payload.values) - _SELF_WRITABLE
    if foreign and (call.owned_only or "user" not in call.keys):
        raise errors.insufficient_privileges()
    changes = copy.deepcopy(payload.values)
    if "passwordProfile" in changes:
        changes["_passwordHash"] = hashing.hash_secret(_password(changes.pop("passwordProfile")))
        changes |= _sessions_end(call)
    for name in ("displayName", "userPrincipalName", "accountEnabled"):
        if name in changes and changes[name] in (None, ""):
            raise errors.invalid_value(name, "User")
    _check_names(call, changes, user)
    after = call.directory.replace(call.tenant, "user", shapes.complete(user, changes))
    mailboxes.follow(call.directory, call.tenant, after)
    return NO_CONTENT


def _sessions_end(call: Call) -> Document:
    """What a user's document says when everything that was granted before now is revoked."""
    now = call.directory.clock.now()
    return {"signInSessionsValidFromDateTime": call.directory.clock.iso(now), "_sessionsValidFrom": now}


def delete_user(call: Call) -> Answer:
    """DELETE /users/{id}: to the deleted items, with his mailbox."""
    user = find(call)
    with call.directory.transaction():
        mailboxes.soft_delete(call.directory, call.tenant, user["id"])
        for row in call.directory.find(call.tenant, "roleMembership", fresh=True, memberId=user["id"]):
            call.directory.remove(call.tenant, "roleMembership", row["id"])
        for row in call.directory.find(call.tenant, "oauth2PermissionGrant", fresh=True, principalId=user["id"]):
            call.directory.remove(call.tenant, "oauth2PermissionGrant", row["id"])
        call.directory.replace(call.tenant, "user", {**user, "deletedDateTime": call.now()})
        call.directory.soft_delete(call.tenant, "user", user["id"])
    return NO_CONTENT


def revoke_sign_in_sessions(call: Call) -> Answer:
    """POST /users/{id}/revokeSignInSessions: refresh tokens and browser sessions from before now are dead."""
    user = find(call)
    if call.owned_only and user["id"] != call.caller.object_id:
        raise errors.insufficient_privileges()
    call.directory.replace(call.tenant, "user", {**user, **_sessions_end(call)})
    return Answer({"@odata.context": f"{call.root}/$metadata#Edm.Boolean", "value": True})


def list_member_of(call: Call) -> Answer:
    """GET /users/{id}/memberOf."""
    return _objects(call, "memberOf")


def list_transitive_member_of(call: Call) -> Answer:
    """GET /users/{id}/transitiveMemberOf."""
    return _objects(call, "transitiveMemberOf")


def list_owned_objects(call: Call) -> Answer:
    """GET /users/{id}/ownedObjects."""
    return _objects(call, "ownedObjects")


def list_grants(call: Call) -> Answer:
    """GET /users/{id}/oauth2PermissionGrants."""
    rows = navigation.follow(call, _TYPE, "oauth2PermissionGrants", find(call))
    return collection.many(call, "oAuth2PermissionGrant", [row for _, row in rows])


def _objects(call: Call, name: str) -> Answer:
    rows = navigation.follow(call, _TYPE, name, find(call))
    return collection.directory_objects(call, rows)
