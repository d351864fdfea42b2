"""The portal's routes and pages: reads a tenant and shows it; there is nothing on it that changes anything.

Owns: addresses, templates, what is refused. Does not own: what is read (``reading``), the look (``portal.css``).
No page runs a script, and none is reachable from another machine or under a foreign host name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from provision.sandbox import browser
from provision.sandbox.directory import Document, public
from provision.sandbox.exchange import mailboxes
from provision.sandbox.portal import requests
from provision.sandbox.portal.credentials import credentials
from provision.sandbox.portal.reading import Tenant, addresses, people
from provision.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]

_LATEST = 8
_TENANTS = 100
"""As many are shown with their counts; thousands would take seconds."""
_MAIL_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
"""For the body of a mail: its own styles, no script, no network, no forms, no links out of the frame."""

_templates = Environment(
    loader=PackageLoader("provision.sandbox.portal"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["addresses"] = addresses
_templates.filters["people"] = people
_templates.filters["moment"] = lambda text: re.sub(r"(\.\d+)?Z$", "", str(text or "")).replace("T", " ")
_templates.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)


class Portal:
    """The portal of one running server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """All routes, in the order in which they are to be tried."""
        pages: list[tuple[str, Handler]] = [
            ("/", self.tenants),
            ("/portal.css", self.stylesheet),
            ("/requests", self.requests),
            ("/weather", self.weather),
            ("/{tenant}/", self.overview),
            ("/{tenant}/applications", self.applications),
            ("/{tenant}/applications/{id}", self.application),
            ("/{tenant}/enterprise-applications", self.principals),
            ("/{tenant}/enterprise-applications/{id}", self.principal),
            ("/{tenant}/users", self.users),
            ("/{tenant}/mailboxes", self.mailboxes),
            ("/{tenant}/mailboxes/{id}", self.mailbox),
            ("/{tenant}/messages/{id}", self.message),
            ("/{tenant}/messages/{id}/body", self.message_body),
            ("/{tenant}/policies", self.policies),
            ("/{rest:path}", self.missing),
        ]
        return [Route(f"/_portal{path}", self._guarded(handler), methods=["GET"]) for path, handler in pages]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not (browser.host_allowed(request) and browser.from_loopback(request)):
                return Response("The portal answers on this machine only, as localhost.", HTTPStatus.FORBIDDEN)
            try:
                response = await handler(request)
            except _Missing as missing:
                response = self._render("missing.html", HTTPStatus.NOT_FOUND, what=missing.what)
            return browser.secured(response, extra=("frame-src 'self'",))

        return guarded

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        page = _templates.get_template(template).render(
            page=template, **{"tenant": None, "base_url": self._world.base_url, **values}
        )
        return Response(page, status, media_type="text/html; charset=utf-8")

    def _tenant(self, request: Request) -> Tenant:
        found = self._world.directory.tenant(request.path_params["tenant"])
        if found is None:
            raise _Missing("tenant")
        return Tenant(self._world.directory, found["id"])

    def _object(self, request: Request, kind: str, what: str) -> tuple[Tenant, Document]:
        tenant = self._tenant(request)
        document = tenant.get(kind, request.path_params["id"])
        if document is None:
            raise _Missing(what)
        return tenant, document

    # The server

    async def stylesheet(self, request: Request) -> Response:  # noqa: ARG002
        """The portal's one style sheet."""
        return Response(_templates.get_template("portal.css").render(), media_type="text/css")

    async def tenants(self, request: Request) -> Response:  # noqa: ARG002
        """All tenants of this server."""
        directory = self._world.directory
        identities = directory.tenants()
        return self._render(
            "tenants.html",
            tenants=[Tenant(directory, identity) for identity in identities[:_TENANTS]],
            more=len(identities) - _TENANTS,
            weather=self._world.weather.describe(),
            latest=requests.shown(directory, requests.Filter())[:_LATEST],
        )

    async def requests(self, request: Request) -> Response:
        """The request log, newest first."""
        wanted = requests.Filter.parse(request.query_params)
        lines = requests.shown(self._world.directory, wanted)
        return self._render(
            "requests.html",
            lines=lines,
            wanted=wanted,
            outcomes=requests.OUTCOMES,
            limit=requests.SHOWN_LINES,
            reach=requests.READ_LINES,
        )

    async def weather(self, request: Request) -> Response:  # noqa: ARG002
        """Faults, conditions and parked requests."""
        return self._render("weather.html", weather=self._world.weather.describe())

    async def missing(self, request: Request) -> Response:  # noqa: ARG002
        """Any other address."""
        raise _Missing("page")

    # One tenant

    async def overview(self, request: Request) -> Response:
        """A tenant at a glance: what is in it, which secrets end, what was asked last."""
        tenant = self._tenant(request)
        return self._render(
            "overview.html",
            tenant=tenant,
            applications=tenant.applications(),
            policies=tenant.policies(),
            messages=tenant.messages()[:_LATEST],
            names={user.document["id"]: user.document["userPrincipalName"] for user in tenant.users()},
            latest=requests.shown(self._world.directory, requests.Filter(), names=tenant.names())[:_LATEST],
        )

    async def applications(self, request: Request) -> Response:
        """App registrations."""
        tenant = self._tenant(request)
        return self._render("applications.html", tenant=tenant, applications=tenant.applications())

    async def application(self, request: Request) -> Response:
        """One app registration."""
        tenant, document = self._object(request, "application", "app registration")
        return self._render("application.html", tenant=tenant, application=tenant.application(document))

    async def principals(self, request: Request) -> Response:
        """Enterprise applications."""
        tenant = self._tenant(request)
        return self._render("principals.html", tenant=tenant, principals=tenant.principals())

    async def principal(self, request: Request) -> Response:
        """One enterprise application."""
        tenant, document = self._object(request, "servicePrincipal", "enterprise application")
        application = next((a for a in tenant.all("application") if a.get("appId") == document.get("appId")), None)
        return self._render(
            "principal.html",
            tenant=tenant,
            principal=public(document),
            home=tenant.home_of(document),
            grants=tenant.grants_of(document),
            owners=tenant.owners_of(document),
            credentials=credentials(document, self._world.directory.clock.now()),
            application=application,
        )

    async def users(self, request: Request) -> Response:
        """Users with licences and the state of their mailboxes."""
        tenant = self._tenant(request)
        return self._render("users.html", tenant=tenant, users=tenant.users())

    async def mailboxes(self, request: Request) -> Response:
        """Mailboxes with their layers, and their messages counted; a page at a time."""
        tenant = self._tenant(request)
        after = request.query_params.get("after", "0")
        boxes, following = tenant.mailboxes(int(after) if after.isdecimal() else 0)
        folders: dict[str, dict[str, int]] = {}
        for message in tenant.messages():
            counted = folders.setdefault(str(message["owner"]), {})
            counted[message["folder"]] = counted.get(message["folder"], 0) + 1
        return self._render("mailboxes.html", tenant=tenant, mailboxes=boxes, following=following, folders=folders)

    async def mailbox(self, request: Request) -> Response:
        """One mailbox's messages, and what it sent to the outside."""
        tenant, document = self._object(request, "user", "mailbox")
        box = mailboxes.of_user(self._world.directory, tenant.id, document["id"])
        return self._render(
            "mailbox.html",
            tenant=tenant,
            user=tenant.user(document),
            mailbox=tenant.mailbox(box) if box else None,
            messages=tenant.messages(document["id"]),
            outgoing=tenant.outgoing(document["id"]),
        )

    async def message(self, request: Request) -> Response:
        """One message; its body stands in a sandboxed frame."""
        tenant, document = self._object(request, "message", "message")
        owner = tenant.get("user", str(document.get("_userId"))) or {}
        return self._render("message.html", tenant=tenant, message=public(document), owner=owner)

    async def message_body(self, request: Request) -> Response:
        """The body of a message, as text or as HTML that can do nothing."""
        _, document = self._object(request, "message", "message")
        body = document.get("body") or {}
        is_html = str(body.get("contentType", "text")).lower() == "html"
        response = Response(
            str(body.get("content", "")), media_type=f"text/{'html' if is_html else 'plain'}; charset=utf-8"
        )
        response.headers["Content-Security-Policy"] = _MAIL_POLICY
        return response

    async def policies(self, request: Request) -> Response:
        """Security defaults, Conditional Access and app management."""
        tenant = self._tenant(request)
        return self._render("policies.html", tenant=tenant, policies=tenant.policies())


class _Missing(Exception):
    """There is no such thing; ``what`` names its kind."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
