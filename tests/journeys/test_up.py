"""The main job, from the command line: one registration, exactly as the help page wants it, again and again."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from trial import NAME, PROVISION, Found, Trial

from provision import errors
from provision.sandbox import Sandbox

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)
CALLBACK = "/ACME/Services/Office365Callback.aspx"


def provision(trial: Trial, *arguments: str):
    return trial.run([str(PROVISION), *arguments, "--stack", "sweep"])


def one_sentence(done, code: int) -> str:
    """The refusal: its exit code, one sentence and a remedy, never a traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("provision: "))


def change(trial: Trial, path: str, body: dict[str, object]) -> None:
    """What somebody does behind the state's back."""
    assert trial.request("PATCH", path, body).status_code == 204


def test_up_makes_what_the_help_page_asks_for_and_up_again_changes_nothing(trial: Trial) -> None:
    first = trial.up()
    assert first.returncode == 0, first.stderr
    assert trial.found() == ONE
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    assert app["web"]["redirectUris"] == [trial.sandbox.base_url + CALLBACK]
    assert app["web"]["implicitGrantSettings"] == {"enableAccessTokenIssuance": True, "enableIdTokenIssuance": True}
    assert app["spa"]["redirectUris"] == app["publicClient"]["redirectUris"] == []
    assert app["signInAudience"] == "AzureADMyOrg"
    assert not app["isFallbackPublicClient"]
    assert {access["type"] for access in app["requiredResourceAccess"][0]["resourceAccess"]} == {"Scope"}
    before = len(trial.sandbox.log())
    unchanged = provision(trial, "preview", "--expect-no-changes")
    assert (unchanged.returncode, unchanged.stdout.strip()) == (0, "nothing would change")
    assert trial.up().returncode == 0
    wrote = [r for r in trial.sandbox.log()[before:] if r["method"] in {"POST", "PATCH", "DELETE"}]
    assert [r["path"] for r in wrote if "/token" not in r["path"]] == []


def test_plain_pulumi_and_provision_share_program_and_state(trial: Trial) -> None:
    assert trial.up().returncode == 0
    line, environment = trial.pulumi("preview", "--stack", "sweep", "--expect-no-changes", "--non-interactive")
    done = trial.run(line, environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_cloud_is_looked_up_once_for_the_command_and_the_program(trial: Trial) -> None:
    """Plain Pulumi's program and plugin ask the metadata host; the command hands its answer to the same program."""
    assert trial.up().returncode == 0

    def asked(command: list[str], environment: dict[str, str]) -> int:
        before = len(trial.sandbox.log())
        done = trial.run(command, environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return len([r for r in trial.sandbox.log()[before:] if r["path"].startswith("/metadata/endpoints")])

    plain = asked(*trial.pulumi("preview", "--stack", "sweep", "--non-interactive"))
    assert asked([str(PROVISION), "preview", "--stack", "sweep"], trial.environment) == plain


def test_a_changed_company_code_is_an_update_in_place(trial: Trial) -> None:
    trial.up()
    before = trial.outputs()
    moved = trial.sandbox.base_url + CALLBACK.replace("ACME", "Acme-2")
    done = provision(trial, "up", "--company-code", "Acme-2", "--redirect-uri", moved)
    assert done.returncode == 0, done.stderr
    after = trial.outputs()
    assert after["redirectUri"] == moved
    assert (after["clientId"], after["clientSecret"]) == (before["clientId"], before["clientSecret"])


def test_what_somebody_changed_in_the_portal_is_seen_and_put_right(trial: Trial) -> None:
    trial.up()
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    change(trial, f"/applications/{app['id']}", {"web": {"redirectUris": ["https://my.cloudex.app/wrong"]}})
    assert provision(trial, "refresh").returncode == 0
    seen = provision(trial, "preview", "--expect-no-changes")
    assert seen.returncode == 1
    assert "update" in seen.stdout
    assert trial.up().returncode == 0
    healed = trial.get(f"/applications?$filter=appId eq '{app['appId']}'")[0]
    assert healed["web"]["redirectUris"] == [trial.sandbox.base_url + CALLBACK]


def test_destroy_leaves_nothing(trial: Trial) -> None:
    trial.up()
    client = trial.outputs()["clientId"]
    assert provision(trial, "destroy", "--yes").returncode == 0
    assert trial.get(f"/applications?$filter=appId eq '{client}'") == []
    assert trial.get(f"/servicePrincipals?$filter=appId eq '{client}'") == []


def test_the_secret_shows_only_on_request(trial: Trial) -> None:
    done = trial.up()
    secret = str(trial.outputs()["clientSecret"])
    for arguments in (("outputs",), ("outputs", "--json"), ("outputs", "--env"), ("preview",)):
        shown = provision(trial, *arguments)
        assert secret not in shown.stdout + shown.stderr
    assert secret not in done.stdout + done.stderr
    assert f"MAIL_CLIENT_SECRET={secret}" in provision(trial, "outputs", "--env", "--show-secrets").stdout.replace(
        "'", ""
    )
    for file in (trial.project / "data").rglob("*"):
        assert not file.is_file() or secret not in file.read_text(errors="replace"), f"{file} holds the secret"


def test_handoff_writes_a_private_file_once(trial: Trial) -> None:
    trial.up()
    file = trial.project / "for-the-product.txt"
    assert provision(trial, "handoff", str(file)).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = trial.outputs()
    assert all(str(values[name]) in file.read_text() for name in ("tenantId", "clientId", "clientSecret"))
    assert "already exists" in one_sentence(provision(trial, "handoff", str(file)), errors.WouldOverwrite.exit_code)


def test_a_secret_kept_out_of_the_state_goes_to_its_file_alone(trial: Trial) -> None:
    file = trial.project / "secret.txt"
    done = trial.run([*trial.up_command(), "--secret-in-state", "false", "--sink", f"file:{file}"])
    assert done.returncode == 0, done.stderr
    value = file.read_text().strip()
    outputs = trial.outputs()
    assert outputs.get("clientSecret") is None
    assert trial.token(str(outputs["clientId"]), value)
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    assert [p["keyId"] for p in app["passwordCredentials"]] == [outputs["secretKeyId"]]
    line, environment = trial.pulumi("stack", "export", "--stack", "sweep", "--show-secrets")
    assert value not in trial.run(line, environment).stdout
    again = trial.up()
    assert again.returncode == 0, again.stderr
    assert file.read_text().strip() == value
    assert len(next(a for a in trial.get("/applications") if a["displayName"] == NAME)["passwordCredentials"]) == 1


def test_a_taken_secret_file_is_refused_before_a_secret_is_made(trial: Trial) -> None:
    file = trial.project / "secret.txt"
    file.write_text("last year's")
    file.chmod(0o600)
    done = trial.run([*trial.up_command(), "--secret-in-state", "false", "--sink", f"file:{file}"])
    one_sentence(done, errors.WouldOverwrite.exit_code)
    assert file.read_text() == "last year's"
    assert [a for a in trial.get("/applications") if a["displayName"] == NAME and a["passwordCredentials"]] == []


@pytest.mark.parametrize("sink", [(), ("--sink", "file:/nowhere/secret")])
def test_turning_the_setting_does_not_take_the_secret_in_use_away(trial: Trial, sink: tuple[str, ...]) -> None:
    trial.up()
    before = trial.outputs()
    done = trial.run([*trial.up_command(), "--secret-in-state", "false", *sink])
    assert "the product would lose it" in one_sentence(done, errors.InvalidInput.exit_code)
    assert "provision secrets move --to graph" in done.stderr
    assert trial.token(str(before["clientId"]), str(before["clientSecret"]))
    assert trial.up().returncode == 0
    assert trial.outputs() == before


def test_a_secret_kept_out_of_the_state_needs_a_place_before_anything_is_made(trial: Trial) -> None:
    done = trial.run([*trial.up_command(), "--secret-in-state", "false"])
    assert "needs a place" in one_sentence(done, errors.InvalidInput.exit_code)
    assert [a for a in trial.get("/applications") if a["displayName"] == NAME] == []


def test_a_new_stack_brings_its_secret_where_it_is_used(trial: Trial) -> None:
    file = trial.project / "mail.env"
    done = trial.run([*trial.up_command(), "--sink", f"envfile:{file}"])
    assert done.returncode == 0, done.stderr
    assert file.read_text() == f"MAIL_CLIENT_SECRET={trial.outputs()['clientSecret']}\n"


def test_preview_keeps_nothing_of_what_it_was_asked(trial: Trial) -> None:
    """A look at what a setting would do must not make the next ``up``, perhaps a pipeline's, do it."""
    line = [*trial.up_command()[:1], "preview", *trial.up_command()[2:]]
    assert "create" in trial.run(line).stdout
    assert "office365-mail" not in (trial.project / "Pulumi.sweep.yaml").read_text()
    trial.up()
    settings = (trial.project / "Pulumi.sweep.yaml").read_text()
    done = trial.run([*line, "--display-name", "Something else"])
    assert "Application" in done.stdout, done.stderr
    assert (trial.project / "Pulumi.sweep.yaml").read_text() == settings
    assert provision(trial, "preview", "--expect-no-changes").returncode == 0


@pytest.mark.parametrize("settings", [True, False])
@pytest.mark.parametrize("flags", [(), ("--yes",)])
def test_destroying_a_stack_that_is_not_there_says_so_and_asks_nothing(
    trial: Trial, flags: tuple[str, ...], settings: bool
) -> None:
    """Nobody types the name of a stack to be told afterwards that there is none; settings left behind are no stack."""
    if settings:
        (trial.project / "Pulumi.typo.yaml").write_text("config:\n  office365-mail:companyCode: ACME\n")
    done = trial.run([str(PROVISION), "destroy", "--stack", "typo", *flags])
    assert "no stack typo" in one_sentence(done, errors.StateUnavailable.exit_code)
    assert "Type the stack's name" not in done.stderr


@pytest.mark.parametrize("command", ["refresh", "preview", "destroy"])
def test_a_tenant_named_for_one_run_is_not_kept(trial: Trial, command: str) -> None:
    """``up`` and ``adopt`` keep what they are told; the help says of the others that it counts for the run."""
    assert trial.up().returncode == 0
    settings = (trial.project / "Pulumi.sweep.yaml").read_text()
    done = provision(trial, command, *(["--yes"] if command == "destroy" else []), "--tenant", trial.tenant.domain)
    assert done.returncode == 0, done.stderr
    kept = (trial.project / "Pulumi.sweep.yaml").read_text()
    assert trial.tenant.domain not in kept
    assert f"azuread:tenantId: {trial.tenant.tenant_id}" in kept
    assert command == "destroy" or kept == settings


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--company-code", "YourCompanyCode"), errors.InvalidInput, "placeholder"),
        (("--company-code", "A CME"), errors.InvalidInput, "space"),
        (("--company-code", "\u0410CME"), errors.InvalidInput, "CYRILLIC"),
        (
            ("--redirect-uri", "https://my.cloudex.app/ACME/services/Office365Callback.aspx"),
            errors.InvalidInput,
            "case",
        ),
        (("--redirect-uri", "https://my.cloudex.ap/ACME/Services/Office365Callback.aspx"), errors.InvalidInput, "host"),
        (("--profile", "nosuch"), errors.InvalidInput, "nosuch"),
        (("--tenant", "nobody.onmicrosoft.com"), errors.SignInFailed, "tenant"),
        (("--metadata-host", "localhost:9"), errors.Unreachable, "refused"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_created(
    trial: Trial, arguments: tuple[str, ...], code: type[errors.ProvisionError], word: str
) -> None:
    sentence = one_sentence(trial.run([*trial.up_command(), *arguments]), code.exit_code)
    assert word.lower() in sentence.lower()
    assert trial.get("/applications?$filter=displayName eq 'CLOUDEX TMS Email Integration'") == []
    assert not (trial.project / "Pulumi.sweep.yaml").exists(), "what was refused is not kept"


def test_signed_in_to_another_customer_is_refused_and_both_are_named(trial: Trial, sandbox: Sandbox) -> None:
    other = sandbox.new_tenant()
    trial.environment["AZURE_TENANT_ID"] = other.tenant_id
    done = trial.run([*trial.up_command(), "--tenant", other.domain])
    sentence = one_sentence(done, errors.SignInFailed.exit_code)
    assert other.domain in sentence or other.tenant_id in sentence


def test_an_untrusted_certificate_is_said_as_such(trial: Trial, tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        trial.environment[name] = "/etc/ssl/certs/ca-certificates.crt"
    assert "not trusted" in one_sentence(trial.up(), errors.Unreachable.exit_code)


def test_an_expired_sign_in_says_so(trial: Trial) -> None:
    trial.environment["ARM_CLIENT_SECRET"] = "wrong"
    assert "secret" in one_sentence(trial.up(), errors.SignInFailed.exit_code)


def test_a_wrong_passphrase_is_one_sentence_and_nothing_is_lost(trial: Trial) -> None:
    trial.up()
    values = trial.outputs()
    trial.environment["PULUMI_CONFIG_PASSPHRASE"] = "not the one"
    assert "passphrase" in one_sentence(trial.up(), errors.StateUnavailable.exit_code)
    del trial.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert trial.outputs() == values


def test_without_the_right_to_consent_everything_else_is_done(trial: Trial) -> None:
    trial.restrict_admin("DelegatedPermissionGrant.ReadWrite.All")
    done = trial.up()
    assert done.returncode == errors.ConsentPending.exit_code, done.stderr
    assert f"{trial.sandbox.base_url}/{trial.tenant.tenant_id}/adminconsent?client_id=" in done.stdout
    outputs = trial.outputs()
    assert trial.token(str(outputs["clientId"]), str(outputs["clientSecret"]))
    assert trial.up().returncode == errors.ConsentPending.exit_code


def test_consent_is_given_and_never_taken_away(trial: Trial) -> None:
    """Turned off after the fact, the option leaves the tenant's consent alone and says who can revoke it and where."""
    assert trial.up().returncode == 0
    trial.run(*trial.pulumi("config", "set", "grantConsent", "false", "--stack", "sweep")).check_returncode()
    unchanged = provision(trial, "preview", "--expect-no-changes")
    assert unchanged.returncode == 0, unchanged.stdout
    kept = trial.up()
    assert kept.returncode == 0, kept.stderr
    assert "Revoke it in the Entra admin center: Enterprise applications" in kept.stderr
    assert trial.found() == ONE


def test_consent_that_somebody_revoked_is_asked_for_and_never_in_the_way(trial: Trial) -> None:
    """Microsoft answers 404 to the removal of what is gone: neither ``up`` nor ``destroy`` may try."""
    assert trial.up().returncode == 0
    trial.run(*trial.pulumi("config", "set", "grantConsent", "false", "--stack", "sweep")).check_returncode()
    client = trial.outputs()["clientId"]
    principal = trial.get(f"/servicePrincipals?$filter=appId eq '{client}'")[0]
    grants = f"/oauth2PermissionGrants?$filter=clientId eq '{principal['id']}'"
    (grant,) = trial.get(grants)
    trial.request("DELETE", f"/oauth2PermissionGrants/{grant['id']}").raise_for_status()
    revoked = trial.up()
    assert revoked.returncode == errors.ConsentPending.exit_code, revoked.stderr
    assert "/adminconsent?client_id=" in revoked.stdout
    assert trial.get(grants) == []

    given = {name: grant[name] for name in ("clientId", "resourceId", "consentType", "scope")}
    again = trial.request("POST", "/oauth2PermissionGrants", given).raise_for_status().json()
    taken_over = trial.up()
    assert taken_over.returncode == 0, taken_over.stderr
    trial.request("DELETE", f"/oauth2PermissionGrants/{again['id']}").raise_for_status()
    gone = provision(trial, "destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert [a for a in trial.get("/applications") if a["displayName"] == NAME] == []
    assert [g for g in trial.get("/oauth2PermissionGrants") if g["clientId"] == principal["id"]] == []


def test_consent_outlives_a_tag_that_somebody_removed(trial: Trial) -> None:
    """The command knows the registration from the state; plain Pulumi does not see it, and lets its consent be."""
    assert trial.up().returncode == 0
    (app,) = [a for a in trial.get("/applications") if a["displayName"] == NAME]
    change(trial, f"/applications/{app['id']}", {"tags": []})
    trial.run(*trial.pulumi("config", "set", "grantConsent", "false", "--stack", "sweep")).check_returncode()
    assert trial.up().returncode == 0
    assert trial.found() == ONE
    plain = trial.run(*trial.pulumi("up", "--yes", "--skip-preview", "--non-interactive", "--stack", "sweep"))
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert trial.outputs()["consentGranted"] is False
    assert trial.found() == ONE


def test_a_policy_that_caps_the_lifetime_is_obeyed_and_said(trial: Trial) -> None:
    trial.set_password_policy([{"restrictionType": "passwordLifetime", "maxLifetime": "P90D", "state": "enabled"}])
    done = trial.up()
    assert done.returncode == 0, done.stderr
    assert "90 days" in done.stderr
    assert provision(trial, "preview", "--expect-no-changes").returncode == 0


def test_a_policy_that_forbids_secrets_ends_before_anything_is_made(trial: Trial) -> None:
    trial.set_password_policy([{"restrictionType": "passwordAddition", "state": "enabled"}])
    assert "forbids" in one_sentence(trial.up(), errors.PolicyRefuses.exit_code)
    assert [a for a in trial.get("/applications") if a["displayName"] == NAME] == []


def test_adopt_takes_over_a_clicked_registration_without_recreating_it(trial: Trial) -> None:
    clicked = trial.click()
    done = trial.run([*trial.up_command()[:1], "adopt", *trial.up_command()[2:], "--client-id", clicked])
    assert done.returncode == 0, done.stderr
    assert "Redirect URIs (single-page application)" in done.stdout
    healed = trial.up()
    assert healed.returncode == 0, healed.stderr
    outputs = trial.outputs()
    assert outputs["clientId"] == clicked
    app = trial.get(f"/applications?$filter=appId eq '{clicked}'")[0]
    assert app["spa"]["redirectUris"] == []
    assert app["web"]["redirectUris"] == [trial.sandbox.base_url + CALLBACK]
    assert {p["displayName"] for p in app["passwordCredentials"]} == {"clicked", "CLOUDEX Secret A"}
    principal = trial.get(f"/servicePrincipals?$filter=appId eq '{clicked}'")[0]
    grants = trial.get(f"/oauth2PermissionGrants?$filter=clientId eq '{principal['id']}'")
    assert [set(g["scope"].split()) for g in grants] == [{"Mail.Send", "User.Read", "offline_access", "Calendars.Read"}]
    assert provision(trial, "preview", "--expect-no-changes").returncode == 0


def test_adopting_what_is_not_there_is_one_sentence(trial: Trial) -> None:
    line = [*trial.up_command()[:1], "adopt", *trial.up_command()[2:]]
    done = trial.run([*line, "--client-id", "00000000-1111-2222-3333-444444444444"])
    assert "no app registration" in one_sentence(done, errors.InvalidInput.exit_code)


def test_adopting_without_the_right_to_consent_leaves_the_tenants_consent_alone(trial: Trial) -> None:
    """The registration bears no tag yet: its consent must be seen all the same, or ``up`` would take it away."""
    clicked = trial.click()
    trial.restrict_admin("DelegatedPermissionGrant.ReadWrite.All")
    assert trial.run([str(PROVISION), "adopt", *trial.up_command()[2:], "--client-id", clicked]).returncode == 0
    done = trial.up()
    assert done.returncode == errors.ConsentPending.exit_code, done.stderr
    principal = trial.get(f"/servicePrincipals?$filter=appId eq '{clicked}'")[0]
    grants = trial.get(f"/oauth2PermissionGrants?$filter=clientId eq '{principal['id']}'")
    assert [set(g["scope"].split()) for g in grants] == [{"User.Read", "Calendars.Read"}]


def test_a_stack_adopts_one_registration_and_no_other_stacks(trial: Trial) -> None:
    trial.up()
    own = str(trial.outputs()["clientId"])
    flags = ["--profile", "cloudex", *trial.up_command()[6:]]
    stolen = trial.run([str(PROVISION), "adopt", "--stack", "other", *flags, "--client-id", own])
    assert "office365-mail/sweep" in one_sentence(stolen, errors.InvalidInput.exit_code)
    second = trial.run([str(PROVISION), "adopt", *trial.up_command()[2:], "--client-id", trial.click()])
    assert "already" in one_sentence(second, errors.InvalidInput.exit_code)
    assert provision(trial, "preview", "--expect-no-changes").returncode == 0


def test_json_outputs_are_the_documented_names(trial: Trial) -> None:
    trial.up()
    outputs = json.loads(provision(trial, "outputs", "--json").stdout)
    documented = {"tenantId", "clientId", "clientSecret", "secretExpires", "secretKeyId", "redirectUri"}
    assert documented | {"adminConsentUrl", "scopes"} <= set(outputs)
    assert outputs["clientSecret"] == "[secret]"
