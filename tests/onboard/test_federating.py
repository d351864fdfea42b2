"""Federation against the local tenant: what is added, what is refused before anything is sent, what proves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from provision.errors import InvalidInput, SignInFailed
from provision.microsoft.graph import Graph
from provision.onboard.federating import Federation, Trust, federated, list_all, remove
from provision.onboard.finding import Found
from provision.sandbox import Sandbox, Tenant
from provision.settings import profile as profiles
from provision.settings.endpoints import Endpoints
from provision.settings.stack import StackSettings

SUBJECT = "repo:contoso/mail:ref:refs/heads/main"


@pytest.fixture
def found(graph: Graph, api: httpx.Client, endpoints: Endpoints, tenant: Tenant) -> Found:
    made = api.post("/v1.0/applications", json={"displayName": "Mail"}).raise_for_status().json()
    api.post("/v1.0/servicePrincipals", json={"appId": made["appId"]}).raise_for_status()
    application = graph.application(made["id"])
    assert application is not None
    return Found(application, graph, endpoints, tenant.tenant_id, profiles.load("cloudex", beside=Path.cwd()))


@pytest.fixture
def issuer(sandbox: Sandbox) -> str:
    return f"{sandbox.base_url}/_oidc/github"


def asked(found: Found, trust: Trust, file: Path | None = None, *, dry_run: bool = False, **environ: str) -> Federation:
    return federated(found, trust, token_file=file, dry_run=dry_run, say=lambda _: None, environ=environ)


def test_it_is_added_proven_and_the_second_time_nothing_is_to_do(
    found: Found, issuer: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(sandbox.ci_token("github", SUBJECT))
    first = asked(found, Trust(issuer, SUBJECT), token)
    assert (first.changed, first.proven) == (True, True)
    (there,) = first.there
    assert (there.name, there.subject, there.audiences) == (
        "repo-contoso-mail-ref-refs-heads-main",
        SUBJECT,
        ("api://AzureADTokenExchange",),
    )
    second = asked(found, Trust(issuer, SUBJECT))
    assert (second.changed, second.proven, second.there) == (False, False, [there])
    assert second.said.startswith("nothing to do: ")
    assert list_all(found).there == [there]


def test_a_pipelines_own_token_proves_it_when_it_is_of_that_issuer(found: Found, issuer: str, sandbox: Sandbox) -> None:
    environ = {"ARM_OIDC_TOKEN": sandbox.ci_token("github", SUBJECT)}
    assert asked(found, Trust(issuer, SUBJECT), **environ).proven
    other = asked(found, Trust(issuer, "repo:contoso/mail:environment:live"), **environ)
    assert (other.changed, other.proven) == (True, False)
    assert "not proven" in other.said


def test_one_of_the_same_name_is_changed_in_place(found: Found, issuer: str) -> None:
    (before,) = asked(found, Trust(issuer, SUBJECT, name="pipeline")).there
    (after,) = asked(found, Trust(issuer, "repo:contoso/mail:environment:live", name="pipeline")).there
    assert after == replace(before, subject="repo:contoso/mail:environment:live")


def test_a_dry_run_says_and_changes_nothing(found: Found, issuer: str) -> None:
    done = asked(found, Trust(issuer, SUBJECT), dry_run=True)
    assert done.said.startswith("a run would add repo-contoso-mail-ref-refs-heads-main: ")
    assert not done.changed
    assert list_all(found).there == []


@pytest.mark.parametrize(
    ("trust", "complaint"),
    [
        (Trust("https://a.example", "repo:contoso/*"), "holds a wildcard"),
        (Trust("http://a.example", SUBJECT), "is not an https address"),
        (Trust("https://a.example ", SUBJECT), "without blanks around it"),
        (Trust("https://a.example", "s" * 601), "is not 1 to 600 printable characters"),
        (Trust("https://a.example", ""), "is not 1 to 600"),
        (Trust("https://a.example", SUBJECT, name="ab"), "is no name for a federated credential"),
        (Trust("https://a.example", SUBJECT, name="a/b"), "is no name for a federated credential"),
    ],
)
def test_what_entra_refuses_is_said_before_anything_is_sent(found: Found, trust: Trust, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        asked(found, trust)
    assert list_all(found).there == []


def test_a_pair_that_is_there_under_another_name_is_refused(found: Found) -> None:
    asked(found, Trust("https://a.example", SUBJECT, name="first"))
    with pytest.raises(InvalidInput, match="already, under the name first"):
        asked(found, Trust("https://a.example", SUBJECT, name="second"))


def test_the_twenty_first_is_refused(found: Found, api: httpx.Client) -> None:
    for number in range(20):
        body = {"name": f"n-{number}", "issuer": "https://a.example", "subject": str(number), "audiences": ["api://x"]}
        api.post(f"/v1.0/applications/{found.application.object_id}/federatedIdentityCredentials", json=body)
    with pytest.raises(InvalidInput, match="has 20 federated credentials"):
        asked(found, Trust("https://a.example", SUBJECT))
    changed = asked(found, Trust("https://a.example", SUBJECT, name="n-7"))
    assert changed.changed


@pytest.mark.parametrize(
    ("trust", "complaint"),
    [
        ({"subject": SUBJECT.upper()}, "has the subject .*: letter case counts"),
        ({"subject": "repo:other"}, "has the subject .*, not repo:other"),
        ({"audience": "api://other"}, "has the audience"),
        ({"issuer": "https://a.example"}, "has the issuer"),
    ],
)
def test_a_token_that_would_never_match_is_said_before_anything_is_sent(
    found: Found, issuer: str, sandbox: Sandbox, tmp_path: Path, trust: dict[str, str], complaint: str
) -> None:
    token = tmp_path / "token"
    token.write_text(sandbox.ci_token("github", SUBJECT))
    wanted = Trust(**{"issuer": issuer, "subject": SUBJECT, **trust})
    with pytest.raises(InvalidInput, match=complaint):
        asked(found, wanted, token)
    assert list_all(found).there == []


def test_a_file_without_a_token_is_said(found: Found, issuer: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("rubbish")
    with pytest.raises(InvalidInput, match="does not hold a token"):
        asked(found, Trust(issuer, SUBJECT), tmp_path / "token")
    with pytest.raises(InvalidInput, match="cannot be read"):
        asked(found, Trust(issuer, SUBJECT), tmp_path / "none")


def test_a_token_that_entra_does_not_accept_names_what_to_take_away(
    found: Found, issuer: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(sandbox.ci_token("github", SUBJECT, lifetime=-900))
    from provision.microsoft import proof

    def impatient(*arguments: object, **named: object) -> object:
        return proof.prove(*arguments, **{**named, "seconds": 0.5})  # type: ignore[arg-type]

    monkeypatch.setattr("provision.onboard.federating.prove", impatient)
    with pytest.raises(SignInFailed) as refused:
        asked(found, Trust(issuer, SUBJECT), token)
    assert "--remove repo-contoso-mail-ref-refs-heads-main" in refused.value.remedy


def test_removal_is_by_name_and_repeatable(found: Found) -> None:
    asked(found, Trust("https://a.example", SUBJECT, name="first"))
    assert not remove(found, "First", dry_run=True).changed
    assert remove(found, "First", dry_run=False).there == []
    assert remove(found, "first", dry_run=False).said.startswith("nothing to do: ")


def test_what_a_stacks_settings_describe_is_pulumis(found: Found) -> None:
    own = StackSettings(
        profile=found.profile,
        federated_name="own",
        federated_issuer="https://a.example",
        federated_subject=SUBJECT,
    )
    stacks = replace(found, stack="contoso", settings=own)
    for trust in (Trust("https://a.example", SUBJECT), Trust("https://b.example", SUBJECT, name="Own")):
        with pytest.raises(InvalidInput, match="in the settings of the stack contoso, so Pulumi owns it"):
            asked(stacks, trust)
    assert asked(stacks, Trust("https://b.example", SUBJECT, name="another")).changed
    asked(
        replace(stacks, settings=StackSettings(profile=found.profile)), Trust("https://a.example", SUBJECT, name="own")
    )
    with pytest.raises(InvalidInput, match="Pulumi owns it"):
        remove(stacks, "own", dry_run=False)
    assert not asked(stacks, Trust("https://a.example", SUBJECT)).changed, "it is there as the settings describe it"


def test_a_stacks_registration_is_not_changed_behind_its_back(found: Found) -> None:
    application = replace(found.application, tags=("provision:stack:office365-mail/contoso#1",))
    with pytest.raises(InvalidInput, match="registration of the stack office365-mail/contoso") as refused:
        asked(replace(found, application=application), Trust("https://a.example", SUBJECT))
    assert refused.value.remedy == "Name the stack instead: --stack contoso"
