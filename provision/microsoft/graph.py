"""Microsoft Graph, as far as an app registration needs it: typed calls, typed answers.

Owns: which request answers which question (v1.0 only). Does not own: the line (``microsoft.channel``), what should be
there (``app``), or creating what Pulumi manages. Operation names and permissions are those of the Microsoft Graph v1.0
reference; each method names its page.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from provision.errors import ProvisionError, Unreachable
from provision.microsoft import policies, publisher
from provision.microsoft.channel import AnswerLost, Channel, all_pages, query_of
from provision.microsoft.credentials import Credential
from provision.microsoft.objects import (
    Application,
    FederatedCredential,
    Grant,
    NewPassword,
    PasswordRules,
    ServicePrincipal,
)
from provision.microsoft.reading import (
    application_of,
    federated_credential_of,
    grant_of,
    service_principal_of,
)
from provision.microsoft.refusals import GraphRefusal
from provision.settings.endpoints import Endpoints

if TYPE_CHECKING:
    from msgraph.graph_service_client import GraphServiceClient

T = TypeVar("T")

_APP_FIELDS = [
    "id", "appId", "displayName", "signInAudience", "tags", "web", "spa", "publicClient", "isFallbackPublicClient",
    "requiredResourceAccess", "passwordCredentials", "createdDateTime", "verifiedPublisher",
]  # fmt: skip
_SP_FIELDS = ["id", "appId", "displayName", "accountEnabled", "tags"]
_WRITE_APPS = (
    "Application.ReadWrite.All (or Application.ReadWrite.OwnedBy as an owner), or an Application Administrator"
)
_READ_APPS = "Application.Read.All"
_WRITE_GRANTS = "DelegatedPermissionGrant.ReadWrite.All, or a Cloud Application or Application Administrator"


def _gone(refusal: GraphRefusal) -> bool:
    return refusal.status == 404


def _gone_or_forbidden(refusal: GraphRefusal) -> bool:
    return refusal.status in (403, 404)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Graph:
    """Microsoft Graph as one caller sees it; synchronous, usable from any thread, closed as a context manager.

    Args:
        credential: from ``credentials.credential_for`` or ``sign_in``.
        endpoints: the cloud.
        retry_delay: base of the backoff after 429 and 5xx, seconds.
    """

    def __init__(self, credential: Credential, endpoints: Endpoints, *, retry_delay: float = 1.0) -> None:
        self._channel = Channel(credential, endpoints, retry_delay=retry_delay)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._channel.close()

    # Applications

    def application(self, object_id: str) -> Application | None:
        """One app registration by object id; None when there is none ("Get application")."""

        async def request(client: GraphServiceClient) -> Any:
            return await client.applications.by_application_id(object_id).get()

        found = self._channel.call(request, "read the application", needs=_READ_APPS, absent=_gone)
        return None if found is None else application_of(found)

    def application_by_app_id(self, app_id: str) -> Application | None:
        """One app registration by its Application (client) ID; None when there is none ("List applications")."""
        return next(iter(self.applications(f"appId eq {_quoted(app_id)}")), None)

    def applications_by_tag(self, tag: str) -> list[Application]:
        """The app registrations that carry a tag ("List applications")."""
        return self.applications(f"tags/any(t:t eq {_quoted(tag)})")

    def applications(self, condition: str) -> list[Application]:
        """The app registrations that a ``$filter`` condition selects, all pages ("List applications")."""
        from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder as Builder

        query = query_of(Builder.ApplicationsRequestBuilderGetQueryParameters(filter=condition, select=_APP_FIELDS))

        async def request(client: GraphServiceClient) -> list[Any]:
            return await all_pages(client.applications, lambda page: page.get(query))

        return [application_of(a) for a in self._channel.call(request, "list applications", needs=_READ_APPS) or ()]

    def owners(self, object_id: str) -> list[str]:
        """Object ids of an app registration's owners ("List owners of an application")."""

        async def request(client: GraphServiceClient) -> list[Any]:
            return await all_pages(client.applications.by_application_id(object_id).owners, lambda page: page.get())

        return [owner.id for owner in self._channel.call(request, "list the owners", needs=_READ_APPS) or ()]

    def rename(self, object_id: str, display_name: str) -> None:
        """Changes an app registration's display name ("Update application")."""
        from msgraph.generated.models.application import Application as Body

        body = Body(display_name=display_name)

        async def request(client: GraphServiceClient) -> Any:
            return await client.applications.by_application_id(object_id).patch(body)

        self._channel.call(request, "rename the application", needs=_WRITE_APPS)

    # Secrets

    def add_password(
        self, object_id: str, display_name: str, end: datetime, *, start: datetime | None = None
    ) -> NewPassword:
        """Makes a client secret; its value is shown this once ("application: addPassword").

        When the answer is lost, a secret may exist whose value nobody knows: it is looked for by name, start and
        being new, and removed, before the failure is passed on.

        Args:
            object_id: the app registration's object id.
            display_name: the secret's description.
            end: when it expires (UTC).
            start: from when it is valid (UTC); now without it.

        Raises:
            PolicyRefuses: an app management policy forbids it or its lifetime.
            NotPermitted, Unreachable: as the names say.
        """
        from msgraph.generated.applications.item.add_password.add_password_post_request_body import (
            AddPasswordPostRequestBody,
        )
        from msgraph.generated.models.password_credential import PasswordCredential

        begin = (start or datetime.now(UTC)).replace(microsecond=0)
        before = {password.key_id for password in self._passwords(object_id)}
        wanted = PasswordCredential(display_name=display_name, start_date_time=begin, end_date_time=end)
        body = AddPasswordPostRequestBody(password_credential=wanted)

        async def request(client: GraphServiceClient) -> Any:
            return await client.applications.by_application_id(object_id).add_password.post(body)

        try:
            made = self._channel.call(request, "make a client secret", needs=_WRITE_APPS)
        except Unreachable:
            self._remove_unknown(object_id, display_name, begin, before)
            raise
        if made is None or not made.key_id or not made.secret_text:
            raise ProvisionError("Microsoft Graph made a client secret but did not show it.", remedy="Run again.")
        return NewPassword(str(made.key_id), made.end_date_time or end, made.secret_text)

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

    def _passwords(self, object_id: str) -> tuple[Any, ...]:
        found = self.application(object_id)
        return () if found is None else found.passwords

    def remove_password(self, object_id: str, key_id: str) -> None:
        """Removes a client secret; no error when it is gone already ("application: removePassword")."""
        from uuid import UUID

        from msgraph.generated.applications.item.remove_password.remove_password_post_request_body import (
            RemovePasswordPostRequestBody,
        )

        body = RemovePasswordPostRequestBody(key_id=UUID(key_id))

        async def request(client: GraphServiceClient) -> None:
            await client.applications.by_application_id(object_id).remove_password.post(body)

        def absent(refusal: GraphRefusal) -> bool:
            return refusal.status == 404 or (
                refusal.status == 400 and "No password credential found" in refusal.message
            )

        try:
            self._channel.call(request, "remove a client secret", needs=_WRITE_APPS, absent=absent)
        except AnswerLost:
            self._channel.call(request, "remove a client secret", needs=_WRITE_APPS, absent=absent)

    def password_rules(self, object_id: str | None = None, *, created: datetime | None = None) -> PasswordRules:
        """What the tenant's policies allow for an application's secrets.

        The policy assigned to the application wins over the tenant's default ("appManagementPolicy resource type").

        Args:
            object_id: the app registration; None for one that is still to be made.
            created: when it was made; now for one that is still to be made.
        """
        made = created or datetime.now(UTC)
        assigned: list[Any] = []
        if object_id is not None:

            async def request(client: GraphServiceClient) -> list[Any]:
                builder = client.applications.by_application_id(object_id).app_management_policies
                return await all_pages(builder, lambda page: page.get())

            answer = self._channel.call(request, "read the application's policies", absent=_gone_or_forbidden)
            assigned = answer or []

        async def default(client: GraphServiceClient) -> Any:
            return await client.policies.default_app_management_policy.get()

        tenant = self._channel.call(default, "read the tenant's app management policy", absent=_gone_or_forbidden)
        return policies.password_rules(assigned, tenant, made)

    # Service principals and grants

    def service_principal(self, app_id: str, *, with_permissions: bool = False) -> ServicePrincipal | None:
        """The enterprise application of an appId; None when there is none ("List servicePrincipals").

        Args:
            app_id: the application's (client) id.
            with_permissions: whether to read what it publishes too (Microsoft Graph publishes hundreds).
        """
        from msgraph.generated.service_principals.service_principals_request_builder import (
            ServicePrincipalsRequestBuilder as Builder,
        )

        fields = _SP_FIELDS + (["appRoles", "oauth2PermissionScopes"] if with_permissions else [])
        query = query_of(
            Builder.ServicePrincipalsRequestBuilderGetQueryParameters(
                filter=f"appId eq {_quoted(app_id)}", select=fields
            )
        )

        async def request(client: GraphServiceClient) -> Any:
            return await client.service_principals.get(query)

        answer = self._channel.call(request, "look up the enterprise application", needs=_READ_APPS)
        found = answer.value if answer is not None else None
        return service_principal_of(found[0]) if found else None

    def create_service_principal(self, app_id: str) -> ServicePrincipal:
        """Makes the enterprise application of an app registration ("Create servicePrincipal")."""
        from msgraph.generated.models.service_principal import ServicePrincipal as Body

        body = Body(app_id=app_id)

        async def request(client: GraphServiceClient) -> Any:
            return await client.service_principals.post(body)

        return service_principal_of(self._channel.call(request, "make the enterprise application", needs=_WRITE_APPS))

    def grants(self, client_object_id: str) -> list[Grant]:
        """The delegated permission grants of a client's service principal ("List oauth2PermissionGrants")."""
        from msgraph.generated.oauth2_permission_grants.oauth2_permission_grants_request_builder import (
            Oauth2PermissionGrantsRequestBuilder as Builder,
        )

        condition = f"clientId eq {_quoted(client_object_id)}"
        query = query_of(Builder.Oauth2PermissionGrantsRequestBuilderGetQueryParameters(filter=condition))

        async def request(client: GraphServiceClient) -> list[Any]:
            return await all_pages(client.oauth2_permission_grants, lambda page: page.get(query))

        return [grant_of(g) for g in self._channel.call(request, "list the grants", needs="Directory.Read.All") or ()]

    def add_grant_scopes(self, grant: Grant, scopes: Iterable[str]) -> Grant:
        """Adds scopes to a grant, keeping its own ("Update oAuth2PermissionGrant"); a second POST would be a 409."""
        from msgraph.generated.models.o_auth2_permission_grant import OAuth2PermissionGrant as Body

        merged = tuple(dict.fromkeys([*grant.scopes, *scopes]))
        if merged != grant.scopes:
            body = Body(scope=" ".join(merged))

            async def request(client: GraphServiceClient) -> Any:
                return await client.oauth2_permission_grants.by_o_auth2_permission_grant_id(grant.id).patch(body)

            self._channel.call(request, "extend the grant", needs=_WRITE_GRANTS)
        return Grant(grant.id, grant.client_id, grant.resource_id, grant.consent_type, merged, grant.principal_id)

    def federated_credentials(self, object_id: str) -> list[FederatedCredential]:
        """Whose tokens an app registration accepts ("List federatedIdentityCredentials")."""

        async def request(client: GraphServiceClient) -> list[Any]:
            builder = client.applications.by_application_id(object_id).federated_identity_credentials
            return await all_pages(builder, lambda page: page.get())

        found = self._channel.call(request, "list the federated credentials", needs=_READ_APPS)
        return [federated_credential_of(item) for item in found or ()]

    # The tenant

    def users_may_register(self) -> bool | None:
        """Whether users without a role may register applications; None when the caller may not know.

        ``defaultUserRolePermissions.allowedToCreateApps`` ("Get authorizationPolicy").
        """

        async def request(client: GraphServiceClient) -> Any:
            return await client.policies.authorization_policy.get()

        policy = self._channel.call(request, "read the authorization policy", absent=_gone_or_forbidden)
        defaults = getattr(policy, "default_user_role_permissions", None)
        return None if defaults is None else defaults.allowed_to_create_apps

    def set_verified_publisher(self, object_id: str, mpn_id: str) -> None:
        """Sets the verified publisher ("application: setVerifiedPublisher"): a signed-in user only, public cloud only.

        Raises:
            NotPermitted, InvalidInput, PolicyRefuses: each of Microsoft's reasons in one sentence.
        """
        from msgraph.generated.applications.item.set_verified_publisher import set_verified_publisher_post_request_body

        body = set_verified_publisher_post_request_body.SetVerifiedPublisherPostRequestBody(
            verified_publisher_id=mpn_id
        )
        refusals: list[GraphRefusal] = []

        def noted(refusal: GraphRefusal) -> bool:
            known = publisher.is_known(refusal)
            if known:
                refusals.append(refusal)
            return known

        async def request(client: GraphServiceClient) -> None:
            await client.applications.by_application_id(object_id).set_verified_publisher.post(body)

        needs = "a signed-in user with Application.ReadWrite.All; applications cannot do it"
        self._channel.call(request, "set the verified publisher", needs=needs, absent=noted)
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
