"""An audit sees in a few requests what the engine would do, and what it cannot see it says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from registered import Registrar
from trial import Trial, environment, foreign_certificate, token

from provision.fleet import audit as audits
from provision.fleet.audit import audit
from provision.fleet.jobs import Job, work_on
from provision.fleet.kept import Kept
from provision.fleet.looking import Looking
from provision.fleet.outcome import Outcome
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant
from provision.microsoft.reading import application_of
from provision.sandbox import Sandbox
from provision.sandbox import Tenant as LocalTenant


@dataclass
class Customers:
    """A few customers of the local server."""

    sandbox: Sandbox
    rows: list[Tenant] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    locals: dict[str, LocalTenant] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, **changes: Any) -> Tenant:
        local = self.sandbox.new_tenant()
        row = Tenant(
            key,
            local.tenant_id,
            company_code="ACME",
            settings={"redirectUri": f"{self.sandbox.base_url}/ACME/Services/Office365Callback.aspx"},
            credential=reference(key, local),
            metadata_host=self.sandbox.base_url.removeprefix("https://"),
        )
        row = replace(row, **changes)
        self.environment[f"SECRET_{key.upper()}"] = local.admin_client_secret
        self.locals[key] = local
        self.rows.append(row)
        return row

    def look(self, rows: list[Tenant] | None = None, **options: Any) -> dict[str, Outcome]:
        seen: dict[str, Outcome] = {}
        environ = {**self.environment, "SSL_CERT_FILE": str(self.sandbox.ca_file)}

        def kept(key: str) -> dict[str, Any]:
            return self.kept[key].document() if key in self.kept else {}

        asyncio.run(
            audit(
                rows or self.rows,
                kept,
                on_outcome=lambda outcome: seen.__setitem__(outcome.key, outcome),
                environ=environ,
                **options,
            )
        )
        return seen

    def one(self, **options: Any) -> Outcome:
        return self.look(**options)[self.rows[0].key]

    def graph(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        local = self.locals[self.rows[0].key]
        context = ssl.create_default_context(cafile=str(self.sandbox.ca_file))
        with httpx.Client(base_url=self.sandbox.base_url, verify=context, trust_env=False) as http:
            bearer = token(http, local.tenant_id, local.admin_client_id, local.admin_client_secret)
            answer = http.request(method, f"/v1.0{path}", json=body, headers={"Authorization": f"Bearer {bearer}"})
            answer.raise_for_status()
            return answer.json() if answer.content else {}


def reference(key: str, local: LocalTenant) -> CredentialReference:
    return CredentialReference(
        key, "client-secret", client_id=local.admin_client_id, secret=f"env:SECRET_{key.upper()}"
    )


@pytest.fixture
def trial(sandbox: Sandbox, tmp_path: Path) -> Iterator[Trial]:
    made = Trial(sandbox, tmp_path / "project")
    yield made
    made.close()


@pytest.fixture
def customers(sandbox: Sandbox) -> Iterator[Customers]:
    yield Customers(sandbox)
    sandbox.clear_faults()


@pytest.fixture
def registrar(sandbox: Sandbox) -> Iterator[Registrar]:
    made = Registrar(sandbox.base_url, ssl.create_default_context(cafile=str(sandbox.ca_file)))
    yield made
    made.close()


@pytest.fixture
def registered(customers: Customers, registrar: Registrar) -> Customers:
    row = customers.add("contoso")
    customers.kept["contoso"] = registrar.register(customers.locals["contoso"], row)
    return customers


def test_an_unchanged_tenant_costs_a_token_and_one_batch(customers: Customers, registrar: Registrar) -> None:
    for key in ("contoso", "fabrikam", "tailspin"):
        row = customers.add(key)
        customers.kept[key] = registrar.register(customers.locals[key], row)
    before = len(customers.sandbox.log())
    seen = customers.look()
    assert {one.verdict for one in seen.values()} == {"unchanged"}
    assert {one.status for one in seen.values()} == {"unchanged"}
    wire = [row for row in customers.sandbox.log(before) if "/metadata/" not in row["path"]]
    asked = [(row["path"], row["status"]) for row in wire]
    assert len(wire) == sum(one.requests for one in seen.values()) == 7, asked  # one batch more: what Graph publishes
    assert sorted(one.requests for one in seen.values()) == [2, 2, 3]


def test_without_what_earlier_runs_know_it_takes_one_batch_more(registered: Customers) -> None:
    kept = registered.kept["contoso"]
    registered.kept["contoso"] = Kept(instance_id=kept.instance_id, fingerprint=kept.fingerprint)
    outcome = registered.one()
    assert (outcome.verdict, outcome.client_id) == ("unchanged", kept.client_id)
    assert outcome.secret_ends == kept.secret_ends


def test_a_tenant_without_a_registration_is_new(customers: Customers) -> None:
    customers.add("contoso")
    outcome = customers.one()
    assert (outcome.status, outcome.verdict) == ("pending", "new")


def test_a_deleted_registration_is_new_and_an_error(registered: Customers) -> None:
    registered.graph("DELETE", f"/applications/{registered.kept['contoso'].application}")
    outcome = registered.one()
    assert outcome.verdict == "new"
    assert [(one.rule, one.severity) for one in outcome.findings] == [("registration-missing", "error")]


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "redirect": ({"web": {"redirectUris": ["https://localhost/acme/Services/Office365Callback.aspx"]}}, "redirect-web"),
    "spa": ({"spa": {"redirectUris": ["https://localhost/other"]}}, "redirect-spa"),
    "public": ({"isFallbackPublicClient": True}, "public-client-flows"),
    "name": ({"displayName": "Another"}, "name"),
    "permissions": ({"requiredResourceAccess": []}, "permissions"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_clicked_in_the_portal_is_drift(registered: Customers, change: str) -> None:
    body, rule = CHANGES[change]
    registered.graph("PATCH", f"/applications/{registered.kept['contoso'].application}", body)
    outcome = registered.one()
    assert outcome.verdict == "drifted"
    assert f"differs-{rule}" in [one.rule for one in outcome.findings]


BEYOND: dict[str, tuple[str, dict[str, Any]]] = {
    "logout": ("application", {"web": {"logoutUrl": "https://localhost/logout"}}),
    "claims": ("application", {"groupMembershipClaims": "All"}),
    "optional claims": ("application", {"optionalClaims": {"idToken": [{"name": "email"}]}}),
    "token version": ("application", {"api": {"requestedAccessTokenVersion": 2}}),
    "notes": ("application", {"notes": "ask Anna"}),
    "a tag more": ("application", {"tags": ["another"]}),
    "no tags": ("application", {"tags": []}),
    "assignment": ("servicePrincipal", {"appRoleAssignmentRequired": True}),
    "mode": ("servicePrincipal", {"preferredSingleSignOnMode": "saml"}),
}


@pytest.mark.parametrize("change", BEYOND)
def test_what_the_engine_takes_away_again_is_drift(registered: Customers, change: str) -> None:
    """Each of these was seen to be changed back by ``up``."""
    kind, body = BEYOND[change]
    kept = registered.kept["contoso"]
    path = {
        "application": f"/applications/{kept.application}",
        "servicePrincipal": f"/servicePrincipals/{kept.service_principal}",
    }[kind]
    if body.get("tags"):
        body = {"tags": [*registered.graph("GET", path)["tags"], *body["tags"]]}
    registered.graph("PATCH", path, body)
    outcome = registered.one()
    rule = "differs-tags" if "tags" in body else "differs-unasked"
    assert (outcome.verdict, [one.rule for one in outcome.findings]) == ("drifted", [rule])


def test_a_federated_credential_of_the_row_is_looked_at(customers: Customers, registrar: Registrar) -> None:
    trust = {"federatedName": "ci-main", "federatedIssuer": "https://issuer.example", "federatedSubject": "repo:a/b"}
    row = customers.add("contoso")
    row = customers.rows[0] = replace(row, settings={**row.settings, **trust})
    kept = customers.kept["contoso"] = registrar.register(customers.locals["contoso"], row)
    missing = customers.one()
    assert (missing.verdict, [one.rule for one in missing.findings]) == ("drifted", ["differs-federated"])
    path = f"/applications/{kept.application}/federatedIdentityCredentials"
    body = {"name": "ci-main", "issuer": "https://issuer.example", "subject": "repo:a/b"}
    body |= {"audiences": ["api://AzureADTokenExchange"]}  # type: ignore[dict-item]
    made = customers.graph("POST", path, body)
    assert customers.one().verdict == "unchanged"
    customers.graph("PATCH", f"{path}/{made['id']}", {"subject": "repo:somebody/else"})
    assert [one.rule for one in customers.one().findings] == ["differs-federated"]


def test_owners_of_the_row_are_looked_at(customers: Customers, registrar: Registrar) -> None:
    row = customers.add("contoso")
    (anna,) = customers.sandbox.new_people(customers.locals["contoso"], {"alias": "anna", "mailbox": "user"})
    user = customers.graph("GET", f"/users/{anna.user_principal_name}")["id"]
    row = customers.rows[0] = replace(row, settings={**row.settings, "owners": user})
    kept = customers.kept["contoso"] = registrar.register(customers.locals["contoso"], row)
    assert {one.rule for one in customers.one().findings} == {"differs-owners"}
    owner = {"@odata.id": f"{customers.sandbox.base_url}/v1.0/directoryObjects/{user}"}
    for path in (f"/applications/{kept.application}", f"/servicePrincipals/{kept.service_principal}"):
        customers.graph("POST", f"{path}/owners/$ref", owner)
    assert customers.one().verdict == "unchanged"


def test_what_an_audit_cannot_see_of_mailboxes_it_says(customers: Customers, registrar: Registrar) -> None:
    row = customers.add("contoso", mailboxes=("anna@contoso.example",))
    customers.kept["contoso"] = registrar.register(customers.locals["contoso"], row)
    outcome = customers.one()
    assert (outcome.verdict, [one.rule for one in outcome.findings]) == ("unchanged", ["mailboxes-unseen"])


def test_a_row_with_mailboxes_is_left_to_the_engine(customers: Customers, registrar: Registrar, tmp_path: Path) -> None:
    """``up`` is done with a tenant that looks well, but not where it could not look."""
    rows = [customers.add("contoso"), customers.add("fabrikam", mailboxes=("anna@fabrikam.example",))]
    environ = {**customers.environment, "SSL_CERT_FILE": str(customers.sandbox.ca_file)}
    with closing(open_fleet_store(f"sqlite:///{tmp_path}/fleet.db", environ=environ)) as store:
        before = store.begin("partner", "up", rows, {})
        for row in rows:
            claim = store.claim(before.id, row.key)
            assert claim is not None
            kept = registrar.register(customers.locals[row.key], row)
            store.keep("partner", row.key, kept.document(), claim)
            store.release(claim)
        store.end(before)
        run = store.begin("partner", "up", rows, {})
        Looking(store, run, environ=environ).first()
        assert list(store.left(run)) == ["fabrikam"]


def test_many_users_own_consents_do_not_hide_the_tenants(registered: Customers) -> None:
    local, kept = registered.locals["contoso"], registered.kept["contoso"]
    grants = registered.graph("GET", f"/oauth2PermissionGrants?$filter=clientId eq '{kept.service_principal}'")["value"]
    people = registered.sandbox.new_people(local, *({"alias": f"p{n}", "mailbox": "user"} for n in range(101)))
    registered.graph("DELETE", f"/oauth2PermissionGrants/{kept.grant}")
    own = {"clientId": kept.service_principal, "resourceId": grants[0]["resourceId"], "scope": grants[0]["scope"]}
    for person in people:
        user = registered.graph("GET", f"/users/{person.user_principal_name}")["id"]
        registered.graph("POST", "/oauth2PermissionGrants", {**own, "consentType": "Principal", "principalId": user})
    assert [one.rule for one in registered.one().findings] == ["differs-consent"]
    registered.graph("POST", "/oauth2PermissionGrants", {**own, "consentType": "AllPrincipals"})
    assert registered.one().verdict == "unchanged"


def test_revoked_consent_is_drift(registered: Customers) -> None:
    registered.graph("DELETE", f"/oauth2PermissionGrants/{registered.kept['contoso'].grant}")
    outcome = registered.one()
    assert (outcome.verdict, [one.rule for one in outcome.findings]) == ("drifted", ["differs-consent"])


def test_a_removed_enterprise_application_is_drift(registered: Customers) -> None:
    registered.graph("DELETE", f"/servicePrincipals/{registered.kept['contoso'].service_principal}")
    outcome = registered.one()
    assert outcome.verdict == "drifted"
    assert "enterprise-application-missing" in [one.rule for one in outcome.findings]


def test_a_disabled_enterprise_application_is_drift(registered: Customers) -> None:
    path = f"/servicePrincipals/{registered.kept['contoso'].service_principal}"
    registered.graph("PATCH", path, {"accountEnabled": False})
    outcome = registered.one()
    assert (outcome.status, outcome.verdict) == ("pending", "drifted")
    assert "AADSTS7000112" in outcome.findings[0].message


def test_a_removed_secret_is_made_anew_by_the_engine(registered: Customers) -> None:
    kept = registered.kept["contoso"]
    path = f"/applications/{kept.application}/removePassword"
    registered.graph("POST", path, {"keyId": kept.secret_key_id})
    outcome = registered.one()
    assert (outcome.verdict, [one.rule for one in outcome.findings]) == ("drifted", ["secret-missing"])


def test_a_secret_that_ends_soon_is_told(registered: Customers) -> None:
    outcome = registered.one(within=timedelta(days=800))
    assert (outcome.verdict, outcome.findings[0].severity) == ("secret-ends", "warning")
    assert outcome.findings[0].remedy == "provision fleet rotate --tenant contoso"


def test_somebody_elses_secret_is_told_and_changes_nothing(registered: Customers) -> None:
    path = f"/applications/{registered.kept['contoso'].application}/addPassword"
    registered.graph("POST", path, {"passwordCredential": {"displayName": "by hand"}})
    outcome = registered.one()
    assert (outcome.status, [one.rule for one in outcome.findings]) == ("unchanged", ["secret-foreign"])


FOREIGN: dict[str, tuple[list[str], list[str]]] = {
    "somebody else's": (["by hand"], ["certificate-foreign"]),
    "two of them": (["by hand", "another"], ["certificate-foreign", "certificate-foreign"]),
    "this toolkit's": (["CLOUDEX TMS certificate A"], []),
}
"""Names of certificates, and what is told."""


@pytest.mark.parametrize("present", FOREIGN)
def test_somebody_elses_certificate_is_told_and_changes_nothing(registered: Customers, present: str) -> None:
    """Whoever has its key signs in as the product."""
    names, rules = FOREIGN[present]
    uploaded = [foreign_certificate(name) for name in names]
    path = f"/applications/{registered.kept['contoso'].application}"
    registered.graph("PATCH", path, {"keyCredentials": uploaded})
    outcome = registered.one()
    assert (outcome.status, [one.rule for one in outcome.findings]) == ("unchanged", rules)
    assert outcome.secret_ends == registered.kept["contoso"].secret_ends
    if rules:
        key_id = registered.graph("GET", path)["keyCredentials"][0]["keyId"]
        assert f"Somebody else made the certificate by hand ({key_id})." in [one.message for one in outcome.findings]


def test_a_certificate_does_not_stand_for_the_secret_that_is_missing(registered: Customers) -> None:
    """What the engine makes is a client secret, also where nothing is remembered of the one that was there."""
    kept = registered.kept["contoso"]
    registered.kept["contoso"] = replace(kept, secret_key_id=None)
    path = f"/applications/{kept.application}"
    registered.graph("PATCH", path, {"keyCredentials": [foreign_certificate("by hand")]})
    registered.graph("POST", f"{path}/removePassword", {"keyId": kept.secret_key_id})
    outcome = registered.one()
    assert (outcome.verdict, outcome.secret_ends) == ("drifted", None)
    assert {one.rule for one in outcome.findings} == {"secret-missing", "certificate-foreign"}


def test_two_registrations_are_for_a_person_and_not_for_the_engine(registered: Customers) -> None:
    kept = registered.kept["contoso"]
    tags = registered.graph("GET", f"/applications/{kept.application}")["tags"]
    registered.graph("POST", "/applications", {"displayName": "another", "tags": tags})
    outcome = registered.one()
    assert (outcome.status, outcome.verdict, outcome.client_id) == ("pending", "needs-attention", None)
    assert [(one.rule, one.severity) for one in outcome.findings] == [("registration-twice", "error")]
    asking = replace(registered.rows[0], sinks=("envfile:/srv/tms/mail.env",))
    assert registered.look([asking])["contoso"].verdict == "needs-attention"


def test_a_row_that_asks_for_something_else_is_told(registered: Customers) -> None:
    row = registered.rows[0]
    outcome = registered.look([replace(row, sinks=("envfile:/srv/tms/mail.env",))])["contoso"]
    assert (outcome.status, outcome.verdict) == ("pending", "settings-changed")


def test_one_tenants_refusal_leaves_the_others_alone(customers: Customers, registrar: Registrar) -> None:
    for key in ("contoso", "fabrikam"):
        row = customers.add(key)
        customers.kept[key] = registrar.register(customers.locals[key], row)
    customers.environment["SECRET_CONTOSO"] = "wrong"
    seen = customers.look()
    failure = seen["contoso"].failure
    assert failure is not None
    assert (failure.kind, failure.exit_code) == ("SignInFailed", 4)
    assert "the client secret in env:SECRET_CONTOSO is wrong (AADSTS7000215)" in failure.message
    assert "ARM_" not in failure.message + failure.remedy, "a variable that nobody in the fleet has set"
    assert seen["fabrikam"].status == "unchanged"


def test_one_tenants_defect_leaves_the_others_alone(
    customers: Customers, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("contoso", "fabrikam"):
        row = customers.add(key)
        customers.kept[key] = registrar.register(customers.locals[key], row)
    judged = audits.judge

    def broken(seen: audits.Seen) -> Outcome:
        if seen.tenant.key == "contoso":
            raise KeyError("what-graph-said")
        return judged(seen)

    monkeypatch.setattr(audits, "judge", broken)
    seen = customers.look()
    failure = seen["contoso"].failure
    assert failure is not None
    assert (failure.kind, failure.exit_code) == ("Defect", 1)
    assert "KeyError in test_audit.py" in failure.message
    assert "what-graph-said" not in failure.message
    assert seen["fabrikam"].status == "unchanged"


def test_throttling_is_waited_for(registered: Customers) -> None:
    registered.sandbox.set_faults(
        [{"match": {"path": "batch"}, "action": "status", "status": 429, "retry_after": 1, "count": 2}]
    )
    outcome = registered.one()
    assert (outcome.status, outcome.requests) == ("unchanged", 5)


def test_a_dropped_answer_is_asked_for_again(registered: Customers) -> None:
    registered.sandbox.set_faults([{"match": {"path": "batch"}, "action": "drop_after", "count": 1}])
    assert registered.one().status == "unchanged"


def test_what_stays_throttled_is_told_as_throttled(registered: Customers) -> None:
    registered.sandbox.set_faults(
        [{"match": {"path": "batch"}, "action": "status", "status": 429, "retry_after": 3600}]
    )
    failure = registered.one().failure
    assert failure is not None
    assert (failure.kind, failure.throttled, failure.exit_code) == ("Throttled", True, 7)


def test_what_the_engine_makes_is_unchanged_and_what_it_is_to_mend_is_drift(
    customers: Customers, tmp_path: Path
) -> None:
    row = customers.add("contoso")
    environ = environment(customers.sandbox, tmp_path) | customers.environment
    with closing(open_fleet_store(f"sqlite:///{tmp_path}/fleet.db", environ=environ)) as store:

        def up() -> Outcome:
            run = store.begin("partner", "up", [row], {})
            outcome = work_on(Job(run.id, "partner", "up", row), store, environ=environ, say=lambda _line: None)
            assert outcome.failure is None, outcome.failure
            customers.kept["contoso"] = Kept.of_document(store.kept("partner", "contoso"))
            return outcome

        assert up().verdict == "new"
        assert customers.one().verdict == "unchanged"
        application = customers.kept["contoso"].application
        customers.graph("PATCH", f"/applications/{application}", CHANGES["redirect"][0])
        assert customers.one().verdict == "drifted"
        assert up().status == "changed"
        assert customers.one().verdict == "unchanged"


def test_registrations_of_the_benches_are_as_the_engine_makes_them(
    customers: Customers, registrar: Registrar, trial: Trial
) -> None:
    row = customers.add("contoso")
    kept = registrar.register(customers.locals["contoso"], row)
    ours = application_of(customers.graph("GET", f"/applications/{kept.application}"))
    trial.up().check_returncode()
    theirs = application_of(trial.get("/applications?$filter=tags/any(t:t eq 'provision')")[0])
    own = {"object_id": "", "app_id": "", "created": None, "tags": (), "passwords": ()}
    assert replace(ours, **own) == replace(theirs, **own)
    assert len(ours.tags) == len(theirs.tags)
    assert [one.display_name for one in ours.passwords] == [one.display_name for one in theirs.passwords]
