"""The control API at ``/_sandbox/``: how the command line and tests steer a running server.

Every call needs the control token from the state file (0600), so that a web page in the user's browser cannot use it.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from provision.sandbox import partner, people, troubles
from provision.sandbox.ews import switches
from provision.sandbox.exchange import organization
from provision.sandbox.faults import BadRule
from provision.sandbox.google.control import GoogleControl
from provision.sandbox.graph import partners
from provision.sandbox.oidc_issuer import OidcIssuer
from provision.sandbox.onpremises import accounts
from provision.sandbox.tenancy import Tenancy
from provision.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]


class Control:
    """Handlers of the control API."""

    def __init__(self, world: World, tenancy: Tenancy, issuer: OidcIssuer) -> None:
        self._world = world
        self._tenancy = tenancy
        self._issuer = issuer
        self._trouble = troubles.Troubles(world.directory, world.weather)

    def routes(self) -> list[Route]:
        """The routes, each behind the token."""
        google = GoogleControl(self._world)
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "status", self._status),
            ("POST", "reset", self._reset),
            ("GET", "log", self._log),
            ("DELETE", "log", self._clear_log),
            ("GET", "faults", self._faults),
            ("PUT", "faults", self._set_faults),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "release", self._release),
            ("GET", "tenants", self._tenants),
            ("POST", "tenants", self._create_tenant),
            ("DELETE", "tenants/{tenant}", self._delete_tenant),
            ("POST", "partner", self._partner),
            ("PUT", "tenants/{tenant}/partner", self._consent),
            ("DELETE", "tenants/{tenant}/partner", self._withdraw),
            ("POST", "ci-token", self._ci_token),
            ("POST", "tenants/{tenant}/people", self._make_people),
            ("GET", "tenants/{tenant}/faults", self._tenant_faults),
            ("PUT", "tenants/{tenant}/faults", self._set_tenant_faults),
            ("GET", "troubles", self._troubles),
            ("PUT", "tenants/{tenant}/troubles/{kind}", self._begin_trouble),
            ("DELETE", "tenants/{tenant}/troubles/{kind}", self._end_trouble),
            ("PUT", "tenants/{tenant}/mail", self._set_mail),
            ("PUT", "tenants/{tenant}/ews", self._set_ews),
            ("PUT", "tenants/{tenant}/customers", self._set_customers),
            ("POST", "tenants/{tenant}/onpremises", self._make_accounts),
            ("POST", "google/customers", google.create),
            ("PATCH", "google/users/{email}", google.change),
            ("POST", "google/users/{email}/app-passwords", google.app_password),
            ("GET", "google/users/{email}/messages", google.messages),
            ("PUT", "google/busy", google.busy),
        )
        return [Route(f"/_sandbox/{name}", self._guarded(handler), methods=[verb]) for verb, name, handler in table]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            presented = request.headers.get("authorization", "")
            if not hmac.compare_digest(presented.encode(), f"Bearer {self._tenancy.control_token}".encode()):
                return _refusal("the control token is missing or wrong; it is in the state file", 401)
            try:
                return await handler(request)
            except (BadRule, ValueError) as error:
                return _refusal(str(error), 400)

        return guarded

    async def _status(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse(
            {"pid": os.getpid(), "baseUrl": self._world.base_url, **self._world.weather.describe()}
            | {"tenants": self._world.directory.tenant_count()}
        )

    async def _reset(self, request: Request) -> Response:  # noqa: ARG002
        self._tenancy.reset()
        return JSONResponse(self._tenancy.list()[0])

    async def _log(self, request: Request) -> Response:
        return JSONResponse(self._world.directory.requests(int(request.query_params.get("since", "0"))))

    async def _clear_log(self, request: Request) -> Response:  # noqa: ARG002
        self._world.directory.clear_requests()
        return Response(status_code=204)

    async def _faults(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse(self._world.weather.describe())

    async def _set_faults(self, request: Request) -> Response:
        body = await _object(request)
        if unknown := set(body) - {"rules", "conditions", "limits"}:
            raise BadRule(f"unknown key {sorted(unknown)[0]!r}; faults are set by: rules, conditions, limits")
        if "rules" in body:
            self._world.weather.set_rules(body["rules"])
        if "conditions" in body:
            self._world.weather.set_conditions(body["conditions"])
        if "limits" in body:
            self._world.weather.set_limits(body["limits"])
        return JSONResponse(self._world.weather.describe())

    async def _tenant_faults(self, request: Request) -> Response:
        tenant = self._tenant(request)
        told = {"rules": self._world.weather.tenant_rules(tenant), "troubles": self._trouble.of(tenant)}
        return JSONResponse(told)

    async def _set_tenant_faults(self, request: Request) -> Response:
        body = await _object(request)
        if set(body) != {"rules"} or not isinstance(body["rules"], list):
            raise BadRule("the faults of one tenant are set by a list 'rules'")
        self._world.weather.set_tenant_rules(self._tenant(request), body["rules"])
        return await self._tenant_faults(request)

    async def _troubles(self, request: Request) -> Response:  # noqa: ARG002
        told = {"kinds": {kind: one.about for kind, one in troubles.KINDS.items()}, "tenants": self._trouble.all()}
        return JSONResponse(told)

    async def _begin_trouble(self, request: Request) -> Response:
        body = await _object(request)
        self._trouble.begin(self._tenant(request), request.path_params["kind"], body.pop("clientId", None), body)
        return await self._tenant_faults(request)

    async def _end_trouble(self, request: Request) -> Response:
        self._trouble.end(self._tenant(request), request.path_params["kind"])
        return await self._tenant_faults(request)

    async def _clear_faults(self, request: Request) -> Response:  # noqa: ARG002
        self._world.weather.clear()
        return JSONResponse(self._world.weather.describe())

    async def _release(self, request: Request) -> Response:
        return JSONResponse({"released": self._world.weather.release((await _object(request)).get("id"))})

    async def _tenants(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse(self._tenancy.list())

    async def _create_tenant(self, request: Request) -> Response:
        body = await _object(request)
        known = ("domain", "edition", "count", "prefix", "partner")
        if unknown := sorted(set(body) - set(known)):
            raise BadRule(f"unknown key {unknown[0]!r}; tenants are made by: {', '.join(known)}")
        if "count" in body:
            made = self._tenancy.create_many(body["count"], body.get("prefix", "tenant"), body.get("edition"))
            if body.get("partner"):
                self._make_customers([str(one["tenant_id"]) for one in made])
            return JSONResponse(made, status_code=201)
        return JSONResponse(self._tenancy.create(body.get("domain"), body.get("edition")), status_code=201)

    def _make_customers(self, tenants: list[str]) -> None:
        directory = self._world.directory
        home = directory.first_tenant() or ""
        app_id = partner.application(directory, home, self._world.base_url)["clientId"]
        with directory.transaction():
            for tenant in tenants:
                partner.consent(directory, tenant, app_id)
            partners.relate(directory, home, tenants)

    async def _partner(self, request: Request) -> Response:
        named = (await _object(request)).get("tenant")
        tenant = self._found(str(named)) if named else self._world.directory.first_tenant() or ""
        return JSONResponse(partner.application(self._world.directory, tenant, self._world.base_url))

    async def _consent(self, request: Request) -> Response:
        body = await _object(request)
        directory, customer = self._world.directory, self._tenant(request)
        found = directory.find_everywhere("application", fresh=True, appId=str(body.get("clientId")))
        with directory.transaction():
            partner.consent(directory, customer, str(body.get("clientId")))
            partners.relate(directory, found[0][0], [customer])
        return Response(status_code=204)

    async def _withdraw(self, request: Request) -> Response:
        body = await _object(request)
        partner.withdraw(self._world.directory, self._tenant(request), str(body.get("clientId")))
        return Response(status_code=204)

    async def _delete_tenant(self, request: Request) -> Response:
        self._tenancy.delete(request.path_params["tenant"])
        return Response(status_code=204)

    async def _make_people(self, request: Request) -> Response:
        body = await _object(request)
        rows = body.pop("people", None)
        if (rows is None) == (not body) or not isinstance(rows, list | None):
            raise BadRule("people are made by a list 'people', or by one entry alone, for example {\"count\": 100}")
        wanted = [
            people.Wanted.parse(row, alias=f"person{secrets.token_hex(4)}")
            for row in ([body] if rows is None else rows)
        ]
        made = people.make(self._world.directory, self._tenant(request), wanted)
        return JSONResponse(made, status_code=201)

    async def _set_mail(self, request: Request) -> Response:
        body = await _object(request)
        stored = organization.set_basic_smtp(self._world.directory, self._tenant(request), body)
        return JSONResponse(stored)

    async def _set_customers(self, request: Request) -> Response:
        body = await _object(request)
        names = body.get("customers")
        if set(body) != {"customers"} or not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise BadRule('a partner\'s customers are a list, for example {"customers": ["fabrikam.onmicrosoft.com"]}')
        return JSONResponse(partners.put(self._world.directory, self._tenant(request), names))

    async def _set_ews(self, request: Request) -> Response:
        return JSONResponse(switches.put(self._world.directory, self._tenant(request), await _object(request)))

    async def _make_accounts(self, request: Request) -> Response:
        body = await _object(request)
        if not isinstance(body.get("people"), list):
            raise BadRule("accounts are made by a list 'people'")
        made = accounts.create(self._world.directory, self._tenant(request), body["people"])
        return JSONResponse(made, status_code=201)

    def _tenant(self, request: Request) -> str:
        return self._found(request.path_params["tenant"])

    def _found(self, name: str) -> str:
        found = self._world.directory.tenant(name, gone=True)
        if found is None:
            raise BadRule(f"there is no tenant {name}")
        return str(found["id"])

    async def _ci_token(self, request: Request) -> Response:
        body = await _object(request)
        missing = [name for name in ("provider", "subject") if not body.get(name)]
        if missing:
            raise BadRule(f"{missing[0]!r} is missing; a CI token is asked for with provider, subject and audience")
        return JSONResponse({"value": self._issuer.token(**body)})


async def _object(request: Request) -> dict[str, Any]:
    body = await request.body()
    data = (await request.json()) if body else {}
    if not isinstance(data, dict):
        raise BadRule("the body is a JSON object")
    return data


def _refusal(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status_code=status)
