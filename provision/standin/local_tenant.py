"""The gate: the stand-in serves this machine's local tenant and nothing else.

Owns: refusing every other host, before and after asking it who it is.
Does not own: reading metadata (``settings.endpoints``) or signing in (``session``).
"""

from __future__ import annotations

from provision.errors import InvalidInput
from provision.settings.endpoints import Endpoints, read_metadata

TENANT_NAME = "ProvisionSandbox"
"""The ``name`` that the local tenant's ``/metadata/endpoints`` gives."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_NAME = "The offline stand-in of the azuread plugin"
_REMEDY = (
    "Against Microsoft the real azuread plugin does the work: install it (`pulumi plugin install resource azuread`) "
    "or set the plugin choice to `real`; for a try-out start the local tenant with `provision sandbox start`."
)


def endpoints_of(metadata_host: str) -> Endpoints:
    """The local tenant's addresses.

    Args:
        metadata_host: ``host[:port]``, as in ``azuread:metadataHost``; empty when none was set.

    Raises:
        InvalidInput: it is not on this machine's loopback, or what answers there is not the local tenant.
        Unreachable: nothing answers, or its certificate is not trusted.
    """
    if not metadata_host:
        raise InvalidInput(
            f"{_NAME} works against the local tenant only, and no metadataHost is set.",
            remedy=_REMEDY,
        )
    host = metadata_host if metadata_host.endswith("]") else metadata_host.rpartition(":")[0] or metadata_host
    if host.lower() not in _LOOPBACK:
        raise InvalidInput(
            f"{_NAME} refuses {metadata_host}: it is not on this machine.",
            remedy=_REMEDY,
        )
    endpoints = read_metadata(metadata_host)
    if endpoints.name != TENANT_NAME or not endpoints.is_local:
        raise InvalidInput(
            f"{_NAME} refuses {metadata_host}: what answers there is not the local tenant.",
            remedy=_REMEDY,
        )
    return endpoints
