"""What every handler of the local tenant stands on: the store, the address, the signing key and the weather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.sandbox.directory import Directory
    from provision.sandbox.faults import Weather
    from provision.sandbox.keys import SigningKeys


@dataclass(frozen=True)
class World:
    """One running server. Handlers find it at ``request.app.state.world``."""

    directory: Directory
    """All state of all tenants, and the clock."""
    base_url: str
    """``https://localhost:PORT``, no trailing slash: the login, Graph and ARM address in one."""
    keys: SigningKeys
    """Signs Entra's tokens."""
    weather: Weather
    """Faults, delays, token lifetime."""
    public_names: bool = False
    """Whether Microsoft's public host names are answered by the ``Host`` header."""
