"""The control API's Google part: customers and users in each state, their mail, a busy server.

Every call needs the control token, as the rest of the control API (``sandbox.control`` guards and mounts them).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provision.sandbox.google import customers, oauth, post
from provision.sandbox.google.post import BUSY
from provision.sandbox.world import World


class GoogleControl:
    """Handlers.

    Args:
        world: the running server.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: Request) -> Response:
        """POST google/customers."""
        wanted = await _object(request)
        made = customers.create(self._world.directory, token_uri=oauth.token_uri(self._world), wanted=wanted)
        return JSONResponse(made, status_code=201)

    async def change(self, request: Request) -> Response:
        """PATCH google/users/{email}."""
        customers.change(self._world.directory, request.path_params["email"], await _object(request))
        return JSONResponse({})

    async def app_password(self, request: Request) -> Response:
        """POST google/users/{email}/app-passwords."""
        user = customers.find_user(self._world.directory, request.path_params["email"]) or {"id": ""}
        made = customers.add_app_password(self._world.directory, user["id"])
        return JSONResponse({"value": made}, status_code=201)

    async def messages(self, request: Request) -> Response:
        """GET google/users/{email}/messages."""
        user = customers.find_user(self._world.directory, request.path_params["email"])
        if user is None:
            raise customers.BadGoogle(f"there is no Google user {request.path_params['email']}")
        return JSONResponse(post.messages(self._world.directory, user))

    async def busy(self, request: Request) -> Response:
        """PUT google/busy: whether Gmail turns clients away with 421 4.7.0."""
        self._world.directory.set_setting(BUSY, bool((await _object(request)).get("busy")))
        return JSONResponse({})


async def _object(request: Request) -> dict[str, Any]:
    data = (await request.json()) if await request.body() else {}
    if not isinstance(data, dict):
        raise customers.BadGoogle("the body is a JSON object")
    return data
