"""What happens between a browser's request and its answer: account, password, second factor, consent; with a session.

Owns: the forms, the session cookie, their protection against forged posts.
Does not own: which request it is (``authorize``, ``device``, ``admin_consent``) or the decisions (``access``,
``consent``). Every form posts to the very address that showed it, whose query is the original request, so nothing
about the request is kept or trusted between steps; after each step the browser is sent back there with a GET.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from provision.sandbox.directory import Document
from provision.sandbox.entra import access, consent
from provision.sandbox.entra.accounts import check_password, find_account, role_templates, sessions_valid_from
from provision.sandbox.entra.authority import Authority, tenant_name
from provision.sandbox.entra.clients import Client, service_principal
from provision.sandbox.entra.consent import Asked
from provision.sandbox.entra.errors import EntraError, Incident
from provision.sandbox.entra.handles import issue_handle, read_handle
from provision.sandbox.entra.pages import render
from provision.sandbox.entra.sign_in_log import SignInEvent, record
from provision.sandbox.entra.tokens import sts_issuer
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

SESSION_COOKIE = "ESTSAUTH"
_CONTEXT_COOKIE = "esctx"
_SESSION_SECONDS = 86400
SECOND_FACTOR_CODE = "123456"
"""The one code of the local tenant; the page shows it, since nothing can be sent to a telephone."""

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
_OIDC_TEXTS = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    "offline_access": "Maintain access to data you have given it access to",
}
_INLINE_ERRORS = {
    50126: "Your account or password is incorrect.",
    50034: "We couldn't find an account with that username.",
    50053: "Your account has been locked.",
    50057: "Your account has been disabled.",
}
"""Refusals that the sign-in page shows beside its fields."""


class Shown(Exception):
    """The browser gets this answer now; the request goes on when it comes back."""

    def __init__(self, response: Response) -> None:
        super().__init__("shown")
        self.response = response


@dataclass(frozen=True)
class Account:
    """Who is signed in, in which tenant."""

    tenant_id: str
    user: Document
    session: Document

    @property
    def name(self) -> str:
        """The sign-in name."""
        return str(self.user["userPrincipalName"])


class Interaction:
    """One browser request on its way through the steps.

    Args:
        request: the request; its path and query are where every step comes back to.
        form: the posted step, empty for a GET.
        authority: the tenant called.
        client: the application.
        prompt: the values of ``prompt``.
        login_hint: the sign-in name to fill in.
    """

    def __init__(
        self,
        request: Request,
        form: Mapping[str, str],
        *,
        authority: Authority,
        client: Client,
        prompt: frozenset[str] = frozenset(),
        login_hint: str = "",
    ) -> None:
        self._request = request
        self._world: World = request.app.state.world
        self._directory = self._world.directory
        self._form = form
        self._authority = authority
        self._client = client
        self._prompt = prompt
        self._login_hint = login_hint
        query = request.url.query
        self._resume = request.url.path + (f"?{query}" if query else "")
        self._mark = hashlib.sha256(self._resume.encode()).hexdigest()
        self._context = request.cookies.get(_CONTEXT_COOKIE) or secrets.token_urlsafe(24)
        if form:
            presented = form.get("canary", "")
            if not hmac.compare_digest(presented.encode(), self._canary().encode()):
                raise EntraError(165000)

    @property
    def silent(self) -> bool:
        """Whether nobody may be asked."""
        return "none" in self._prompt

    def step(self, name: str) -> bool:
        """Whether the browser posted this step."""
        return self._form.get("step") == name

    @property
    def choice(self) -> str:
        """Which button was pressed."""
        return self._form.get("choice", "")

    def _canary(self) -> str:
        return self._world.keys.pairwise("canary", self._context)

    def page(self, template: str, **values: object) -> Response:
        """A page of this request."""
        html = render(template, resume=self._resume, canary=self._canary(), app_name=self._client.name, **values)
        response = HTMLResponse(html, headers={"Cache-Control": "no-store", "Content-Security-Policy": _PAGE_POLICY})
        response.headers["Referrer-Policy"] = "no-referrer"
        response.set_cookie(_CONTEXT_COOKIE, self._context, secure=True, httponly=True, samesite="lax", path="/")
        return response

    def go_on(self) -> Response:
        """Back to the request with a GET."""
        return RedirectResponse(self._resume, status_code=303)

    # Who

    def _session(self) -> Account | None:
        found = read_handle(self._directory, "session", self._request.cookies.get(SESSION_COOKIE, ""))
        if found is None or found[1]["_expires"] <= self._directory.clock.now():
            return None
        tenant_id, session = found
        user = self._directory.get(tenant_id, "user", session["_userId"], fresh=True)
        if user is None or not user.get("accountEnabled", True):
            return None
        if session["_authenticatedAt"] < sessions_valid_from(user):
            return None
        return Account(tenant_id, user, session)

    def account(self) -> Account:
        """The signed-in account.

        Raises:
            Shown: the sign-in page or the account picker.
            EntraError: 50058 when nobody may be asked, 50020 when the account belongs to another tenant.
        """
        if self.step("login"):
            raise Shown(self._sign_in())
        account = self._session() if self._authority.segment != "consumers" else None
        if account is None:
            if self.silent:
                raise EntraError(50058)
            raise Shown(self._login_page())
        if self.step("account"):
            raise Shown(self._chosen(account))
        fresh = self._mark in account.session["_signedInFor"]
        if not fresh and "login" in self._prompt:
            raise Shown(self._login_page())
        if not fresh and "select_account" in self._prompt:
            raise Shown(self.page("account.html", title="Sign in to your account", user_name=account.name))
        note(self._request.scope, tenant=account.tenant_id)
        if self._authority.tenant_id not in {None, account.tenant_id}:
            raise EntraError(
                50020,
                user=account.name,
                idp=sts_issuer(account.tenant_id),
                tenant=tenant_name(self._directory, str(self._authority.tenant_id)),
                app=self._client.app_id,
                name=self._client.name,
            )
        return account

    def _login_page(self, error: EntraError | None = None, username: str = "") -> Response:
        text = f"{_INLINE_ERRORS[error.code]} ({error.sentence})" if error else ""
        if error:
            note(self._request.scope, code=f"AADSTS{error.code}")
        return self.page(
            "login.html", title="Sign in to your account", error=text, login_hint=username or self._login_hint
        )

    def _sign_in(self) -> Response:
        username = self._form.get("loginfmt", "")
        event = SignInEvent(
            "interactiveUser", self._client, protocol="oAuth2", user_name=username, client_app_used="Browser"
        )
        try:
            tenant_id, user = self._find(username)
            event.of_user(tenant_id, user["id"])
            check_password(self._directory, tenant_id, user, self._form.get("passwd", ""))
        except EntraError as error:
            record(self._request, event, Incident.new(self._directory.clock, None), error)
            return self._login_page(error, username)
        now = self._directory.clock.now()
        handle = issue_handle(
            self._directory,
            tenant_id,
            "session",
            {
                "_userId": user["id"],
                "_secondFactor": False,
                "_authenticatedAt": now,
                "_expires": now + _SESSION_SECONDS,
                "_signedInFor": [self._mark],
                "_consentedFor": [],
            },
        )
        response = self.go_on()
        response.set_cookie(SESSION_COOKIE, handle, secure=True, httponly=True, samesite="lax", path="/")
        return response

    def _find(self, username: str) -> tuple[str, Document]:
        """The account; /consumers is for personal ones, of which the local tenant has none."""
        if self._authority.segment == "consumers":
            raise EntraError(50034, user="{EUII Hidden}", tenant=self._authority.segment)
        return find_account(self._directory, username)

    def _chosen(self, account: Account) -> Response:
        response = self.go_on()
        if self.choice == "same":
            self._remember(account, "_signedInFor")
        else:
            response.delete_cookie(SESSION_COOKIE, path="/")
        return response

    def _remember(self, account: Account, name: str, value: object = None) -> None:
        changed = [*account.session[name], self._mark] if value is None else value
        self._directory.replace(account.tenant_id, "session", {**account.session, name: changed})

    # May they

    def admit(
        self, account: Account, resource: Document, *, client_app_type: str = "browser", transfer_method: str = ""
    ) -> None:
        """Lets the account in, after a second factor where one is needed; the words are those of ``access.Attempt``.

        Raises:
            Shown: the page for the second factor.
            EntraError: as ``access.judge``.
        """
        principal = service_principal(self._directory, account.tenant_id, self._client)
        attempt = access.Attempt(
            account.tenant_id,
            account.user,
            self._client,
            principal,
            resource,
            client_app_type,
            transfer_method,
            self._request.client.host if self._request.client else "",
        )
        passed = bool(account.session["_secondFactor"])
        if self.silent:
            access.require_without_interaction(self._directory, attempt, second_factor_passed=passed)
            return
        demand = access.judge(self._directory, attempt)
        if not demand.second_factor or passed:
            return
        error = ""
        if self.step("second-factor"):
            if self._form.get("otc", "").strip() == SECOND_FACTOR_CODE:
                if demand.registration:
                    self._directory.replace(account.tenant_id, "user", {**account.user, "_securityInfo": True})
                self._remember(account, "_secondFactor", True)
                raise Shown(self.go_on())
            error = "You didn't enter the expected verification code. Please try again."
        raise Shown(
            self.page(
                "second_factor.html",
                title="Sign in to your account",
                user_name=account.name,
                registration=demand.registration,
                code=SECOND_FACTOR_CODE,
                error=error,
            )
        )

    # Did they agree

    def agree(self, account: Account, asked: Asked) -> None:
        """Makes sure that the application holds what it asks for.

        Raises:
            Shown: the consent page.
            EntraError: 65001 when nobody may be asked, 90094 when an administrator must, 65004 declined.
        """
        directory, tenant_id = self._directory, account.tenant_id
        principal = service_principal(directory, tenant_id, self._client)
        missing = consent.missing_scopes(directory, tenant_id, self._client, principal, asked=asked, user=account.user)
        forced = "consent" in self._prompt and self._mark not in account.session["_consentedFor"]
        if not missing and not forced:
            return
        if self.silent:
            raise EntraError(65001, app=self._client.app_id, name=self._client.name)
        templates = role_templates(directory, tenant_id, account.user["id"])
        wanted = [*asked.scopes, *asked.oidc] or missing
        if not consent.may_consent(directory, tenant_id, asked.resource, missing, templates):
            raise EntraError(90094, app=self._client.app_id, name=self._client.name)
        administrator = bool(consent.CONSENT_ROLES & set(templates))
        if self.step("consent"):
            self.require_accepted()
            whole = administrator and self._form.get("organization") == "1"
            consent.grant(
                directory, tenant_id, self._client, asked.resource, names=wanted, user=None if whole else account.user
            )
            self._remember(account, "_consentedFor")
            raise Shown(self.go_on())
        raise Shown(
            self.consent_page(account, permission_texts(asked.resource, wanted), offer_organization=administrator)
        )

    def require_accepted(self) -> None:
        """Goes on when the consent page's "Accept" was pressed; raises EntraError 65004 otherwise."""
        if self.choice != "accept":
            raise EntraError(65004)

    def consent_page(
        self,
        account: Account,
        texts: Sequence[str],
        *,
        offer_organization: bool = False,
        for_organization: bool = False,
    ) -> Response:
        """The page that asks."""
        publisher = ((self._client.application or {}).get("verifiedPublisher") or {}).get("displayName")
        return self.page(
            "consent.html",
            title="Permissions requested",
            user_name=account.name,
            publisher=publisher,
            permissions=texts,
            offer_organization=offer_organization,
            for_organization=for_organization,
        )


def require_consent_role(world: World, account: Account, client: Client, allowed: frozenset[str]) -> None:
    """Lets only holders of one of the roles (template ids) agree for the organisation; raises EntraError 90094."""
    if not allowed & set(role_templates(world.directory, account.tenant_id, account.user["id"])):
        raise EntraError(90094, app=client.app_id, name=client.name)


def permission_texts(resource: Document, names: Sequence[str]) -> list[str]:
    """What the consent page says about permissions."""
    texts = {
        scope["value"]: scope.get("userConsentDisplayName") or scope.get("adminConsentDisplayName") or scope["value"]
        for scope in resource.get("oauth2PermissionScopes") or []
    }
    return [f"{texts.get(name) or _OIDC_TEXTS.get(name, name)} ({name})" for name in names]
