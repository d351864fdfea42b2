"""The client application of a sign-in: its registration, its service principal in the tenant, its redirect URIs.

Owns: finding them and matching a redirect URI. Does not own: proving the client's identity (``credentials``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import Authority, tenant_name
from provision.sandbox.entra.errors import EntraError

RedirectKind = Literal["web", "spa", "publicClient"]
_MULTI_TENANT_AUDIENCES = frozenset(
    {"AzureADMultipleOrgs", "AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"}
)
_PERSONAL_AUDIENCES = frozenset({"AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True)
class Client:
    """A client application.

    ``application`` is None for Microsoft's own clients, whose registration lives in another directory;
    ``home_tenant`` is the tenant that holds the registration.
    """

    app_id: str
    name: str
    application: Document | None
    home_tenant: str | None
    first_party: Document | None = None

    @property
    def multi_tenant(self) -> bool:
        """Whether accounts of other organisations may sign in."""
        return self.application is None or self.application.get("signInAudience") in _MULTI_TENANT_AUDIENCES

    @property
    def fallback_public(self) -> bool:
        """Whether flows without a redirect URI (device code, password) treat it as a public client."""
        return self.application is None or bool(self.application.get("isFallbackPublicClient"))

    @property
    def document(self) -> Document:
        """What a token says about the client: ``appId`` and ``displayName``."""
        return {"appId": self.app_id, "displayName": self.name}

    def redirect_uris(self) -> list[tuple[str, RedirectKind]]:
        """All registered redirect URIs with their platform."""
        if self.application is None:
            return [(uri, "publicClient") for uri in (self.first_party or {}).get("replyUrls") or []]
        kinds: tuple[RedirectKind, ...] = ("web", "spa", "publicClient")
        return [(uri, kind) for kind in kinds for uri in (self.application.get(kind) or {}).get("redirectUris") or []]

    def match_redirect(self, wanted: str | None) -> tuple[str, RedirectKind]:
        """The redirect URI to use and its platform; compared case-sensitively ("Redirect URI restrictions").

        A request without one gets a registered one, says "OpenID Connect on the Microsoft identity platform".

        Raises:
            EntraError: 900971 when there is none in the request nor in the registration, 500113 when none is
                registered, 50011 when none matches. Public reports have 900971 too where the request had one and
                the registration none; what decides between the two there was not found.
        """
        registered = self.redirect_uris()
        if not registered:
            raise EntraError(500113 if wanted else 900971)
        if not wanted:
            return registered[0]
        for uri, kind in registered:
            if uri == wanted or _same_loopback(uri, wanted):
                return wanted, kind
        raise EntraError(50011, redirect=wanted, app=self.app_id)


def _same_loopback(registered: str, wanted: str) -> bool:
    """For http loopback addresses the port is ignored ("Localhost exceptions" of the redirect URI documentation)."""
    try:
        left, right = urlsplit(registered), urlsplit(wanted)
        right.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        return False
    if left.scheme != "http" or right.scheme != "http" or left.hostname not in _LOOPBACK:
        return False
    same_path = (left.path or "/") == (right.path or "/")
    return left.hostname == right.hostname and same_path and left.query == right.query


def find_client(directory: Directory, authority: Authority, app_id: str) -> Client:
    """The client in the view of an authority.

    Raises:
        EntraError: 700016 when the tenant does not know it, 50194 when a single-tenant application is called
            through a multi-tenant authority, 9002332 and 9002346 when it is not for the accounts of the authority.
    """
    home, application = _registration(directory, authority.tenant_id, app_id)
    if application is not None:
        client = Client(application["appId"], application["displayName"], application, home)
        _check_account_type(client, authority)
        if authority.tenant_id is None:
            if not client.multi_tenant:
                raise EntraError(50194, app=client.app_id, name=client.name)
        elif home != authority.tenant_id and not client.multi_tenant:
            raise _unknown(directory, authority, app_id)
        return client
    # Microsoft's own clients are in every tenant, so that any of them can say what a shared address asks.
    tenant_id = authority.tenant_id or directory.first_tenant() or ""
    for principal in directory.find(tenant_id, "servicePrincipal", appId=app_id):
        if principal.get("_publicClient"):
            return Client(principal["appId"], principal["displayName"], None, None, principal)
    raise _unknown(directory, authority, app_id)


def _check_account_type(client: Client, authority: Authority) -> None:
    """Personal accounts sign in through /consumers, work and school accounts do not.

    The browser's half of /consumers is login.live.com, whose own words ("The client does not exist or is not enabled
    for consumers", dotnet/AspNetCore.Docs#19795) the local tenant does not have.
    """
    audience = (client.application or {}).get("signInAudience")
    if authority.segment == "consumers":
        if audience not in _PERSONAL_AUDIENCES:
            raise EntraError(9002332, app=client.app_id, name=client.name)
    elif audience == "PersonalMicrosoftAccount":
        raise EntraError(9002346, app=client.app_id, name=client.name)


def _registration(directory: Directory, first: str | None, app_id: str) -> tuple[str, Document] | tuple[None, None]:
    found = directory.find_everywhere("application", appId=app_id)
    return next((one for one in found if one[0] == first), found[0]) if found else (None, None)


def _unknown(directory: Directory, authority: Authority, app_id: str) -> EntraError:
    name = tenant_name(directory, authority.tenant_id) if authority.tenant_id else authority.segment
    return EntraError(700016, app=app_id, tenant=name)


def service_principal(directory: Directory, tenant_id: str, client: Client) -> Document | None:
    """The client's service principal in a tenant.

    Raises:
        EntraError: 7000112 when it is disabled.
    """
    found = directory.find(tenant_id, "servicePrincipal", appId=client.app_id)
    if not found:
        return None
    if found[0].get("accountEnabled") is False:
        raise EntraError(7000112, app=client.app_id, name=client.name)
    return found[0]
