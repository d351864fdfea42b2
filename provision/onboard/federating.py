"""Federation as a story: the product signs in with another issuer's tokens, and there is no secret to be rotated.

Owns: what Entra would refuse or never match, said before anything is sent; adding or changing in place; the proof with
a token of that issuer. Does not own: the requests (``microsoft.graph``), flags and wording (``cli``). What a stack's
settings describe (``federatedName``) is Pulumi's, and only Pulumi changes it.

Sources: "Important considerations and restrictions for federated identity credentials" (twenty for each application,
issuer and subject unique together, no wildcards, letter case counts), "federatedIdentityCredential resource type"
(lengths).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.app import ownership
from provision.errors import InvalidInput, ProvisionError, SignInFailed
from provision.microsoft.assertions import assertion
from provision.microsoft.objects import FederatedCredential
from provision.microsoft.proof import prove
from provision.microsoft.tokens import claims_of
from provision.onboard.finding import Found
from provision.settings import credential as credentials

Say = Callable[[str], None]

_MOST = 20
_LONGEST = 600
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}")


@dataclass(frozen=True)
class Trust:
    """Whose tokens are to be accepted."""

    issuer: str
    subject: str
    audience: str | None = None
    """None: what the cloud expects."""
    name: str | None = None
    """None: one made of the subject, or that of the credential that says the same."""


@dataclass(frozen=True)
class Federation:
    """What a registration trusts after a run."""

    app_name: str
    client_id: str
    there: Sequence[FederatedCredential]
    said: str = ""
    """What was done, one line."""
    changed: bool = False
    proven: bool = False
    """Whether Entra gave tokens for one of that issuer's."""


def list_all(found: Found) -> Federation:
    """What the registration trusts now."""
    return Federation(found.application.display_name, found.application.app_id, _there(found))


def federated(
    found: Found,
    trust: Trust,
    *,
    token_file: Path | None,
    dry_run: bool,
    say: Say,
    environ: Mapping[str, str] = os.environ,
) -> Federation:
    """Adds a federated credential, changes the one of that name in place, or finds that nothing is to be done.

    Args:
        found: the registration.
        trust: whose tokens.
        token_file: a token of that issuer as a proof; without it the pipeline's own, when it is of that issuer.
        dry_run: change nothing.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        InvalidInput: Entra would refuse it or never match it, or a stack's state owns it.
        SignInFailed: Entra does not accept the token.
        NotPermitted, Unreachable: as the names say.
    """
    there = _there(found)
    same = next((one for one in there if (one.issuer, one.subject) == (trust.issuer, trust.subject)), None)
    name = trust.name or (same.name if same else _name_of(trust.subject))
    wanted = FederatedCredential(
        "", name, trust.issuer, trust.subject, (trust.audience or found.endpoints.token_exchange_audience,)
    )
    named = next((one for one in there if one.name.lower() == name.lower()), None)
    _check(wanted, there, same, named)
    _require_ours(found, wanted, changes=named is None or replace(wanted, id=named.id, name=named.name) != named)
    token = _token(wanted, token_file, found, environ)
    outcome = Federation(found.application.display_name, found.application.app_id, there)
    words = f"{wanted.subject} of {wanted.issuer}"
    if named is not None and replace(wanted, id=named.id, name=named.name) == named:
        said, changed = (
            f"nothing to do: {outcome.app_name} ({outcome.client_id}) trusts {words} already, as {named.name}",
            False,
        )
    else:
        verb = "add" if named is None else "change"
        said, changed = f"{outcome.app_name} ({outcome.client_id}) now trusts {words}, as {name}", True
        if dry_run:
            return replace(outcome, said=f"a run would {verb} {name}: {words}")
        say(f"{'adding' if named is None else 'changing'} the federated credential {name}")
        _write(found, wanted, named)
    if token is None or dry_run:
        if changed:
            said += "; not proven: no token of that issuer is here (--prove-with-token-file)"
        return replace(outcome, there=_there(found), said=said, changed=changed)
    say("proving that it works")
    try:
        prove(
            found.endpoints,
            "workload-identity",
            token,
            tenant_id=found.tenant_id,
            client_id=outcome.client_id,
            seconds=120.0,
        )
    except SignInFailed as refused:
        raise SignInFailed(
            refused.message, remedy=f"{name} stays; compare it with the token, or take it away: --remove {name}"
        ) from None
    return replace(outcome, there=_there(found), said=f"{said}; proven", changed=changed, proven=True)


def remove(found: Found, name: str, *, dry_run: bool) -> Federation:
    """Removes a federated credential by its name; nothing when it is not there.

    Raises:
        InvalidInput: a stack's state owns it.
        NotPermitted, Unreachable: as the names say.
    """
    there = _there(found)
    outcome = Federation(found.application.display_name, found.application.app_id, there)
    named = next((one for one in there if one.name.lower() == name.lower()), None)
    if named is None:
        return replace(
            outcome, said=f"nothing to do: {outcome.app_name} ({outcome.client_id}) has none of the name {name}"
        )
    _require_ours(found, named, changes=True)
    if dry_run:
        return replace(outcome, said=f"a run would remove {named.name}: {named.subject} of {named.issuer}")
    found.graph.remove_federated_credential(found.application.object_id, named.id)
    left = [one for one in _there(found) if one.id != named.id]
    return replace(outcome, there=left, said=f"removed: {named.name}", changed=True)


def _there(found: Found) -> list[FederatedCredential]:
    return found.graph.federated_credentials(found.application.object_id)


def _write(found: Found, wanted: FederatedCredential, named: FederatedCredential | None) -> None:
    object_id = found.application.object_id
    values = {"issuer": wanted.issuer, "subject": wanted.subject, "audience": wanted.audiences[0]}
    if named is None:
        found.graph.add_federated_credential(object_id, wanted.name, **values)
    else:
        found.graph.update_federated_credential(object_id, named.id, **values)

    def listed() -> bool | None:
        return any(replace(one, id="", name=wanted.name) == wanted for one in _there(found)) or None

    found.graph.wait_until_readable(listed, "the federated credential")


def _name_of(subject: str) -> str:
    """A name that may stand in a URL: the subject with everything else as a hyphen."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", subject).strip("-_")[:120].strip("-_") or "federated"


def _check(
    wanted: FederatedCredential,
    there: Sequence[FederatedCredential],
    same: FederatedCredential | None,
    named: FederatedCredential | None,
) -> None:
    values = {"issuer": wanted.issuer, "subject": wanted.subject, "audience": wanted.audiences[0]}
    for what, value in values.items():
        if not value or value != value.strip() or not value.isprintable() or len(value) > _LONGEST:
            raise InvalidInput(
                f"The {what} {value[:80]!r} is not 1 to {_LONGEST} printable characters without blanks around it.",
                remedy="Copy it from a token of that issuer.",
            )
        if "*" in value:
            raise InvalidInput(
                f"The {what} {value!r} holds a wildcard; Microsoft Entra compares letter by letter.",
                remedy="Name one subject, and add one credential for each.",
            )
    parts = urlsplit(wanted.issuer)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(
            f"The issuer {wanted.issuer!r} is not an https address.",
            remedy="For example https://token.actions.githubusercontent.com",
        )
    if not _NAME.fullmatch(wanted.name):
        raise InvalidInput(
            f"{wanted.name!r} is no name for a federated credential.",
            remedy="Use --name with 3 to 120 letters, digits, hyphens or underscores, a letter or digit first.",
        )
    if same is not None and (named is None or same.id != named.id):
        raise InvalidInput(
            f"The registration trusts {wanted.subject} of {wanted.issuer} already, under the name {same.name}; "
            "Microsoft Entra takes each pair once.",
            remedy=f"Leave --name out, or take that one away: --remove {same.name}",
        )
    if named is None and len(there) >= _MOST:
        raise InvalidInput(
            f"The registration has {len(there)} federated credentials, and Microsoft Entra takes no more.",
            remedy=f"Remove one that is not used: --remove {there[0].name}",
        )


def _require_ours(found: Found, wanted: FederatedCredential, *, changes: bool) -> None:
    """Refuses to change what Pulumi's state owns, or may own."""
    if not changes:
        return
    if found.settings is None:
        if owner := ownership.stack_of(found.application.tags):
            raise InvalidInput(
                f"{found.application.display_name} is the registration of the stack {owner}, whose state may own this "
                "federated credential.",
                remedy=f"Name the stack instead: --stack {owner.rpartition('/')[2]}",
            )
        return
    own = found.settings
    mine = own.federated_name is not None and (
        wanted.name.lower() == own.federated_name.lower()
        or (wanted.issuer, wanted.subject) == (own.federated_issuer, own.federated_subject)
    )
    if mine:
        raise InvalidInput(
            f"The federated credential {own.federated_name} is in the settings of the stack {found.stack}, so Pulumi "
            "owns it.",
            remedy="Change federatedName, federatedIssuer or federatedSubject there, then: provision up.",
        )


def _token(wanted: FederatedCredential, file: Path | None, found: Found, environ: Mapping[str, str]) -> str | None:
    """The token for the proof, compared with what is wanted; None when there is none of that issuer."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise InvalidInput(f"{file} cannot be read.", remedy="Name the file that holds the token.") from None
        try:
            claims = claims_of(token)
        except SignInFailed:
            raise InvalidInput(f"{file} does not hold a token.", remedy="Name the file that holds a JWT.") from None
        _require_match(wanted, claims, str(file))
        return token
    try:
        setting = credentials.read(
            "workload-identity", tenant_id=found.tenant_id, client_id=found.application.app_id, environ=environ
        )
        token = assertion(setting, wanted.audiences[0])
        claims = claims_of(token)
    except ProvisionError:
        return None  # no pipeline, or one that gives no token to this job
    return token if (claims.get("iss"), claims.get("sub")) == (wanted.issuer, wanted.subject) else None


def _require_match(wanted: FederatedCredential, claims: Mapping[str, Any], where: str) -> None:
    audience = claims.get("aud")
    told = {
        "issuer": (wanted.issuer, [str(claims.get("iss"))]),
        "subject": (wanted.subject, [str(claims.get("sub"))]),
        "audience": (
            wanted.audiences[0],
            [str(one) for one in (audience if isinstance(audience, list) else [audience])],
        ),
    }
    for what, (value, presented) in told.items():
        if value in presented:
            continue
        case = any(value.lower() == one.lower() for one in presented)
        raise InvalidInput(
            f"The token in {where} has the {what} {', '.join(presented)}, not {value}"
            f"{': letter case counts' if case else ''}.",
            remedy=f"Give --{what} as the token has it.",
        )
