"""Secrets and certificates of applications and service principals.

Owns: adding and removing passwords and keys, their defaults and limits, and the app management policies that forbid
them. Does not own: which object they belong to (``applications``, ``service_principals``), or checking a secret at
sign-in (the token endpoint does, with the hash kept here).

Sources: "application: addPassword", "removePassword", "addKey", "passwordCredential resource type" (default life two
years), "Restrict app management methods" (``appManagementConfiguration``), "Validation differences by supported account
types" (two secrets for personal accounts). The sentences of the policies are quoted in public troubleshooting guides.
"""

from __future__ import annotations

import base64
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from provision.sandbox import hashing
from provision.sandbox.directory import Document
from provision.sandbox.graph import errors, schema
from provision.sandbox.graph.application_rules import personal
from provision.sandbox.graph.call import Call

_MAX_PERSONAL_SECRETS = 2
_PROOF_AUDIENCE = "00000002-0000-0000-c000-000000000000"
_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?"
)
_LAST_DAY = datetime(2299, 12, 31, tzinfo=UTC)


def new_password(call: Call, owner: Document, asked: Document, *, kind: str) -> Document:
    """A new secret for an object, as it will be stored; ``secretText`` is filled in this one copy.

    Args:
        call: the request.
        owner: the application or service principal.
        asked: the ``passwordCredential`` of the body.
        kind: ``application`` or ``servicePrincipal``.

    Raises:
        GraphError: a policy forbids it, the dates are wrong, or the limit of personal-account apps is reached.
    """
    if asked.get("secretText") or asked.get("hint"):
        raise errors.invalid_value("secretText", "PasswordCredential")
    if kind == "application" and personal(owner) and len(owner["passwordCredentials"]) >= _MAX_PERSONAL_SECRETS:
        message = "The limit of passwords for applications with this audience has been reached."
        raise errors.GraphError(
            message,
            code="TooManyAppPasswords",
            details=[{"code": "GenericError", "message": message, "target": "passwordCredentials"}],
        )
    now = call.directory.clock.now()
    start = _time(asked.get("startDateTime")) or datetime.fromtimestamp(now, UTC).replace(microsecond=0)
    end = _time(asked.get("endDateTime")) or _years_later(start, 2)
    if not start < end <= _LAST_DAY or end.timestamp() <= now:
        raise errors.invalid_value("endDateTime", "PasswordCredential")
    _obey_policies(restrictions(call, owner, kind, "passwordCredentials"), end - start)
    secret = hashing.new_secret()
    return {
        "customKeyIdentifier": asked.get("customKeyIdentifier"),
        "displayName": asked.get("displayName"),
        "endDateTime": _text(end),
        "hint": secret[:3],
        "keyId": str(uuid.uuid4()),
        "secretText": secret,
        "startDateTime": _text(start),
        "_hash": hashing.hash_secret(secret),
        "_createdAt": now,
    }


def stored(credential: Document) -> Document:
    """A secret as the store keeps it: everything but its value."""
    return {**credential, "secretText": None}


def without_unreplicated(call: Call, owner: Document) -> Document:
    """The object as a read shows it: a secret or key made within the replication delay is not there yet.

    A writer who reads such a list and sends it back with a change takes the key that it did not see away.
    """
    limit = call.directory.clock.now() - call.directory.replication_delay
    for name in ("passwordCredentials", "keyCredentials"):
        rows = owner.get(name, [])
        visible = [row for row in rows if row.get("_createdAt", 0.0) <= limit]
        if len(visible) != len(rows):
            owner = {**owner, name: visible}
    return owner


def removed(call: Call, owner: Document, kept: list[Document], collection: str) -> Document:
    """What is kept of credentials that a change takes away: some of the servers that sign in do not know it yet.

    Args:
        call: the request.
        owner: the object as it was.
        kept: the collection as it will be.
        collection: ``passwordCredentials`` or ``keyCredentials``.

    Returns:
        A property for the object; it names nothing that every server has forgotten.
    """
    now, left = call.directory.clock.now(), {row["keyId"] for row in kept}
    gone = [{**row, "_removedAt": now} for row in owner[collection] if row["keyId"] not in left]
    name = f"_removed.{collection}"
    limit = now - call.directory.replication_delay
    return {name: [row for row in (*owner.get(name, ()), *gone) if row["_removedAt"] > limit]}


def remove(call: Call, owner: Document, collection: str, key_id: Any) -> None:
    """Takes a credential out of an object by its key id.

    Raises:
        GraphError: no key id, or no such credential.
    """
    if key_id is None:
        raise errors.value_required("keyId", "PasswordCredential")
    kept = [row for row in owner[collection] if row["keyId"].lower() != key_id.lower()]
    if len(kept) == len(owner[collection]):
        noun = "password" if collection == "passwordCredentials" else "key"
        raise errors.GraphError(f"No {noun} credential found with keyId '{key_id}'.")
    owner.update(removed(call, owner, kept, collection))
    owner[collection] = kept


def replaced_passwords(before: list[Document], sent: list[Document]) -> list[Document]:
    """What a PATCH of ``passwordCredentials`` leaves: known ones, by key id; a new secret needs ``addPassword``."""
    known = {row["keyId"]: row for row in before}
    result = []
    for row in sent:
        if row.get("keyId") not in known:
            raise errors.invalid_value("passwordCredentials", "Application", detail="NewSecretNotAllowed")
        result.append(
            {**known[row["keyId"]], "displayName": row.get("displayName", known[row["keyId"]]["displayName"])}
        )
    return result


def replaced_keys(call: Call, owner: Document, sent: list[Document], *, kind: str) -> list[Document]:
    """What a PATCH of ``keyCredentials`` leaves: what was sent and nothing else; new ones are checked.

    A known one is told by its key id and sent back as it was read; only its name may differ (that it may was not read
    at a source), and its ``key``, which most reads do not show, may be missing.

    Raises:
        GraphError: a known one is changed ("Update to existing credential", Azure/azure-powershell#6219 and #6855, with
            ``KeyNotUpdatable`` in Azure/active-directory-dotnet-graphapi-b2bportal-web#8), or as ``new_key``.
    """
    known = {row["keyId"].lower(): row for row in owner["keyCredentials"]}
    result = []
    for row in sent:
        before = known.get(str(row.get("keyId") or "").lower())
        if before is None:
            result.append(new_key(call, owner, row, kind=kind))
            continue
        if any(_comparable(row, name) != _comparable(before, name) for name in _FIXED) or (
            row.get("key") not in (None, before["_key"])
        ):
            message = f"Update to existing credential with KeyId '{before['keyId']}' is not allowed."
            raise errors.GraphError(
                message, details=[{"code": "KeyNotUpdatable", "message": message, "target": "keyCredentials"}]
            )
        result.append({**before, "displayName": row.get("displayName") or before["displayName"]})
    return result


_FIXED = ("customKeyIdentifier", "startDateTime", "endDateTime", "type", "usage")
"""What a PATCH may not change in a key that is there."""


def _comparable(row: Document, name: str) -> Any:
    value = row.get(name)
    return _time(value) if name.endswith("DateTime") else value


def new_key(call: Call, owner: Document, asked: Document, *, kind: str) -> Document:
    """A new certificate of an object, as it will be stored.

    Raises:
        GraphError: not a certificate, wrong type or usage, wrong dates, or a policy forbids it.
    """
    if asked.get("type") not in {"AsymmetricX509Cert", "X509CertAndPassword"}:
        raise errors.invalid_value("type", "KeyCredential", detail="KeyCredentialsInvalidType")
    if asked.get("usage") not in {"Verify", "Sign", "Encrypt"}:
        raise errors.invalid_value("usage", "KeyCredential", detail="KeyCredentialsInvalidUsage")
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(asked.get("key") or ""))
    except ValueError:
        raise errors.GraphError("Key value is invalid certificate.", code="KeyCredentialsInvalidKeyValue") from None
    start = _time(asked.get("startDateTime")) or certificate.not_valid_before_utc
    end = _time(asked.get("endDateTime")) or certificate.not_valid_after_utc
    if start < certificate.not_valid_before_utc:
        raise errors.GraphError("Key credential start date is invalid.", code="KeyCredentialsInvalidStartDate")
    if not start < end <= certificate.not_valid_after_utc:
        raise errors.GraphError("Key credential end date is invalid.", code="KeyCredentialsInvalidEndDate")
    _obey_policies(restrictions(call, owner, kind, "keyCredentials"), end - start)
    # SHA-1 is the certificate thumbprint that Entra shows as customKeyIdentifier; it protects nothing here.
    thumbprint = base64.b64encode(certificate.fingerprint(hashes.SHA1())).decode()  # noqa: S303
    return {
        "customKeyIdentifier": asked.get("customKeyIdentifier") or thumbprint,
        "displayName": asked.get("displayName") or certificate.subject.rfc4514_string(),
        "endDateTime": _text(end),
        "key": None,
        "keyId": asked.get("keyId") or str(uuid.uuid4()),
        "startDateTime": _text(start),
        "type": asked["type"],
        "usage": asked["usage"],
        "_key": asked["key"],
        "_createdAt": call.directory.clock.now(),
    }


def check_proof(owner: Document, proof: Any) -> None:
    """That whoever calls ``addKey`` or ``removeKey`` holds the private key of a present certificate.

    Raises:
        GraphError: no certificate yet, or the proof is not signed by one of them.
    """
    for row in owner["keyCredentials"]:
        public_key = x509.load_der_x509_certificate(base64.b64decode(row["_key"])).public_key()
        try:
            jwt.decode(str(proof), public_key, algorithms=["RS256"], audience=_PROOF_AUDIENCE)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            continue
        return
    raise errors.GraphError(
        "Access denied: the proof token is not valid.", code="Authentication_MissingOrMalformed", status=401
    )


_ADDITIONS = frozenset({"passwordAddition", "trustedCertificateAuthority"})
"""Restrictions that no credential made here can satisfy.

``trustedCertificateAuthority`` asks that the certificate's issuer is among the tenant's trusted authorities (beta,
"keyCredentialConfiguration resource type"); this tenant has none. With which code Graph refuses was not read at a
source.
"""
_LIFETIMES = frozenset({"passwordLifetime", "asymmetricKeyLifetime"})


def _obey_policies(in_force: dict[tuple[str, str], Document], life: timedelta) -> None:
    for (policy_id, restriction), rule in in_force.items():
        if restriction in _ADDITIONS:
            raise errors.GraphError(
                f"Credential type not allowed as per assigned policy '{policy_id}'.",
                code="CredentialTypeNotAllowedAsPerAppPolicy",
            )
        if restriction in _LIFETIMES and rule.get("maxLifetime") and life > duration(rule["maxLifetime"]):
            raise errors.GraphError(
                f"Credential lifetime exceeds the max value allowed as per assigned policy '{policy_id}'.",
                code="CredentialInvalidLifetimeAsPerAppPolicy",
            )


def restrictions(call: Call, owner: Document, kind: str, collection: str) -> dict[tuple[str, str], Document]:
    """The restrictions in force for an object, by policy id and restriction type.

    A policy assigned to the object wins over the tenant's default, restriction type by restriction type.
    """
    default = call.all("defaultAppManagementPolicy")[0]
    part = "applicationRestrictions" if kind == "application" else "servicePrincipalRestrictions"
    found: dict[str, tuple[str, Document]] = {}
    if default["isEnabled"]:
        for rule in (default.get(part) or {}).get(collection) or []:
            found[rule["restrictionType"]] = (default["id"], rule)
    for policy in call.all("appManagementPolicy"):
        if policy["isEnabled"] and owner["id"] in policy.get("_appliesTo", ()):
            for rule in (policy.get("restrictions") or {}).get(collection) or []:
                found[rule["restrictionType"]] = (policy["id"], rule)
    return {
        (policy_id, name): rule
        for name, (policy_id, rule) in found.items()
        if rule.get("state", "enabled") == "enabled" and _in_force(rule, owner)
    }


def _in_force(rule: Document, owner: Document) -> bool:
    after = rule.get("restrictForAppsCreatedAfterDateTime")
    created = owner.get("createdDateTime")
    return not after or not created or schema.parse_time(created) >= schema.parse_time(after)


def duration(text: str) -> timedelta:
    """An ISO 8601 duration; a year counts 365 days, a month 30."""
    match = _DURATION.fullmatch(text)
    years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in match.groups()) if match else (0,) * 7
    total_days = years * 365 + months * 30 + weeks * 7 + days
    return timedelta(days=total_days, hours=hours, minutes=minutes, seconds=seconds)


def _time(value: str | None) -> datetime | None:
    return None if value is None else schema.parse_time(value)


def _text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _years_later(start: datetime, years: int) -> datetime:
    if start.year + years > datetime.max.year:
        return datetime.max.replace(tzinfo=UTC)
    try:
        return start.replace(year=start.year + years)
    except ValueError:  # 29 February
        return start.replace(year=start.year + years, day=28)
