"""Microsoft Graph, as far as an app registration needs it: typed calls, typed answers.

Owns: which request answers which question (v1.0 only). Does not own: the line (``microsoft.channel``), what should be
there (``app``), or creating what Pulumi manages. Operation names and permissions are those of the Microsoft Graph v1.0
reference; each method names its page.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from provision.errors import InvalidInput, ProvisionError, Unreachable
from provision.microsoft import certificates, policies, publisher
from provision.microsoft.channel import AnswerLost, Line, Where
from provision.microsoft.objects import (
    Application,
    CredentialRules,
    FederatedCredential,
    Grant,
    NewCredential,
    Password,
    ServicePrincipal,
    SignIn,
)
from provision.microsoft.reading import (
    Document,
    application_of,
    federated_credential_of,
    grant_of,
    moment,
    service_principal_of,
    sign_in_of,
)
from provision.microsoft.refusals import GraphRefusal

T = TypeVar("T")

APP_FIELDS = [
    "id", "appId", "displayName", "signInAudience", "tags", "web", "spa", "publicClient", "isFallbackPublicClient",
    "requiredResourceAccess", "passwordCredentials", "createdDateTime", "verifiedPublisher",
]  # fmt: skip
"""What is read of an app registration; ``reading.application_of`` takes these."""
CERTIFICATE_FIELDS = ["keyCredentials"]
"""Asked for only where certificates are shown: of a single object Graph then sends their data as well."""
_SP_FIELDS = ["id", "appId", "displayName", "accountEnabled", "tags"]
_WRITE_APPS = (
    "Application.ReadWrite.All (or Application.ReadWrite.OwnedBy as an owner), or an Application Administrator"
)
_READ_APPS = "Application.Read.All"
_READ_USERS = "User.ReadBasic.All"
_READ_GROUPS = "GroupMember.Read.All"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WRITE_GRANTS = "DelegatedPermissionGrant.ReadWrite.All, or a Cloud Application or Application Administrator"


def _gone(refusal: GraphRefusal) -> bool:
    return refusal.status == 404


def _gone_or_forbidden(refusal: GraphRefusal) -> bool:
    return refusal.status in (403, 404)


def quoted(text: str) -> str:
    """A value in a ``$filter`` condition."""
    return "'" + text.replace("'", "''") + "'"


def _written(moment_: datetime) -> str:
    return moment_.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _application(object_id: str) -> Where:
    return lambda client: client.applications.by_application_id(object_id)


class Graph(Line):
    """App registrations, principals and grants as one caller sees them."""

    @property
    def ahead(self) -> timedelta:
        """How far Microsoft's clock is ahead of this machine's, as its last answer was dated."""
        return self._channel.ahead

    # Applications

    def application(self, object_id: str, *, with_certificates: bool = False) -> Application | None:
        """One app registration by object id; None when there is none ("Get application").

        Args:
            object_id: the registration's object id.
            with_certificates: whether to read its certificates too.
        """
        found = self._channel.ask(
            _application(object_id),
            "read the application",
            query={"select": APP_FIELDS + (CERTIFICATE_FIELDS if with_certificates else [])},
            needs=_READ_APPS,
            absent=_gone,
        )
        return None if found is None else application_of(found)

    def application_by_app_id(self, app_id: str, *, with_certificates: bool = False) -> Application | None:
        """One app registration by its Application (client) ID; None when there is none ("List applications")."""
        found = self.applications(f"appId eq {quoted(app_id)}", with_certificates=with_certificates)
        return next(iter(found), None)

    def applications_by_tag(self, tag: str, *, with_certificates: bool = False) -> list[Application]:
        """The app registrations that carry a tag ("List applications")."""
        return self.applications(f"tags/any(t:t eq {quoted(tag)})", with_certificates=with_certificates)

    def applications(self, condition: str, *, with_certificates: bool = False) -> list[Application]:
        """The app registrations that a ``$filter`` condition selects, all pages ("List applications").

        Args:
            condition: OData, values quoted.
            with_certificates: whether to read their certificates too.
        """
        found = self._channel.ask_all(
            lambda client: client.applications,
            "list applications",
            query={"filter": condition, "select": APP_FIELDS + (CERTIFICATE_FIELDS if with_certificates else [])},
            needs=_READ_APPS,
        )
        return [application_of(item) for item in found]

    def owners(self, object_id: str) -> list[str]:
        """Object ids of an app registration's owners ("List owners of an application")."""
        found = self._channel.ask_all(
            lambda client: client.applications.by_application_id(object_id).owners, "list the owners", needs=_READ_APPS
        )
        return [owner["id"] for owner in found]

    def delete_application(self, object_id: str) -> None:
        """Deletes an app registration; no error when it is gone already ("Delete application")."""
        self._channel.ask(
            _application(object_id), "delete the application", method="DELETE", needs=_WRITE_APPS, absent=_gone
        )

    def rename(self, object_id: str, display_name: str) -> None:
        """Changes an app registration's display name ("Update application")."""
        self._channel.ask(
            _application(object_id),
            "rename the application",
            method="PATCH",
            body={"displayName": display_name},
            needs=_WRITE_APPS,
        )

    # Secrets

    def add_password(
        self, object_id: str, display_name: str, end: datetime, *, start: datetime | None = None
    ) -> NewCredential:
        """Makes a client secret; its value is shown this once ("application: addPassword").

        When the answer is lost, a secret may exist whose value nobody knows: it is looked for by name, start and
        being new, and removed, before the failure is passed on.

        Args:
            object_id: the app registration's object id.
            display_name: the secret's description.
            end: when it expires (UTC).
            start: from when it is valid (UTC); now, by Microsoft's clock, without it.

        Raises:
            PolicyRefuses: an app management policy forbids it or its lifetime.
            NotPermitted, Unreachable: as the names say.
        """
        begin = (start or self.now()).replace(microsecond=0)
        before = {password.key_id for password in self._passwords(object_id)}
        wanted = {"displayName": display_name, "startDateTime": _written(begin), "endDateTime": _written(end)}
        try:
            made = self._channel.ask(
                lambda client: client.applications.by_application_id(object_id).add_password,
                "make a client secret",
                method="POST",
                body={"passwordCredential": wanted},
                needs=_WRITE_APPS,
            )
        except Unreachable:
            self._remove_unknown(object_id, display_name, begin, before)
            raise
        if made is None or not made.get("keyId") or not made.get("secretText"):
            raise ProvisionError("Microsoft Graph made a client secret but did not show it.", remedy="Run again.")
        return NewCredential(made["keyId"], moment(made.get("endDateTime")) or end, made["secretText"])

    def _remove_unknown(self, object_id: str, display_name: str, start: datetime, before: set[str]) -> None:
        try:
            for password in self._passwords(object_id):
                if (
                    password.key_id not in before
                    and password.display_name == display_name
                    and password.start is not None
                    and password.start.replace(microsecond=0) == start
                ):
                    self.remove_password(object_id, password.key_id)
        except Unreachable:
            return  # the caller's journal knows that a secret may be left; the next run looks again

    def _passwords(self, object_id: str) -> tuple[Password, ...]:
        found = self.application(object_id)
        return () if found is None else found.passwords

    def remove_password(self, object_id: str, key_id: str) -> None:
        """Removes a client secret; no error when it is gone already ("application: removePassword")."""

        def absent(refusal: GraphRefusal) -> bool:
            return refusal.status == 404 or (
                refusal.status == 400 and "No password credential found" in refusal.message
            )

        def once() -> None:
            self._channel.ask(
                lambda client: client.applications.by_application_id(object_id).remove_password,
                "remove a client secret",
                method="POST",
                body={"keyId": key_id},
                needs=_WRITE_APPS,
                absent=absent,
            )

        try:
            once()
        except AnswerLost:
            once()

    # Certificates

    def key_credentials(self, object_id: str) -> list[Document]:
        """An app registration's certificates as Graph lists them, without their data ("keyCredential resource type":
        ``key`` is returned on ``$select`` alone).
        """
        found = self._channel.ask(_application(object_id), "read the certificates", needs=_READ_APPS)
        return list((found or {}).get("keyCredentials") or ())

    def set_key_credentials(self, object_id: str, rows: list[Document]) -> None:
        """Replaces an app registration's certificates ("Update application")."""
        self._channel.ask(
            _application(object_id),
            "change the certificates",
            method="PATCH",
            body={"keyCredentials": rows},
            needs=_WRITE_APPS,
        )

    def change_certificates(
        self,
        object_id: str,
        *,
        add: Mapping[str, Any] | None = None,
        remove: Collection[str] = (),
        expected: Collection[str] = (),
    ) -> None:
        """Adds a certificate or removes some and leaves all others; see ``microsoft.certificates.change``."""
        certificates.change(self, object_id, add=add, remove=remove, expected=expected)

    def password_rules(self, object_id: str | None = None, *, created: datetime | None = None) -> CredentialRules:
        """What the tenant's policies allow for an application's secrets.

        The policy assigned to the application wins over the tenant's default ("appManagementPolicy resource type").

        Args:
            object_id: the app registration; None for one that is still to be made.
            created: when it was made; now for one that is still to be made.
        """
        return policies.password_rules(*self._management_policies(object_id), created or datetime.now(UTC))

    def certificate_rules(self, object_id: str, *, created: datetime | None = None) -> CredentialRules:
        """What the tenant's policies allow for an application's certificates; takes what ``password_rules`` does."""
        return policies.certificate_rules(*self._management_policies(object_id), created or datetime.now(UTC))

    def _management_policies(self, object_id: str | None) -> tuple[list[Document], Document | None]:
        """The policies assigned to an application, and the tenant's default where it may be read."""
        assigned = []
        if object_id is not None:
            assigned = self._channel.ask_all(
                lambda client: client.applications.by_application_id(object_id).app_management_policies,
                "read the application's policies",
                absent=_gone_or_forbidden,
            )
        tenant = self._channel.ask(
            lambda client: client.policies.default_app_management_policy,
            "read the tenant's app management policy",
            absent=_gone_or_forbidden,
        )
        return assigned, tenant

    # Service principals and grants

    def service_principal(self, app_id: str, *, with_permissions: bool = False) -> ServicePrincipal | None:
        """The enterprise application of an appId; None when there is none ("List servicePrincipals").

        Args:
            app_id: the application's (client) id.
            with_permissions: whether to read what it publishes too (Microsoft Graph publishes hundreds).
        """
        fields = _SP_FIELDS + (["appRoles", "oauth2PermissionScopes"] if with_permissions else [])
        found = self._channel.ask_all(
            lambda client: client.service_principals,
            "look up the enterprise application",
            query={"filter": f"appId eq {quoted(app_id)}", "select": fields},
            needs=_READ_APPS,
        )
        return service_principal_of(found[0]) if found else None

    def create_service_principal(self, app_id: str) -> ServicePrincipal:
        """Makes the enterprise application of an app registration ("Create servicePrincipal")."""
        made = self._channel.ask(
            lambda client: client.service_principals,
            "make the enterprise application",
            method="POST",
            body={"appId": app_id},
            needs=_WRITE_APPS,
        )
        return service_principal_of(made or {})

    def grants(self, client_object_id: str) -> list[Grant]:
        """The delegated permission grants of a client's service principal ("List oauth2PermissionGrants")."""
        found = self._channel.ask_all(
            lambda client: client.oauth2_permission_grants,
            "list the grants",
            query={"filter": f"clientId eq {quoted(client_object_id)}"},
            needs="Directory.Read.All",
        )
        return [grant_of(item) for item in found]

    def add_grant_scopes(self, grant: Grant, scopes: Iterable[str]) -> Grant:
        """Adds scopes to a grant, keeping its own ("Update oAuth2PermissionGrant"); a second POST would be a 409."""
        merged = tuple(dict.fromkeys([*grant.scopes, *scopes]))
        if merged != grant.scopes:
            self._channel.ask(
                lambda client: client.oauth2_permission_grants.by_o_auth2_permission_grant_id(grant.id),
                "extend the grant",
                method="PATCH",
                body={"scope": " ".join(merged)},
                needs=_WRITE_GRANTS,
            )
        return replace(grant, scopes=merged)

    def federated_credentials(self, object_id: str) -> list[FederatedCredential]:
        """Whose tokens an app registration accepts ("List federatedIdentityCredentials")."""
        found = self._channel.ask_all(
            lambda client: client.applications.by_application_id(object_id).federated_identity_credentials,
            "list the federated credentials",
            needs=_READ_APPS,
        )
        return [federated_credential_of(item) for item in found]

    def add_federated_credential(
        self, object_id: str, name: str, *, issuer: str, subject: str, audience: str, description: str = ""
    ) -> None:
        """Lets an app registration accept another issuer's tokens ("Create federatedIdentityCredential").

        Raises:
            InvalidInput: Entra refuses it: twenty are there, or one for the same issuer and subject.
        """
        try:
            self._channel.ask(
                lambda client: client.applications.by_application_id(object_id).federated_identity_credentials,
                "add the federated credential",
                method="POST",
                body={
                    "name": name,
                    "issuer": issuer,
                    "subject": subject,
                    "audiences": [audience],
                    "description": description,
                },
                needs=_WRITE_APPS,
            )
        except AnswerLost:
            if all(one.name != name for one in self.federated_credentials(object_id)):
                raise

    def update_federated_credential(
        self, object_id: str, credential_id: str, *, issuer: str, subject: str, audience: str
    ) -> None:
        """Changes whose tokens are accepted, in place ("Update federatedIdentityCredential")."""
        self._channel.ask(
            lambda client: client.applications.by_application_id(
                object_id
            ).federated_identity_credentials.by_federated_identity_credential_id(credential_id),
            "change the federated credential",
            method="PATCH",
            body={"issuer": issuer, "subject": subject, "audiences": [audience]},
            needs=_WRITE_APPS,
        )

    def remove_federated_credential(self, object_id: str, credential_id: str) -> None:
        """Removes one; no error when it is gone already ("Delete federatedIdentityCredential")."""
        self._channel.ask(
            lambda client: client.applications.by_application_id(
                object_id
            ).federated_identity_credentials.by_federated_identity_credential_id(credential_id),
            "remove the federated credential",
            method="DELETE",
            needs=_WRITE_APPS,
            absent=_gone,
        )

    # The tenant

    def users_may_register(self) -> bool | None:
        """Whether users without a role may register applications; None when the caller may not know.

        ``defaultUserRolePermissions.allowedToCreateApps`` ("Get authorizationPolicy").
        """
        policy = self._channel.ask(
            lambda client: client.policies.authorization_policy,
            "read the authorization policy",
            absent=_gone_or_forbidden,
        )
        allowed = ((policy or {}).get("defaultUserRolePermissions") or {}).get("allowedToCreateApps")
        return None if allowed is None else bool(allowed)

    # Users and the sign-in log

    def revoke_sessions(self, user: str) -> None:
        """Ends a user's refresh tokens and browser sessions ("user: revokeSignInSessions").

        Args:
            user: object id or user principal name.

        Raises:
            InvalidInput: there is no such user.
            NotPermitted, Unreachable: as the names say.
        """
        self._channel.ask(
            lambda client: client.users.by_user_id(user).revoke_sign_in_sessions,
            f"revoke the sessions of {user}",
            method="POST",
            needs="User.RevokeSessions.All, or a User Administrator",
        )

    def sign_ins(self, app_id: str, since: datetime) -> list[SignIn]:
        """Users' interactive sign-ins to an application, newest first ("List signIns"; the log takes Entra ID P1).

        Args:
            app_id: the application's (client) id.
            since: from when on.

        Raises:
            NotPermitted: the caller may not read the log, or the tenant's licence has none.
        """
        found = self._channel.ask_all(
            lambda client: client.audit_logs.sign_ins,
            "read the sign-in log",
            query={"filter": f"appId eq {quoted(app_id)} and createdDateTime ge {_written(since)}"},
            needs="AuditLog.Read.All and Directory.Read.All, and a Microsoft Entra ID P1 licence",
        )
        return [sign_in_of(item) for item in found]

    def has_user(self, name: str) -> bool:
        """Whether there is a user of this principal name or address ("List users").

        Raises:
            NotPermitted: the caller may not read users.
        """
        found = self._channel.ask_all(
            lambda client: client.users,
            f"look up the user {name}",
            query={"filter": f"userPrincipalName eq {quoted(name)} or mail eq {quoted(name)}", "select": ["id"]},
            needs=_READ_USERS,
        )
        return bool(found)

    def group_members(self, name: str) -> list[str]:
        """The addresses of a group's users, those in groups inside it too ("List group members").

        Args:
            name: the group's address, object id or display name.

        Raises:
            InvalidInput: there is no such group, or several bear the name.
            NotPermitted: the caller may not read groups.
        """
        condition = f"mail eq {quoted(name)} or displayName eq {quoted(name)}"
        if _OBJECT_ID.fullmatch(name):
            condition = f"id eq {quoted(name)}"
        groups = self._channel.ask_all(
            lambda client: client.groups,
            f"look up the group {name}",
            query={"filter": condition, "select": ["id", "displayName"]},
            needs=_READ_GROUPS,
        )
        if len(groups) != 1:
            raise InvalidInput(
                f"There {'is no group' if not groups else f'are {len(groups)} groups'} called {name!r}.",
                remedy="Name it by its address or its object id.",
            )
        return self._members([str(groups[0]["id"])], name)

    def _members(self, groups: list[str], name: str) -> list[str]:
        addresses: dict[str, None] = {}
        seen = set(groups)
        while groups:
            group = groups.pop()
            for member in self._channel.ask_all(
                lambda client, group=group: client.groups.by_group_id(group).members,  # type: ignore[misc]
                f"list the members of {name}",
                needs=_READ_GROUPS,
            ):
                if str(member.get("@odata.type", "")).endswith(".group") and member["id"] not in seen:
                    seen.add(member["id"])
                    groups.append(member["id"])
                elif address := member.get("mail") or member.get("userPrincipalName"):
                    addresses[str(address)] = None
        return list(addresses)

    def set_verified_publisher(self, object_id: str, mpn_id: str) -> None:
        """Sets the verified publisher ("application: setVerifiedPublisher"): a signed-in user only, public cloud only.

        Raises:
            NotPermitted, InvalidInput, PolicyRefuses: each of Microsoft's reasons in one sentence.
        """
        refusals: list[GraphRefusal] = []

        def noted(refusal: GraphRefusal) -> bool:
            known = publisher.is_known(refusal)
            if known:
                refusals.append(refusal)
            return known

        self._channel.ask(
            lambda client: client.applications.by_application_id(object_id).set_verified_publisher,
            "set the verified publisher",
            method="POST",
            body={"verifiedPublisherId": mpn_id},
            needs="a signed-in user with Application.ReadWrite.All; applications cannot do it",
            absent=noted,
        )
        if refusals:
            raise publisher.refused(refusals[0], mpn_id)

    def wait_until_readable(
        self, read: Callable[[], T | None], what: str, *, seconds: float = 180.0, first_delay: float = 0.5
    ) -> T:
        """Waits for something just made to be visible everywhere ("404 ... after creating an object": replication).

        Args:
            read: asks for it; None while it is not there.
            what: its name, for the message.
            seconds: how long to wait at most.
            first_delay: the first pause, seconds; doubled each time up to 16 s, with jitter.

        Raises:
            Unreachable: it did not appear in time.
        """
        deadline = time.monotonic() + seconds
        delay = first_delay
        while (found := read()) is None:
            pause = delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
            if time.monotonic() + pause > deadline:
                raise Unreachable(
                    f"Microsoft Graph does not show {what} {seconds:.0f} seconds after it was made.",
                    remedy="Run again in a few minutes; nothing is lost.",
                )
            time.sleep(pause)
            delay = min(delay * 2, 16.0)
        return found
