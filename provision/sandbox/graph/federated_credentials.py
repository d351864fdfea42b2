"""``/applications/{id}/federatedIdentityCredentials``: whose tokens an application accepts in place of a secret.

Owns: the operations. Does not own: checking an assertion (the token endpoint).
Sources: "federatedIdentityCredential resource type"; "Important considerations and restrictions for federated identity
credentials" (3 to 120 characters of a name, which ones); the refusals are quoted in Azure/azure-dev#1482 (409 on the
name), Azure/azure-dev#2505 (characters of the name) and Azure/azure-workload-identity#434 (issuer and subject).
"""

from __future__ import annotations

import re

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, schema
from provision.sandbox.graph.applications import find as find_application
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call, alternate_key

_TYPE = "federatedIdentityCredential"
_MAX = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SHORTEST_NAME = 3
"""Characters; the longest name is a row of ``schema.MAX_LENGTH``. Graph's sentence for either was not found quoted."""


def _rows(call: Call, application: Document) -> list[Document]:
    return [row for _, row in navigation.follow(call, "application", "federatedIdentityCredentials", application)]


def _find(call: Call, application: Document) -> Document:
    key = call.keys["credential"]
    alternate = alternate_key(key)
    name = (alternate[1] if alternate and alternate[0].lower() == "name" else key).lower()
    for row in _rows(call, application):
        if name in (row["id"], row["name"].lower()):
            return row
    raise errors.resource_not_found(key)


def list_federated_credentials(call: Call) -> Answer:
    """GET /applications/{id}/federatedIdentityCredentials."""
    application = find_application(call)
    return collection.many(call, _TYPE, _rows(call, application), context=_context(application))


def _context(application: Document) -> str:
    return f"applications('{application['id']}')/federatedIdentityCredentials"


def get_federated_credential(call: Call) -> Answer:
    """GET /applications/{id}/federatedIdentityCredentials/{id or name}."""
    application = find_application(call)
    return collection.one(call, _TYPE, _find(call, application), context=_context(application))


def create_federated_credential(call: Call) -> Answer:
    """POST /applications/{id}/federatedIdentityCredentials."""
    application = find_application(call)
    call.require_owner(application)
    payload = schema.check(_TYPE, call.body, create=True)
    credential: Document = {
        "name": payload.get("name"),
        "issuer": payload.get("issuer"),
        "subject": payload.get("subject"),
        "description": payload.get("description"),
        "audiences": payload.get("audiences") or [],
        "_applicationId": application["id"],
        "_createdAt": call.directory.clock.now(),
    }
    others = call.directory.find(
        call.tenant, "federatedIdentityCredential", fresh=True, _applicationId=application["id"]
    )
    if len(others) >= _MAX:
        raise _invalid("The maximum number of federated identity credentials per application is 20.")
    _validate(credential)
    if any(other["name"].lower() == credential["name"].lower() for other in others):
        raise errors.Conflict(f"FederatedIdentityCredential with name {credential['name']} already exists.")
    _check_unique(credential, others)
    stored = call.directory.insert(call.tenant, "federatedIdentityCredential", credential)
    return collection.one(call, _TYPE, stored, status=201, context=_context(application))


def _invalid(message: str) -> errors.GraphError:
    return errors.GraphError(message, code="InvalidFederatedIdentityCredentialValue")


def _validate(credential: Document) -> None:
    for name in ("name", "issuer", "subject"):
        if not credential[name]:
            raise errors.value_required(name, "FederatedIdentityCredential")
    if not _NAME.fullmatch(credential["name"]):
        raise _invalid(
            "The specified Name value is not a valid URI last segment. paramName: FederatedIdentityCredential.Name, "
            f"paramValue: {credential['name']}, objectType: Microsoft.Online.DirectoryServices.Application"
        )
    if len(credential["name"]) < _SHORTEST_NAME:
        raise errors.invalid_value("name", "FederatedIdentityCredential")
    if not credential["issuer"].startswith("https://"):
        raise _invalid("The issuer of a federated identity credential must be a valid https URL.")
    if len(credential["audiences"]) != 1:
        raise _invalid("A federated identity credential must have exactly one audience.")


def _check_unique(credential: Document, others: list[Document]) -> None:
    for other in others:
        same = (other["issuer"], other["subject"]) == (credential["issuer"], credential["subject"])
        if same and other.get("id") != credential.get("id"):
            raise _invalid(
                "The combination of issuer and subject must be unique for the application. "
                f"Issuer {credential['issuer']} and Subject: {credential['subject']} already exist."
            )


def update_federated_credential(call: Call) -> Answer:
    """PATCH /applications/{id}/federatedIdentityCredentials/{id or name}."""
    application = find_application(call)
    call.require_owner(application)
    credential = _find(call, application)
    payload = schema.check(_TYPE, call.body, create=False)
    if payload.values.get("name", credential["name"]) != credential["name"]:
        raise errors.read_only("name")
    after = {**credential, **payload.values}
    _validate(after)
    _check_unique(after, _rows(call, application))
    call.directory.replace(call.tenant, "federatedIdentityCredential", after)
    return NO_CONTENT


def delete_federated_credential(call: Call) -> Answer:
    """DELETE /applications/{id}/federatedIdentityCredentials/{id or name}."""
    application = find_application(call)
    call.require_owner(application)
    call.directory.remove(call.tenant, "federatedIdentityCredential", _find(call, application)["id"])
    return NO_CONTENT
