"""The program of ``stacks/mail_app`` in the real engine against the local tenant: made, changed, taken over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from provision.app.component import slot_display_names
from provision.app.layout import LAYOUT_VARIABLE, Layout
from provision.app.ownership import stack_tag
from provision.engine.environment import engine_environment
from provision.engine.plugin import choose_plugin
from provision.engine.stack import StackRunner
from provision.engine.state import open_state
from provision.engine.toolchain import ensure_engine
from provision.errors import InvalidInput
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID, Application
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints
from provision.settings.plugin import plugin_configuration
from provision.settings.stack import StackSettings

ROOT = Path(__file__).parents[2]
NAMES = slot_display_names(StackSettings.from_config({"office365-mail:companyCode": "A"}))
Runner = Callable[..., StackRunner]


@pytest.fixture
def runner(tmp_path: Path, admin: CredentialSetting, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Makes the stack ``acme`` of a copy of this repository's project, as plain Pulumi would see it."""
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROVISION_DATA", str(tmp_path / "data"))
    engine, state = ensure_engine(progress=print), open_state()
    plugin = choose_plugin(engine, metadata_host=endpoints.metadata_host, progress=print)
    project = tmp_path / "project"
    shutil.copytree(ROOT / "stacks/mail_app", project / "stacks/mail_app")
    (project / "Pulumi.yaml").write_text("name: office365-mail\nruntime: python\nmain: stacks/mail_app\n")

    def make(**config: str) -> StackRunner:
        environment = {**engine_environment(engine, state, plugin), **plugin_configuration(admin, endpoints)}
        stack = StackRunner(
            project=project,
            stack="acme",
            toolchain=engine,
            state=state,
            environment=environment,
            on_event=lambda _: None,
            say=print,
        )
        stack.set_config({f"office365-mail:{key}": value for key, value in config.items()})
        return stack

    return make


def the_one(graph: Graph) -> Application:
    (application,) = graph.applications_by_tag(stack_tag("office365-mail", "acme"))
    return application


def test_made_once_changed_in_place_and_taken_over(runner: Runner, graph: Graph) -> None:
    """A second run that changes something, or a change that replaces the live secret, would stop a customer's mail."""
    made = runner(companyCode="Acme").up()
    application = the_one(graph)
    assert made.outputs["clientId"].value == application.app_id
    assert made.outputs["clientSecret"].secret
    assert made.outputs["consentGranted"].value is True
    assert application.web_redirect_uris == ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx",)
    assert (application.spa_redirect_uris, application.is_fallback_public_client) == ((), False)
    assert (application.issue_access_tokens, application.issue_id_tokens) == (True, True)
    assert [password.display_name for password in application.passwords] == [NAMES[0]]
    principal, resource = graph.service_principal(application.app_id), graph.service_principal(GRAPH_APP_ID)
    assert principal is not None
    assert resource is not None
    (grant,) = graph.grants(principal.object_id)
    assert (set(grant.scopes), grant.consent_type) == ({"Mail.Send", "User.Read", "offline_access"}, "AllPrincipals")

    assert not runner().up().changed

    runner(companyCode="Beta", secretMonths="6").up()
    changed = the_one(graph)
    assert changed.web_redirect_uris == ("https://my.cloudex.app/Beta/Services/Office365Callback.aspx",)
    assert (changed.app_id, changed.passwords) == (application.app_id, application.passwords)

    with pytest.raises(InvalidInput, match="placeholder"):
        runner(companyCode="YourCompanyCode").up()
    assert the_one(graph) == changed


def test_both_slots_side_by_side_and_a_plain_run_leaves_them_so(runner: Runner, graph: Graph) -> None:
    """Rotation needs both secrets alive for a while. Settings say nothing of slots: a checkout of yesterday's settings
    must not take today's secret away, so a plain run reads them from the stack's own outputs.
    """
    first = runner(companyCode="Acme").up().outputs["secretKeyId"].value
    both = Layout("b", ("a", "b"))
    stack = runner()
    stack.add_environment({LAYOUT_VARIABLE: both.to_json()})
    second = stack.up().outputs["secretKeyId"].value
    assert {password.key_id for password in the_one(graph).passwords} == {first, second}
    plain = runner().up()
    assert not plain.changed
    assert plain.outputs["secretKeyId"].value == second
    stack.add_environment({LAYOUT_VARIABLE: both.without_slot("a").to_json()})
    stack.up()
    assert [password.key_id for password in the_one(graph).passwords] == [second]
    assert not runner().up().changed


def test_a_plain_run_does_not_delete_the_secret_in_use_when_the_setting_is_turned(runner: Runner, graph: Graph) -> None:
    runner(companyCode="Acme").up()
    before = the_one(graph).passwords
    with pytest.raises(InvalidInput, match="the product would lose it"):
        runner(secretInState="false").up()
    assert the_one(graph).passwords == before


def test_what_a_killed_run_made_is_taken_over_by_plain_pulumi(runner: Runner, graph: Graph, api: httpx.Client) -> None:
    """Entra made the registration and the consent; the engine was killed before it wrote its state."""
    stack = runner(companyCode="Acme")
    stack.up()
    application = the_one(graph)
    component = next(r for r in stack.export()["resources"] if r["type"] == "provision:app:MailApp")
    stack.remove_from_state(component["urn"])
    name = {"displayName": "TERRAFORM_UPDATE_00000000-0000-0000-0000-000000000000"}
    api.patch(f"/v1.0/applications/{application.object_id}", json=name).raise_for_status()
    again = stack.up()
    assert again.outputs["clientId"].value == application.app_id
    assert the_one(graph).display_name == application.display_name
    principal = graph.service_principal(application.app_id)
    assert principal is not None
    assert len(graph.grants(principal.object_id)) == 1
    assert not stack.up().changed
