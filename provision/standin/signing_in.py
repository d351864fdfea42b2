"""Opens the session: through the gate, signed in, with msgraph-sdk's adapter pointed at the local tenant.

Owns: the order gate, sign-in, client. Does not own: any of the three.
"""

from __future__ import annotations

import asyncio
import importlib
from urllib.parse import urlsplit

from provision.microsoft.credentials import sign_in
from provision.settings.endpoints import tls_context
from provision.standin.configuration import Configuration
from provision.standin.local_tenant import endpoints_of
from provision.standin.session import Session

_ANSWER_SECONDS, _CONNECT_SECONDS = 100.0, 15.0
_SDK = ("msgraph.graph_request_adapter", "msgraph_core", "azure.identity")


def load_sdk() -> None:
    """Loads the SDK ahead of its use: half a second that the engine spends on other things meanwhile."""
    for name in _SDK:
        importlib.import_module(name)


async def open_session(configuration: Configuration) -> Session:
    """Signs in to the local tenant.

    Args:
        configuration: the provider's settings.

    Raises:
        InvalidInput: not the local tenant, or settings that do not go together.
        SignInFailed: Entra refuses, or the token is for another tenant.
        Unreachable: nothing answers, or its certificate is not trusted.
    """
    import httpx
    from kiota_http.kiota_client_factory import KiotaClientFactory
    from kiota_http.middleware.retry_handler import RetryHandler
    from msgraph.graph_request_adapter import GraphRequestAdapter, options
    from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]
    from msgraph_core.authentication import AzureIdentityAuthenticationProvider  # type: ignore[import-untyped]

    endpoints = await asyncio.to_thread(endpoints_of, configuration.metadata_host)
    setting = configuration.credential()
    credential, caller = await asyncio.to_thread(sign_in, setting, endpoints)
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    middleware = [
        handler
        for handler in KiotaClientFactory.get_default_middleware(dict(options))
        if not isinstance(handler, RetryHandler)
    ]
    client = GraphClientFactory.create_with_custom_middleware(
        middleware,
        client=httpx.AsyncClient(verify=tls_context(endpoints.ca_file), timeout=timeout, trust_env=False),
    )
    provider = AzureIdentityAuthenticationProvider(
        credential, scopes=[endpoints.graph_scope], allowed_hosts=[urlsplit(endpoints.graph).hostname or ""]
    )
    adapter = GraphRequestAdapter(provider, client=client)
    return Session(adapter, endpoints.graph, caller.tenant_id, setting.client_id or caller.app_id, caller.object_id)
