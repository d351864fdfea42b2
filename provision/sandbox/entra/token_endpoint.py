"""``/oauth2/v2.0/token`` and ``/oauth2/token``: reads the request, picks the grant, writes the answer."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provision.sandbox.entra import grants
from provision.sandbox.entra.authority import resolve_authority
from provision.sandbox.entra.clients import find_client
from provision.sandbox.entra.credentials import ClientProof, basic_credentials
from provision.sandbox.entra.errors import EntraError, Incident, json_refusal, required
from provision.sandbox.entra.sign_in_log import SignInEvent, record
from provision.sandbox.metadata import login_base
from provision.sandbox.oidc_issuer import OidcIssuer
from provision.sandbox.requestlog import note
from provision.sandbox.world import World


class TokenEndpoint:
    """The token endpoint of every authority.

    Args:
        issuer: the stand-in for a CI's OIDC issuer.
    """

    def __init__(self, issuer: OidcIssuer) -> None:
        self._issuer = issuer

    async def v2(self, request: Request) -> Response:
        """``POST /{tenant}/oauth2/v2.0/token``."""
        return await self._answer(request, v1=False)

    async def v1(self, request: Request) -> Response:
        """``POST /{tenant}/oauth2/token``, which names a ``resource`` instead of scopes."""
        return await self._answer(request, v1=True)

    async def preflight(self, request: Request) -> Response:  # noqa: ARG002
        """The browser's question before a single-page application's request."""
        return Response(status_code=200, headers=_CORS)

    async def _answer(self, request: Request, *, v1: bool) -> Response:
        world: World = request.app.state.world
        form = {name: str(value) for name, value in (await request.form()).items()}
        incident = Incident.new(world.directory.clock, request.headers.get("client-request-id"))
        event = SignInEvent("nonInteractiveUser")
        try:
            answer = self._redeem(request, world, form, event, v1=v1)
        except EntraError as error:
            note(request.scope, code=f"AADSTS{error.code}")
            record(request, event, incident, error)
            response = json_refusal(error, incident, login_base(request))
        else:
            record(request, event, incident)
            response = JSONResponse(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
        response.headers["x-ms-request-id"] = incident.trace_id
        response.headers["client-request-id"] = incident.correlation_id
        if request.headers.get("origin"):
            response.headers.update(_CORS)
        return response

    def _redeem(
        self, request: Request, world: World, form: dict[str, str], event: SignInEvent, *, v1: bool
    ) -> dict[str, object]:
        authority = resolve_authority(world.directory, request.path_params["tenant"])
        grant_type = required(form, "grant_type")
        grant = grants.GRANTS.get(grant_type)
        if grant is None:
            raise EntraError(70003, grant=grant_type)
        basic_id, basic_secret = basic_credentials(request.headers.get("authorization"))
        client_id = basic_id or required(form, "client_id")
        if v1 and not form.get("scope") and form.get("resource"):
            form["scope"] = f"{form['resource']}/.default"
        base = login_base(request)
        event.client = find_client(world.directory, authority, client_id)
        proof = ClientProof(world.directory, self._issuer, _audiences(base, authority.tenant_id))
        asked = grants.TokenRequest(
            world=world,
            authority=authority,
            client=event.client,
            form=form,
            basic_secret=basic_secret,
            origin=request.headers.get("origin"),
            login_base=base,
            proof=proof,
            v1=v1,
            event=event,
            address=request.client.host if request.client else "",
        )
        try:
            return grant(asked)
        except EntraError:
            event.resource = event.resource or grants.named_resource(asked)
            raise
        finally:
            event.credential = proof.used


_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Expose-Headers": "Content-Length,Content-Encoding",
}


def _audiences(base: str, tenant_id: str | None) -> frozenset[str]:
    """What a client assertion may name as its audience in this tenant."""
    tenants = {tenant_id or "common", "common", "organizations"}
    paths = ("oauth2/v2.0/token", "oauth2/token", "v2.0", "")
    bases = {base, "https://login.microsoftonline.com"}
    return frozenset(f"{b}/{t}/{path}".rstrip("/") for b in bases for t in tenants for path in paths) | frozenset(
        f"{b}/{t}/" for b in bases for t in tenants
    )
