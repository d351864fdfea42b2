"""The browser page that shows the local tenants, read only."""

from __future__ import annotations

from starlette.routing import Route

from provision.sandbox.world import World


def routes(world: World) -> list[Route]:  # noqa: ARG001
    """The portal's routes under ``/_portal/``."""
    return []
