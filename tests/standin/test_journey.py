"""A program on the real engine with the stand-in as its plugin: made, unchanged, changed in place, rotated, gone."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from provision.engine.environment import engine_environment
from provision.engine.events import UNCHANGED, RunResult
from provision.engine.plugin import choose_plugin
from provision.engine.stack import StackRunner
from provision.engine.state import open_state
from provision.engine.toolchain import ensure_engine
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential, endpoints
from provision.settings.plugin import plugin_configuration

from .conftest import Plugin

PROGRAM = """
import pulumi
import pulumi_azuread as azuread

config = pulumi.Config()
graph = azuread.get_service_principal_output(client_id="00000003-0000-0000-c000-000000000000")
app = azuread.Application(
    "app",
    display_name="Journey",
    web={"redirect_uris": [config.require("redirect")], "implicit_grant": {"id_token_issuance_enabled": True}},
    required_resource_accesses=[
        {
            "resource_app_id": graph.client_id,
            "resource_accesses": [{"id": graph.oauth2_permission_scope_ids["Mail.Send"], "type": "Scope"}],
        }
    ],
)
principal = azuread.ServicePrincipal("principal", client_id=app.client_id)
azuread.ServicePrincipalDelegatedPermissionGrant(
    "grant",
    service_principal_object_id=principal.object_id,
    resource_service_principal_object_id=graph.object_id,
    claim_values=["Mail.Send"],
)
secret = azuread.ApplicationPassword(
    "secret", application_id=app.id, display_name="CLOUDEX", rotate_when_changed={"round": config.require("round")}
)
pulumi.export("clientId", app.client_id)
pulumi.export("secret", secret.value)
pulumi.export("keyId", secret.key_id)
"""


@pytest.fixture
def runner(sandbox: Sandbox, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackRunner:
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "ARM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROVISION_DATA", str(tmp_path / "data"))
    host = sandbox.base_url.removeprefix("https://")
    signing_in = {
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "ARM_CLIENT_SECRET": tenant.admin_client_secret,
    }
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: journey\nruntime: python\n")
    (root / "__main__.py").write_text(textwrap.dedent(PROGRAM))
    toolchain, state = ensure_engine(progress=print), open_state()
    offline = {**os.environ, "PROVISION_AZUREAD_PLUGIN": "offline"}
    plugin = choose_plugin(toolchain, metadata_host=host, progress=print, environ=offline)
    found = endpoints.resolve(metadata_host=host, ca_file=str(sandbox.ca_file))
    return StackRunner(
        project=root,
        stack="dev",
        toolchain=toolchain,
        state=state,
        environment={
            **engine_environment(toolchain, state, plugin),
            **plugin_configuration(credential.read("client-secret", environ=signing_in), found),
        },
    )


def changes(result: RunResult) -> dict[str, int]:
    return {name: count for name, count in result.changes.items() if name not in UNCHANGED}


def test_the_life_of_an_app_registration(runner: StackRunner, plugin: Plugin) -> None:
    """Twice the same program changes nothing; a new callback is an update in place; a rotation replaces one secret."""
    runner.set_config({"journey:redirect": "https://a.example.com/Callback.aspx", "journey:round": "1"})
    assert changes(runner.up()) == {"create": 5}
    first = runner.outputs(show_secrets=True)
    assert changes(runner.up(refresh=True)) == {}

    runner.set_config({"journey:redirect": "https://b.example.com/Callback.aspx", "journey:round": "2"})
    assert changes(runner.up()) == {"update": 1, "replace": 1}
    found = plugin.ask("getApplication", displayName="Journey")["webs"][0]
    assert found["redirectUris"] == ["https://b.example.com/Callback.aspx"]
    second = runner.outputs(show_secrets=True)
    assert first["clientId"].value == second["clientId"].value
    assert first["secret"].value != second["secret"].value
    assert first["secret"].value not in str(runner.export())

    runner.destroy()
    with pytest.raises(Exception, match="no applications found"):
        plugin.ask("getApplication", displayName="Journey")
