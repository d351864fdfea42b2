"""One tenant's job on the real engine against the local tenant, from claim to outcome."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from customers import Fleet

from provision import errors
from provision.engine.command import EngineCommand
from provision.engine.plugin import PluginChoice, choose_plugin
from provision.fleet.jobs import Job, work_on
from provision.fleet.jobs.actions import ACTIONS
from provision.fleet.tenant import Tenant
from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.onboard import stories
from provision.sandbox import Sandbox
from provision.secrets.sinks import keyvault
from provision.settings import credential
from provision.settings.endpoints import Endpoints

NAME = "CLOUDEX TMS Email Integration"


class Graph:
    """What is in a tenant, seen by its own administrator."""

    def __init__(self, fleet: Fleet, key: str, http: httpx.Client) -> None:
        there = fleet.there[key]
        self._http = http
        form = {"grant_type": "client_credentials", "client_id": there.admin_client_id}
        form |= {"client_secret": there.admin_client_secret, "scope": f"{fleet.sandbox.base_url}/.default"}
        token = http.post(f"/{there.tenant_id}/oauth2/v2.0/token", data=form).json()["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}

    def registrations(self) -> list[dict[str, Any]]:
        found = self._http.get("/v1.0/applications?$top=999", headers=self._headers).json()["value"]
        return [app for app in found if app["displayName"] == NAME]

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        self._http.patch(f"/v1.0{path}", json=body, headers=self._headers).raise_for_status()


def test_two_tenants_in_one_process_are_signed_in_to_each_by_its_own_credential(
    fleet: Fleet, sandbox: Sandbox, http: httpx.Client
) -> None:
    """Nothing that the first one's run knows may reach the second's: variables, tokens, Pulumi's globals."""
    before = dict(os.environ)
    rows = [fleet.row("first"), fleet.row("second")]
    for row in rows:
        mark = len(sandbox.log())
        made = fleet.do("up", row)
        assert (made.status, made.verdict, made.failure) == ("changed", "new", None)
        there = fleet.there[row.key]
        tenants = {r["tenant"] for r in sandbox.log()[mark:] if r.get("tenant")}
        assert tenants == {there.tenant_id}
        (app,) = Graph(fleet, row.key, http).registrations()
        assert (made.client_id, made.tenant_id) == (app["appId"], there.tenant_id)
        assert fleet.kept(row.key)["application"] == app["id"]
    again = fleet.do("up", rows[0])
    assert (again.status, again.changes, again.client_id) == ("unchanged", {}, fleet.kept("first")["client_id"])
    assert dict(os.environ) == before
    for there in fleet.there.values():
        assert there.admin_client_secret not in fleet.logs() + "".join(fleet.said)


def test_a_run_that_broke_off_is_found_again_by_the_id_that_was_kept_before(fleet: Fleet, http: httpx.Client) -> None:
    """The registration is made and its answer is lost: neither the state nor anybody here knows of it."""
    row = fleet.row("acme")
    lost = {"action": "drop_after", "match": {"method": "POST", "path": "/v1.0/applications$"}, "count": 1}
    fleet.sandbox.set_faults([lost])
    broken = fleet.do("up", row)
    fleet.sandbox.clear_faults()
    assert broken.status == "failed"
    (made,) = Graph(fleet, "acme", http).registrations()
    assert fleet.kept("acme")["instance_id"] in " ".join(made["tags"])
    assert fleet.do("up", row).status == "changed"
    (app,) = Graph(fleet, "acme", http).registrations()
    assert app["id"] == made["id"]


def test_a_lost_store_loses_no_tenant(fleet: Fleet, http: httpx.Client) -> None:
    row = fleet.row("acme")
    client_id = fleet.do("up", row).client_id
    run = fleet.store.begin("customers", "up", [row], {})
    claim = fleet.store.claim(run.id, row.key)
    assert claim is not None
    known = dict(fleet.kept("acme"))
    fleet.store.keep("customers", "acme", {}, claim)
    fleet.store.release(claim)
    fleet.store.end(run)
    again = fleet.do("up", row)
    assert (again.status, again.client_id) == ("unchanged", client_id)
    assert fleet.kept("acme") == known
    assert len(Graph(fleet, "acme", http).registrations()) == 1


def test_what_somebody_changed_is_put_right_and_told(fleet: Fleet, http: httpx.Client) -> None:
    row = fleet.row("acme")
    fleet.do("up", row)
    graph = Graph(fleet, "acme", http)
    (app,) = graph.registrations()
    graph.patch(f"/applications/{app['id']}", {"web": {"redirectUris": ["https://elsewhere.example/callback"]}})
    put_right = fleet.do("up", row)
    assert (put_right.status, put_right.verdict) == ("changed", "drifted")
    (change,) = put_right.facts["changes"]
    assert (change["operation"], change["type"]) == ("update", "Application")
    assert any("redirectUris" in name for name in change["changed"])
    (app,) = graph.registrations()
    assert app["web"]["redirectUris"] == [row.settings["redirectUri"]]


def test_a_plan_writes_nothing(fleet: Fleet, http: httpx.Client) -> None:
    row = fleet.row("acme")
    planned = fleet.do("plan", row)
    assert (planned.status, planned.verdict) == ("pending", "new")
    assert Graph(fleet, "acme", http).registrations() == []
    assert fleet.kept("acme") == {}
    fleet.do("up", row)
    assert fleet.do("plan", row).status == "unchanged"
    assert fleet.do("plan", replace(row, settings={**row.settings, "displayName": "Other"})).verdict == "drifted"


def test_rotation_happens_when_it_is_due(fleet: Fleet) -> None:
    row = fleet.row("acme")
    fleet.do("up", row)
    kept = fleet.kept("acme")
    idle = fleet.do("rotate", row)
    assert (idle.status, idle.secret_ends) == ("unchanged", kept["secret_ends"])
    done = fleet.do("rotate", row, now=True, overlap=3600)
    assert (done.status, done.changes) == ("changed", {"create": 1})
    assert [old["keyId"] for old in done.facts["retiring"]] == [kept["secret_key_id"]]
    assert fleet.kept("acme")["secret_key_id"] != kept["secret_key_id"]
    assert fleet.do("up", row).status == "unchanged"


def test_a_secret_that_is_wrong_is_told_by_the_place_that_the_fleet_file_names(fleet: Fleet) -> None:
    row = fleet.row("acme")
    fleet.environ["SECRET_ACME"] = "another"
    failure = fleet.do("up", row).failure
    assert failure is not None
    assert (failure.kind, failure.exit_code) == ("SignInFailed", errors.SignInFailed.exit_code)
    assert "the client secret in env:SECRET_ACME is wrong (AADSTS7000215)" in failure.message
    assert "ARM_" not in failure.message + failure.remedy


@pytest.mark.parametrize("cold", [False, True])
def test_a_secret_that_ends_before_the_plugin_signs_in_is_told_by_its_place_too(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, cold: bool
) -> None:
    """The program's own words about it, from the plugin beneath the engine, however the program was started."""
    told = stories.plugin_configuration
    monkeypatch.setattr(stories, "plugin_configuration", lambda *of: {**told(*of), "ARM_CLIENT_SECRET": "has-ended"})
    failure = fleet.do("up", fleet.row("acme"), cold=cold).failure
    assert failure is not None
    assert (failure.kind, failure.exit_code) == ("SignInFailed", errors.SignInFailed.exit_code)
    assert "the client secret in env:SECRET_ACME is wrong (AADSTS7000215)" in failure.message
    assert "credential (env:SECRET_ACME)" in failure.remedy
    assert "ARM_" not in failure.message + failure.remedy


def test_a_failure_inside_the_program_is_one_sentence(fleet: Fleet) -> None:
    row = fleet.row("acme")
    (room,) = fleet.sandbox.new_people(fleet.there["acme"], {"alias": "room", "mailbox": "room"})
    refused = fleet.do("up", replace(row, mailboxes=(room.user_principal_name,)))
    assert refused.failure is not None
    assert (refused.failure.kind, refused.failure.exit_code) == ("InvalidInput", errors.InvalidInput.exit_code)
    assert room.user_principal_name in refused.failure.message
    assert "Traceback" not in fleet.logs()


def switch_of(fleet: Fleet, key: str, address: str, endpoints: Endpoints) -> bool | None:
    there = fleet.there[key]
    how = credential.read(
        environ={
            "ARM_TENANT_ID": there.tenant_id,
            "ARM_CLIENT_ID": there.admin_client_id,
            "ARM_CLIENT_SECRET": there.admin_client_secret,
        }
    )
    signed_in, _ = sign_in(how, endpoints)
    with Exchange(signed_in, endpoints) as exchange:
        row = exchange.first("Get-CASMailbox", {"Identity": address}, doing="look")
    assert row is not None
    switch: bool | None = row["SmtpClientAuthenticationDisabled"]
    return switch


def test_the_rows_mailboxes_are_switched_on_and_no_others(fleet: Fleet, endpoints: Endpoints) -> None:
    row = fleet.row("acme")
    people = [{"alias": alias, "mailbox": "user"} for alias in ("anna", "ben")]
    anna, ben = (p.user_principal_name for p in fleet.sandbox.new_people(fleet.there["acme"], *people))
    row = replace(row, mailboxes=(anna, f"nobody@{anna.partition('@')[2]}"))
    done = fleet.do("smtp-auth", row)
    assert (done.status, done.changes) == ("changed", {"update": 1})
    assert [finding.severity for finding in done.findings] == ["warning"]
    assert switch_of(fleet, "acme", anna, endpoints) is False
    assert switch_of(fleet, "acme", ben, endpoints) is None
    assert fleet.do("smtp-auth", replace(row, mailboxes=(anna,))).status == "unchanged"


def test_up_switches_mailboxes_by_the_dynamic_provider(fleet: Fleet, endpoints: Endpoints) -> None:
    """The engine starts that provider itself, beside the plugin that is attached."""
    row = fleet.row("acme")
    (anna,) = fleet.sandbox.new_people(fleet.there["acme"], {"alias": "anna", "mailbox": "user"})
    made = fleet.do("up", replace(row, mailboxes=(anna.user_principal_name,)))
    assert made.failure is None
    assert switch_of(fleet, "acme", anna.user_principal_name, endpoints) is False


def test_a_plugin_that_is_an_executable_is_started_by_the_engine(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the real plugin is: only what a module serves can be attached."""

    def executable(*arguments: Any, **named: Any) -> PluginChoice:
        return replace(choose_plugin(*arguments, **named), module=None)

    monkeypatch.setattr(stories, "choose_plugin", executable)
    attached: list[list[str]] = []
    run = EngineCommand._run

    def seen(self: EngineCommand, args: list[str], cwd: str, environment: Mapping[str, str], *rest: Any) -> Any:
        attached.append([word for word in ("PULUMI_DEBUG_PROVIDERS",) if word in environment])
        return run(self, args, cwd, environment, *rest)

    monkeypatch.setattr(EngineCommand, "_run", seen)
    made = fleet.do("up", fleet.row("acme"))
    assert (made.status, made.failure) == ("changed", None)
    assert attached
    assert not any(attached)


def test_without_the_warm_engine_it_is_the_same(fleet: Fleet) -> None:
    row = fleet.row("acme")
    assert fleet.do("up", row, cold=True).status == "changed"
    assert fleet.do("up", row).status == "unchanged"
    assert fleet.do("up", row, cold=True).status == "unchanged"


def test_a_diagnosis_becomes_findings(fleet: Fleet) -> None:
    row = fleet.row("acme")
    early = fleet.do("diagnose", row)
    assert early.failure is not None
    assert early.failure.kind == "InvalidInput"
    (anna,) = fleet.sandbox.new_people(fleet.there["acme"], {"alias": "anna", "mailbox": "user"})
    row = replace(row, mailboxes=(anna.user_principal_name,))
    fleet.do("up", replace(row, mailboxes=()))
    found = fleet.do("diagnose", row, via=["smtp-basic"])
    assert found.status == "pending"
    assert {finding.severity for finding in found.findings} & {"error"}
    assert all(finding.message for finding in found.findings)


def test_a_diagnosis_without_a_mailbox_says_what_it_could_not_see_and_names_the_fleets_own_commands(
    fleet: Fleet,
) -> None:
    row = fleet.row("acme")
    assert "provision fleet up --tenant acme" in getattr(fleet.do("diagnose", row).failure, "remedy", "")
    fleet.do("up", row)
    graph = fleet.do("diagnose", row, via=["graph"])
    assert (graph.status, [finding.rule for finding in graph.findings]) == ("pending", ["undecided"])
    assert "no mailbox was named" in graph.findings[0].message
    ews = fleet.do("diagnose", row, via=["ews"])
    remedies = [finding.remedy for finding in ews.findings]
    assert any(remedy.endswith("Command: provision fleet up --tenant acme") for remedy in remedies)
    assert not any("--stack" in remedy for remedy in remedies)
    assert "undecided" not in {finding.rule for finding in ews.findings}


def test_somebody_elses_tenant_is_left_alone(fleet: Fleet) -> None:
    row = fleet.row("acme")
    run = fleet.store.begin("customers", "up", [row], {})
    claim = fleet.store.claim(run.id, row.key)
    assert claim is not None
    job = Job(run.id, "customers", "up", row)
    left = work_on(job, fleet.store, environ=fleet.environ, say=fleet.said.append)
    assert left.status == "not-tried"
    fleet.store.release(claim)


def test_sinks_and_the_journal_are_opened_as_the_run_and_not_as_the_customer(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partner's Key Vault knows the partner; and no customer's credential has anything to do there."""
    opened: list[tuple[str, Mapping[str, str]]] = []

    def sink(rest: str, environ: Mapping[str, str]) -> keyvault.KeyVaultSecretSink:
        opened.append((rest, environ))
        raise errors.NotPermitted("The vault may not be written.")

    def journal(address: str, environ: Mapping[str, str]) -> Any:
        opened.append((address, environ))
        return journals(address, environ)

    journals = stories.open_store
    monkeypatch.setattr(keyvault, "open_sink", sink)
    monkeypatch.setattr(stories, "open_store", journal)
    row = fleet.row("acme")
    fleet.do("up", row)
    fleet.environ |= {"ARM_TENANT_ID": "partner.example", "ARM_CLIENT_ID": "the-run", "ARM_CLIENT_SECRET": "its-own"}
    place = "keyvault:https://partner.vault.azure.net/secrets/mail"
    for action, refused in (
        ("up", fleet.row("new", sinks=(place,))),
        ("rotate", replace(row, sinks=(place,), settings={**row.settings, "secretInState": "true"})),
    ):
        failure = fleet.do(action, refused, now=True).failure  # type: ignore[arg-type]
        assert failure is not None
        assert failure.kind == "NotPermitted", failure
    assert fleet.do("up", row).status == "unchanged"
    assert {address.partition(":")[0] for address, _ in opened} == {"https", "file"}
    assert {environ.get("ARM_CLIENT_ID") for _, environ in opened} == {"the-run"}


def test_a_row_for_another_tenant_than_its_credentials_is_refused_before_a_write(fleet: Fleet) -> None:
    mine, other = fleet.row("mine"), fleet.row("other")
    crossed = fleet.do("up", replace(mine, credential=other.credential))
    assert crossed.failure is not None
    assert crossed.failure.exit_code == errors.SignInFailed.exit_code


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (errors.PolicyRefuses("A policy forbids it.", remedy="Ask."), "PolicyRefuses", 10),
        (ZeroDivisionError("secret-of-acme is in here"), "Defect", 1),
    ],
)
def test_a_failure_is_an_outcome_and_a_defect_tells_where_to_look(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: str, code: int
) -> None:
    def broken(_: object) -> None:
        raise raised

    monkeypatch.setitem(ACTIONS, "up", broken)  # type: ignore[arg-type]
    fleet.environ["SOME_SECRET"] = "secret-of-acme"
    outcome = fleet.do("up", fleet.row("acme"))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.kind, outcome.failure.exit_code) == ("failed", kind, code)
    assert "secret-of-acme" not in fleet.logs() + json.dumps(outcome.document())
    if kind == "Defect":
        assert "ZeroDivisionError" in fleet.logs()
        assert "acme.log" in outcome.failure.message


def test_a_job_travels_as_json() -> None:
    job = Job("r", "customers", "up", Tenant("acme", "t", sinks=("file:/x",)), {"now": True})
    assert Job.of_document(json.loads(json.dumps(job.document()))) == job
