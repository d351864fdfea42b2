"""Registrations as ``provision up`` makes them, made through Graph alone: for benches and tests of many tenants.

``tests/fleet/audit/test_audit.py`` holds one against the real engine's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from trial import GRAPH, token

from provision.app import ownership
from provision.app.redirect import redirect_uri
from provision.fleet.kept import Kept
from provision.fleet.tenant import Tenant
from provision.sandbox import Tenant as LocalTenant
from provision.settings.stack import NAMESPACE, StackSettings


class Registrar:
    """Makes registrations in the tenants of one local server; a client of its own for each thread.

    Args:
        base_url: the server's address.
        verify: its authority.
    """

    def __init__(self, base_url: str, verify: Any) -> None:
        self._http = httpx.Client(base_url=base_url, verify=verify, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def register(self, local: LocalTenant, row: Tenant) -> Kept:
        """Makes one tenant's registration.

        Args:
            local: the tenant, with its admin application.
            row: what it asks for.

        Returns:
            What a run would have kept of it.
        """
        settings = StackSettings.from_config(row.configuration(), source=row.key)
        profile, instance = settings.profile, str(uuid4())
        headers = {"Authorization": f"Bearer {self._token(local)}"}
        graph = self._get(headers, f"/servicePrincipals?$filter=appId eq '{GRAPH}'&$select=id,oauth2PermissionScopes")
        ids = {scope["value"]: scope["id"] for scope in graph["oauth2PermissionScopes"]}
        application = self._post(
            headers,
            "/applications",
            {
                "displayName": settings.display_name,
                "signInAudience": settings.sign_in_audience,
                "isFallbackPublicClient": False,
                "tags": list(ownership.tags(NAMESPACE, row.key, instance)),
                "web": {
                    "redirectUris": [redirect_uri(settings, local=True)],
                    "implicitGrantSettings": {
                        "enableAccessTokenIssuance": profile.issue_access_tokens,
                        "enableIdTokenIssuance": profile.issue_id_tokens,
                    },
                },
                "requiredResourceAccess": [
                    {
                        "resourceAppId": GRAPH,
                        "resourceAccess": [{"id": ids[scope], "type": "Scope"} for scope in settings.scopes],
                    }
                ],
            },
        )
        principal = self._post(headers, "/servicePrincipals", {"appId": application["appId"]})
        grant = self._post(
            headers,
            "/oauth2PermissionGrants",
            {
                "clientId": principal["id"],
                "consentType": "AllPrincipals",
                "resourceId": graph["id"],
                "scope": " ".join(settings.scopes),
            },
        )
        end = datetime.now(UTC) + timedelta(days=700)
        secret = self._post(
            headers,
            f"/applications/{application['id']}/addPassword",
            {
                "passwordCredential": {
                    "displayName": profile.slot_name("a"),
                    "endDateTime": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            },
        )
        return Kept(
            instance_id=instance,
            tenant_id=local.tenant_id,
            client_id=application["appId"],
            application=application["id"],
            service_principal=principal["id"],
            grant=grant["id"],
            secret_key_id=secret["keyId"],
            secret_ends=end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            fingerprint=row.fingerprint(),
        )

    def _token(self, local: LocalTenant) -> str:
        found = token(self._http, local.tenant_id, local.admin_client_id, local.admin_client_secret)
        if found is None:
            raise RuntimeError(f"{local.domain} refuses its admin application")
        return found

    def _get(self, headers: dict[str, str], path: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._http.get(f"/v1.0{path}", headers=headers).raise_for_status().json()["value"]
        return found[0]

    def _post(self, headers: dict[str, str], path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/v1.0{path}", json=body, headers=headers).raise_for_status()
        made: dict[str, Any] = answer.json()
        return made
