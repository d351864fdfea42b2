"""The browser page that shows the local tenants, read only, under ``/_portal/``."""

from __future__ import annotations

from starlette.routing import Route

from provision.sandbox.portal.pages import Portal
from provision.sandbox.world import World


def routes(world: World) -> list[Route]:
    """The portal's routes; they answer to this machine only."""
    return Portal(world).routes()
