"""The sample product's pages and JSON endpoints.

Owns: requests, cookies, forms, what a person sees. Does not own: Microsoft (``microsoft``), memory (``store``).
The buttons are those of the product's manual: My user profile, [Office365 setup], [Connect to Microsoft].
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from provision.sandbox import browser
from provision.sandbox.product import webhook
from provision.sandbox.product.company import CODE, Company, SettingsRefused
from provision.sandbox.product.microsoft import SCOPES, Cloud, Connection
from provision.sandbox.product.refusal import Refused
from provision.sandbox.product.store import SIGN_IN_SECONDS, Mailbox, Store

CALLBACK = "/{code}/Services/Office365Callback.aspx"
"""The redirect's path as CLOUDEX TMS has it; Entra compares it letter by letter."""
_COOKIE = "sample_tms_sign_in"
_MAIL_FIELDS = ("to", "subject", "body")
_TEST_MAIL = {"subject": "Test mail from Sample TMS", "body": "Sample TMS can send mail as you."}

_templates = Environment(
    loader=PackageLoader("provision.sandbox.product"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)

Handler = Callable[[Request], Awaitable[Response]]


class Product:
    """One running product.

    Args:
        store: its memory.
        cloud: where Microsoft is.
        hosts: the names it answers to, besides those of the loopback interface.
    """

    def __init__(self, store: Store, cloud: Cloud, hosts: Collection[str] = ()) -> None:
        self._store = store
        self._cloud = cloud
        self._hosts = browser.LOOPBACK_HOSTS | set(hosts)
        login = urlsplit(cloud.authority)
        self._form_targets = ("'self'", f"{login.scheme}://{login.netloc}")

    def routes(self) -> list[Route]:
        """All routes, in the order in which they are to be tried."""
        pages: list[tuple[str, str, Handler]] = [
            ("GET", "/_product/", self.companies),
            ("GET", "/_product/product.css", self.stylesheet),
            ("GET", "/{code}/Services/Profile.aspx", self.profile),
            ("GET", "/{code}/Services/Settings", self.settings),
            ("POST", "/{code}/Services/Settings", self.save_settings),
            ("GET", "/{code}/Services/Office365Setup.aspx", self.setup),
            ("POST", "/{code}/Services/Office365Connect.aspx", self.connect),
            ("GET", CALLBACK, self.callback),
            ("POST", "/{code}/Services/Office365Send.aspx", self.send_test_mail),
            ("POST", "/{code}/Services/Office365Disconnect.aspx", self.disconnect),
        ]
        endpoints: list[tuple[str, str, Handler]] = [
            ("GET", "/_product/{code}", self.describe),
            ("POST", "/_product/{code}/settings", self.put_settings),
            ("POST", "/_product/{code}/send", self.send),
            ("POST", "/{code}/Services/ClientSecret", self.client_secret),
        ]
        return [
            *(Route(path, self._page(handler), methods=[method]) for method, path, handler in pages),
            *(Route(path, self._endpoint(handler), methods=[method]) for method, path, handler in endpoints),
        ]

    # What guards every request

    def _page(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not browser.host_allowed(request, self._hosts):
                return Response("Sample TMS does not answer to this host name.", HTTPStatus.MISDIRECTED_REQUEST)
            code = request.path_params.get("code")
            if code is not None and not CODE.fullmatch(code):
                return self._render(request, "missing.html", HTTPStatus.NOT_FOUND)
            if request.method == "POST" and not browser.same_origin(request):
                response = Response("The form was not sent by a page of Sample TMS.", HTTPStatus.FORBIDDEN)
            else:
                try:
                    response = await handler(request)
                except Refused as refused:
                    response = self._render(request, "refused.html", HTTPStatus.BAD_REQUEST, refused=refused)
            return browser.secured(response, form_targets=self._form_targets)

        return guarded

    def _endpoint(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not browser.host_allowed(request, self._hosts):
                return _problem(HTTPStatus.MISDIRECTED_REQUEST, "Sample TMS does not answer to this host name.")
            if not CODE.fullmatch(request.path_params["code"]):
                return _problem(HTTPStatus.NOT_FOUND, "No such company code.")
            json_type = request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"
            if request.method == "POST" and not json_type:
                return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
            return browser.secured(await handler(request))

        return guarded

    def _render(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        code = request.path_params.get("code")
        page = _templates.get_template(name).render(code=code, page=name, **values)
        return browser.secured(
            Response(page, status, media_type="text/html; charset=utf-8"), form_targets=self._form_targets
        )

    def _company(self, request: Request) -> Company | None:
        return self._store.company(request.path_params["code"])

    def _configured(self, request: Request) -> Company:
        """The company; raises Refused when nobody has typed its three values in."""
        company = self._company(request)
        if company is None:
            code = request.path_params["code"]
            raise Refused(
                "settings",
                "not_configured",
                f"{code} has no TenantId, ClientId and ClientSecret yet (codes: mind case).",
            )
        return company

    def _connection(self, company: Company) -> Connection:
        def worked(secret: str) -> None:
            if company.former_secret:
                self._store.forget_former_secret(company.code, secret)

        return Connection(company, self._cloud, worked=worked)

    def _redirect_uri(self, request: Request, company: Company) -> str:
        origin = company.public_url.rstrip("/") or f"{request.url.scheme}://{request.headers['host']}"
        return origin + CALLBACK.format(code=company.code)

    # Pages

    async def stylesheet(self, request: Request) -> Response:  # noqa: ARG002
        """The product's one style sheet."""
        return Response(_templates.get_template("product.css").render(), media_type="text/css")

    async def companies(self, request: Request) -> Response:
        """The companies that the product serves."""
        return self._render(request, "companies.html", companies=self._store.companies())

    async def profile(self, request: Request) -> Response:
        """My user profile, with the button [Office365 setup]."""
        return self._render(
            request,
            "profile.html",
            company=self._company(request),
            mailboxes=self._store.mailboxes(request.path_params["code"]),
        )

    async def settings(self, request: Request) -> Response:
        """The form for the three values; a stored secret is never shown."""
        company = self._company(request)
        return self._settings_page(request, company, {} if company is None else company.shown())

    def _settings_page(
        self, request: Request, company: Company | None, values: dict[str, str], *, problem: str = "", status: int = 200
    ) -> Response:
        redirect_uri = None if company is None else self._redirect_uri(request, company)
        return self._render(
            request,
            "settings.html",
            status,
            values=values,
            kept=company is not None and bool(company.client_secret),
            kept_key=company is not None and bool(company.webhook_key),
            problem=problem,
            redirect_uri=redirect_uri,
        )

    async def save_settings(self, request: Request) -> Response:
        """Stores the form; an empty secret keeps the former one, and an empty webhook key its own."""
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str) and value}
        former = self._company(request)
        keeps = former is not None and bool(former.client_secret) and not form.keys() & {"clientSecret", "secretFile"}
        if former and keeps:
            form["clientSecret"] = former.client_secret
        if former and former.webhook_key and "secretFile" not in form:
            form.setdefault("webhookKey", former.webhook_key)
        try:
            company = Company.parse(request.path_params["code"], form)
            if former and keeps and company.client_id.lower() == former.client_id.lower():
                company = replace(company, key_id=former.key_id, former_secret=former.former_secret)
        except SettingsRefused as problem:
            form.pop("clientSecret", None)
            form.pop("webhookKey", None)
            return self._settings_page(request, former, form, problem=str(problem), status=HTTPStatus.BAD_REQUEST)
        self._store.save_company(company)
        return _see(company.code, "Office365Setup.aspx")

    async def setup(self, request: Request) -> Response:
        """Office365 setup: the button [Connect to Microsoft], and a test mail once connected."""
        return self._setup_page(request, sent=None)

    def _setup_page(self, request: Request, sent: str | None) -> Response:
        company = self._company(request)
        consent = None
        if company is not None:
            consent = Connection(company, self._cloud).admin_consent_url(self._redirect_uri(request, company))
        return self._render(
            request,
            "setup.html",
            company=company,
            mailboxes=self._store.mailboxes(request.path_params["code"]),
            scopes=SCOPES,
            admin_consent_url=consent,
            redirect_uri=None if company is None else self._redirect_uri(request, company),
            test_mail=_TEST_MAIL,
            sent=sent,
        )

    async def connect(self, request: Request) -> Response:
        """Sends the browser to Microsoft and remembers which browser that was."""
        company = self._configured(request)
        redirect_uri = self._redirect_uri(request, company)
        flow = await asyncio.to_thread(Connection(company, self._cloud).begin, redirect_uri)
        browser_key = secrets.token_urlsafe(32)
        self._store.begin_sign_in(company.code, browser_key, flow)
        response = RedirectResponse(flow["auth_uri"], HTTPStatus.SEE_OTHER)
        response.set_cookie(
            _COOKIE,
            browser_key,
            max_age=SIGN_IN_SECONDS,
            path=f"/{company.code}/Services/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    async def callback(self, request: Request) -> Response:
        """Where Microsoft sends the browser back: with a code, with an error, or after admin consent."""
        company = self._configured(request)
        answer = dict(request.query_params)
        if "admin_consent" in answer and "error" not in answer:
            return self._render(request, "consented.html", tenant=answer.get("tenant", ""))
        key, state = request.cookies.get(_COOKIE, ""), answer.get("state", "")
        flow = self._store.finish_sign_in(company.code, key, state)
        if flow is None and "admin_consent" not in answer:
            raise Refused(
                "sign-in",
                "unknown_state",
                "This sign-in was not begun in this browser, or longer than 10 minutes ago. Begin it again.",
            )
        signed_in = await asyncio.to_thread(self._connection(company).redeem, flow or {}, answer)
        mailbox = Mailbox(signed_in.username, signed_in.name, signed_in.refresh_token)
        self._store.save_mailbox(company.code, mailbox)
        response = _see(company.code, "Office365Setup.aspx")
        response.delete_cookie(_COOKIE, path=f"/{company.code}/Services/")
        return response

    async def send_test_mail(self, request: Request) -> Response:
        """Sends the test mail of the form."""
        form = await request.form()
        values = {name: str(form.get(name, "")) for name in (*_MAIL_FIELDS, "from")}
        await self._send(self._configured(request), values)
        return self._setup_page(request, sent=values["to"])

    async def disconnect(self, request: Request) -> Response:
        """Forgets a connected mailbox."""
        code = request.path_params["code"]
        self._store.remove_mailbox(code, str((await request.form()).get("username", "")))
        return _see(code, "Office365Setup.aspx")

    async def _send(self, company: Company, values: dict[str, str]) -> Mailbox:
        """Sends as the asked-for (or last used) mailbox; raises Refused."""
        mailboxes = self._store.mailboxes(company.code)
        wanted = values.get("from", "").lower()
        mailbox = next((m for m in mailboxes if wanted in {"", m.username.lower()}), None)
        if mailbox is None:
            raise Refused(
                "settings", "not_connected", "No such mailbox is connected: press Connect to Microsoft first."
            )
        mail = {name: values[name] for name in _MAIL_FIELDS}
        newest = await asyncio.to_thread(self._connection(company).send, mailbox.refresh_token, **mail)
        self._store.save_mailbox(company.code, Mailbox(mailbox.username, mailbox.name, newest))
        return mailbox

    # JSON endpoints

    async def describe(self, request: Request) -> Response:
        """What is set and who is connected; no secret."""
        company = self._company(request)
        return JSONResponse(
            {
                "configured": company is not None,
                "tenantId": company.tenant_id if company else None,
                "clientId": company.client_id if company else None,
                "secretFrom": None if company is None else _secret_from(company),
                "redirectUri": self._redirect_uri(request, company) if company else None,
                "mailboxes": [m.username for m in self._store.mailboxes(request.path_params["code"])],
            }
        )

    async def put_settings(self, request: Request) -> Response:
        """Stores tenantId, clientId, clientSecret or secretFile (+ secretName), publicUrl."""
        values = await _object(request)
        if values is None:
            return _problem(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
        try:
            company = Company.parse(request.path_params["code"], values)
        except SettingsRefused as problem:
            return _problem(HTTPStatus.BAD_REQUEST, str(problem))
        self._store.save_company(company)
        return JSONResponse({"status": "saved", "redirectUri": self._redirect_uri(request, company)})

    async def client_secret(self, request: Request) -> Response:
        """The webhook: a signed message brings a new client secret, takes it back, or asks which one is in use."""
        code = request.path_params["code"]
        try:
            key = _webhook_key(self._company(request))
            message = webhook.read(key, request.headers, await _bounded_body(request), time.time())
            now = await asyncio.to_thread(self._store.take, code, message)
        except webhook.Rejected as rejected:
            return JSONResponse({"error": rejected.error}, rejected.status)
        told = {"keyId": now.key_id or None}
        if now.key_id:
            told["fingerprint"] = webhook.fingerprint(now.key_id, now.client_secret)
        return JSONResponse(told)

    async def send(self, request: Request) -> Response:
        """Sends {to, subject, body, from?}: 200 sent; 409 not set up; 502 refused by Microsoft, as received."""
        values = await _object(request)
        if values is None or not all(isinstance(values.get(name), str) for name in _MAIL_FIELDS):
            return _problem(HTTPStatus.BAD_REQUEST, "The body must hold to, subject and body.")
        try:
            mailbox = await self._send(self._configured(request), {k: str(v) for k, v in values.items()})
        except Refused as refused:
            status = HTTPStatus.CONFLICT if refused.stage == "settings" else HTTPStatus.BAD_GATEWAY
            return JSONResponse({"status": "failed", **refused.as_json()}, status)
        return JSONResponse({"status": "sent", "detail": "Accepted by Microsoft Graph.", "from": mailbox.username})


def _secret_from(company: Company) -> str | None:
    if company.key_id:
        return "webhook"
    return company.secret_file or ("value" if company.client_secret else None)


def _webhook_key(company: Company | None) -> str:
    if company is None or not company.webhook_key:
        raise webhook.Rejected(HTTPStatus.NOT_FOUND, "no_webhook")
    return company.webhook_key


async def _bounded_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > webhook.MAX_BODY_BYTES:
            raise webhook.Rejected(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")
    return body


def _see(code: str, page: str) -> RedirectResponse:
    return RedirectResponse(f"/{code}/Services/{page}", HTTPStatus.SEE_OTHER)


def _problem(status: HTTPStatus, sentence: str) -> Response:
    return browser.secured(JSONResponse({"status": "failed", "detail": sentence}, status))


async def _object(request: Request) -> dict[str, Any] | None:
    try:
        value = await request.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
