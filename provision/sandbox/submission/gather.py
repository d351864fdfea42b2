"""Reads a tenant for one sign-in over SMTP: the facts of ``layers``, and whose mailbox it is.

Owns: finding tenant, account and mailbox, asking Entra, checking a token. Does not own: the order (``layers``).
Sources: "Authenticate an IMAP, POP or SMTP connection using OAuth" (audience, ``SMTP.Send``, a shared mailbox's address
as the user name; for an application: ``SMTP.SendAsApp``, New-ServicePrincipal and Add-MailboxPermission FullAccess).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra import access, app_passwords
from provision.sandbox.entra.accounts import check_password, check_unlocked_and_enabled, find_account
from provision.sandbox.entra.authority import domain_owner
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.errors import EntraError, Incident
from provision.sandbox.entra.sign_in_log import Peer, SignInEvent, record_from
from provision.sandbox.entra.tokens import EXCHANGE_APP_ID, TokenRefused, verify_access_token
from provision.sandbox.exchange import mailboxes, organization
from provision.sandbox.exchange.propagation import in_effect
from provision.sandbox.submission.layers import Facts, SignIn
from provision.sandbox.world import World

_RESOURCES = ("https://outlook.office.com", "https://outlook.office365.com", EXCHANGE_APP_ID)
_AUDIENCES = frozenset(name + slash for name in _RESOURCES for slash in ("", "/"))
_SIGN_IN: dict[int, SignIn] = {
    50034: "credentials",
    50053: "locked",
    50057: "credentials",
    50126: "credentials",
    530035: "security-defaults",
    53000: "conditional-access",
    53003: "conditional-access",
}
_EXCHANGE = Client(EXCHANGE_APP_ID, "Office 365 Exchange Online", None, None)
"""Entra sees Exchange itself sign the user in: client and resource are the same."""


@dataclass(frozen=True)
class Login:
    """Who signed in: the mailbox that may be used, and in whose name the right to it is."""

    tenant_id: str
    name: str
    """The user name as the client gave it."""
    mailbox: Document
    owner: Document | None
    """The mailbox's account; the right to send as others hangs on it."""
    app_id: str | None = None
    """The application behind an access token."""


@dataclass(frozen=True)
class Attempt:
    """A sign-in as far as it is known: its facts, and its tenant and login when there are any."""

    facts: Facts
    tenant_id: str | None = None
    login: Login | None = None
    user: Document | None = field(default=None, repr=False)


def before_password(world: World, name: str, *, legacy_tls: bool) -> Attempt:
    """What is known of a Basic sign-in before the password is looked at.

    Args:
        world: the running server.
        name: the user name.
        legacy_tls: whether the conversation runs over TLS 1.0 or 1.1.
    """
    directory = world.directory
    tenant_id = domain_owner(directory, name.rpartition("@")[2].strip().lower())
    if tenant_id is None:
        return Attempt(Facts(legacy_tls_refused=legacy_tls))
    found = directory.find(tenant_id, "user", fresh=True, userPrincipalName=name.strip())
    user = found[0] if found else None
    mailbox = mailboxes.of_user(directory, tenant_id, user["id"]) if user else None
    policy = organization.authentication_policy(directory, tenant_id, user or {}, mailbox)
    config = _transport(directory, tenant_id)
    facts = Facts(
        legacy_tls_refused=legacy_tls and not config["AllowLegacyTLSClients"],
        stage=organization.basic_smtp_stage(directory, tenant_id),
        reenabled=config["_basicSmtpReenabled"],
        policy_blocks=policy is not None and not policy["AllowBasicAuthSmtp"],
    )
    return Attempt(facts, tenant_id, user=user)


def with_password(world: World, attempt: Attempt, name: str, password: str, peer: Peer) -> Attempt:
    """Asks Entra, which counts failures and writes its sign-in log, then reads the mailbox."""
    directory = world.directory
    sign_in = _ask_entra(world, name, password, peer)
    facts = replace(attempt.facts, sign_in=sign_in)
    if sign_in != "right" or attempt.tenant_id is None or attempt.user is None:
        return replace(attempt, facts=facts)
    mailbox = _usable(directory, attempt.tenant_id, mailboxes.of_user(directory, attempt.tenant_id, attempt.user["id"]))
    login = Login(attempt.tenant_id, name, mailbox, attempt.user) if mailbox else None
    return replace(attempt, facts=_with_mailbox(directory, attempt.tenant_id, facts, mailbox), login=login)


def with_token(world: World, name: str, token: str, *, legacy_tls: bool) -> Attempt:
    """The facts of an XOAUTH2 sign-in."""
    facts = Facts(method="oauth", legacy_tls_refused=legacy_tls)
    directory = world.directory
    try:
        claims = verify_access_token(world, token, audiences=_AUDIENCES)
    except TokenRefused:
        return Attempt(replace(facts, token_good=False))
    tenant_id = str(claims["tid"])
    allowed = _transport(directory, tenant_id)["AllowLegacyTLSClients"]
    facts = replace(facts, legacy_tls_refused=legacy_tls and not allowed)
    mailbox = mailboxes.by_address(directory, tenant_id, name.strip())
    user = directory.get(tenant_id, "user", claims["oid"], fresh=True) if claims["idtyp"] == "user" else None
    if user is None:
        good, enabled = _application_may(directory, tenant_id, claims, mailbox), True
    else:
        good, enabled = _user_may(claims, user, name, mailbox), user.get("accountEnabled", True) is not False
    facts = replace(facts, token_good=good, enabled=enabled)
    if not good:
        return Attempt(facts, tenant_id)
    mailbox = _usable(directory, tenant_id, mailbox)
    facts = _with_mailbox(directory, tenant_id, facts, mailbox)
    if mailbox is None:
        return Attempt(facts, tenant_id)
    owner = directory.get(tenant_id, "user", mailbox["_userId"], fresh=True)
    return Attempt(facts, tenant_id, Login(tenant_id, name, mailbox, owner, claims.get("appid")))


def _transport(directory: Directory, tenant_id: str) -> Document:
    """The tenant's transport settings as this server knows them by now."""
    return in_effect(directory, organization.transport_config(directory, tenant_id))


def _usable(directory: Directory, tenant_id: str, mailbox: Document | None) -> Document | None:
    """The mailbox, unless it is a user's own and he has no licence for it."""
    if mailbox is None or mailbox["RecipientTypeDetails"] != mailboxes.USER:
        return mailbox
    owner = directory.get(tenant_id, "user", mailbox["_userId"], fresh=True)
    return mailbox if mailboxes.licensed(owner) else None


def _ask_entra(world: World, name: str, password: str, peer: Peer) -> SignIn:
    event = SignInEvent(kind="interactiveUser", client=_EXCHANGE, client_app_used="Authenticated SMTP", user_name=name)
    incident = Incident.new(world.directory.clock, None)
    try:
        result = _sign_in(world, event, name, password, peer)
    except EntraError as error:
        record_from(world, peer, event, incident, error)
        return _SIGN_IN[error.code]
    missing = None if result == "right" else EntraError(_factor(event, world), resource=EXCHANGE_APP_ID)
    record_from(world, peer, event, incident, missing)
    return result


def _sign_in(world: World, event: SignInEvent, name: str, password: str, peer: Peer) -> SignIn:
    directory = world.directory
    tenant_id, user = find_account(directory, name)
    found = directory.find(tenant_id, "servicePrincipal", fresh=True, appId=EXCHANGE_APP_ID)
    event.of_user(tenant_id, user["id"])
    event.resource = found[0] if found else {"appId": EXCHANGE_APP_ID, "displayName": _EXCHANGE.name}
    app_password = app_passwords.accepts(user, password)
    if app_password:
        check_unlocked_and_enabled(user)
    else:
        check_password(directory, tenant_id, user, password)
    # Per-user MFA is asked for below: an app password passes it, and nothing of Conditional Access.
    attempt = access.Attempt(
        tenant_id, {**user, "_mfa": "off"}, _EXCHANGE, None, event.resource, "other", address=peer.address
    )
    if access.judge(directory, attempt).second_factor:
        return "conditional-access"
    return "right" if app_password or user.get("_mfa", "off") == "off" else "mfa"


def _factor(event: SignInEvent, world: World) -> int:
    """The number in the sign-in log where a second factor was missing: it must be registered first, or shown."""
    user = world.directory.get(event.tenant_id or "", "user", event.user_id or "", fresh=True) or {}
    return 50076 if user.get("_mfa") == "registered" or user.get("_securityInfo") else 50079


def _with_mailbox(directory: Directory, tenant_id: str, facts: Facts, mailbox: Document | None) -> Facts:
    known = in_effect(directory, mailbox) if mailbox else None
    return replace(
        facts,
        mailbox=known["RecipientTypeDetails"] if known else None,
        mailbox_disabled=known["SmtpClientAuthenticationDisabled"] if known else None,
        organisation_disabled=_transport(directory, tenant_id)["SmtpClientAuthenticationDisabled"],
    )


def _user_may(claims: dict[str, Any], user: Document, name: str, mailbox: Document | None) -> bool:
    if "SMTP.Send" not in str(claims.get("scp", "")).split():
        return False
    if name.lower() == str(user["userPrincipalName"]).lower():
        return True
    return mailbox is not None and user["id"] in {mailbox["_userId"], *mailbox["_fullAccess"]}


def _application_may(directory: Directory, tenant_id: str, claims: dict[str, Any], mailbox: Document | None) -> bool:
    if "SMTP.SendAsApp" not in (claims.get("roles") or []) or mailbox is None:
        return False
    registered = directory.find(tenant_id, "exchangeServicePrincipal", fresh=True, AppId=claims["appid"])
    return any(entry["ObjectId"] in mailbox["_fullAccess"] for entry in registered)
