"""A GitHub Actions secret is encrypted for its place, written, and known again by its date."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk, certificates_arrive
from github_actions import GitHub, Secret, Token
from tls_server import Reply

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, Sink, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
REPOSITORY = "/repos/acme/tms/actions/secrets"
ORGANIZATION = "/orgs/acme/actions/secrets"
NAME = "MAIL_CLIENT_SECRET"
LONG_AGO = "2020-01-10T10:59:22Z"


def delivery(value: str = VALUE) -> Delivery:
    return Delivery("tenant-1", "client-1", "k-1", datetime(2099, 1, 1, tzinfo=UTC), value)


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path / "tls") as server:
        yield server


@pytest.fixture
def sink(github: GitHub) -> Sink:
    return open_sink(f"github:acme/tms#{NAME}", github.environ)


def test_a_repositorys_secret_is_written_and_seen_by_its_date(github: GitHub, sink: Sink) -> None:
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    secret = github.secrets[REPOSITORY][NAME]
    assert secret.value == VALUE
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == (None, None, secret.updated_at)
    sink.remove()
    assert sink.stored() is None
    sink.remove()
    assert not any(VALUE.encode() in request.body for request in github.requests)


def test_two_writes_one_after_the_other_have_different_dates(github: GitHub, sink: Sink) -> None:
    """GitHub's dates are of whole seconds; a rotation knows by the date alone that its value arrived."""
    sink.write(delivery())
    before = sink.stored() or pytest.fail()
    sink.write(delivery("b" * 40))
    after = sink.stored() or pytest.fail()
    assert after.changed != before.changed
    assert github.secrets[REPOSITORY][NAME].value == "b" * 40


@pytest.mark.parametrize("kind", ["certificate"])
def test_a_certificate_is_a_secret_of_several_lines(desk: Desk, github: GitHub) -> None:
    """A workflow finds it in the variable that its ``env`` names, line breaks and all."""
    sink = open_sink(f"github:acme/tms#{NAME}", github.environ, kind="certificate")
    certificates_arrive(desk, sink, lambda: github.secrets[REPOSITORY][NAME].value)
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.changed) == (None, github.secrets[REPOSITORY][NAME].updated_at)
    assert not any(b"PRIVATE KEY" in request.body for request in github.requests)


def test_an_environments_secret_has_a_path_of_its_own(github: GitHub) -> None:
    sink = open_sink(f"github:acme/tms@blue%2Fgreen%20test#{NAME}", github.environ)
    sink.check()
    sink.write(delivery())
    assert github.secrets["/repos/acme/tms/environments/blue%2Fgreen%20test/secrets"][NAME].value == VALUE
    assert sink.address == f"github:acme/tms@blue%2Fgreen%20test#{NAME}"
    with pytest.raises(NotPermitted, match="shows no secrets of the environment staging of acme/tms"):
        open_sink(f"github:acme/tms@staging#{NAME}", github.environ).check()


def test_who_may_use_an_organizations_secret_stays_as_it_was(github: GitHub) -> None:
    github.tokens["org"] = Token(frozenset({"organization_secrets:write"}))
    sink = open_sink(f"github:acme#{NAME}", github.environ | {"GITHUB_TOKEN": "org"})
    sink.write(delivery())
    assert github.secrets[ORGANIZATION][NAME].visibility == "private", "of a new one: not the public repositories"
    for visibility, selected in (("all", []), ("selected", list(range(1, 251)))):
        github.secrets[ORGANIZATION][NAME] = Secret("old", LONG_AGO, LONG_AGO, visibility, selected)
        sink.write(delivery())
        secret = github.secrets[ORGANIZATION][NAME]
        assert (secret.value, secret.visibility, secret.selected) == (VALUE, visibility, selected)


def test_an_app_gets_a_token_for_the_secrets_of_this_repository_alone(github: GitHub, tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_bytes(github.app_pem)
    file.chmod(0o600)
    environ = {k: v for k, v in github.environ.items() if k != "GITHUB_TOKEN"}
    environ |= {"GITHUB_APP_ID": "99", "GITHUB_APP_PRIVATE_KEY_FILE": str(file)}
    sink = open_sink(f"github:acme/tms#{NAME}", environ)
    sink.write(delivery())
    assert github.secrets[REPOSITORY][NAME].value == VALUE
    asked = next(request for request in github.requests if request.target.endswith("access_tokens"))
    assert asked.document == {"permissions": {"secrets": "write"}, "repositories": ["tms"]}

    github.app_permissions = frozenset({"metadata:read"})
    with pytest.raises(NotPermitted, match="App 99 has no permission to write the secrets of acme/tms"):
        sink.check()
    github.app_permissions = None
    with pytest.raises(SignInFailed, match="App 99 is not installed at acme/tms"):
        sink.check()
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match=r"others \(mode 0644\)"):
        sink.check()
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for wrong in (b"no key", other):
        file.write_bytes(wrong)
        file.chmod(0o600)
        with pytest.raises(InvalidInput, match="holds no RSA private key"):
            sink.check()


def test_gh_token_serves_as_for_githubs_own_command(github: GitHub) -> None:
    environ = {k: v for k, v in github.environ.items() if k != "GITHUB_TOKEN"}
    open_sink(f"github:acme/tms#{NAME}", environ | {"GH_TOKEN": "github_pat_all"}).check()
    with pytest.raises(SignInFailed, match=r"There is no sign-in to localhost:\d+"):
        open_sink(f"github:acme/tms#{NAME}", environ).check()


def test_a_right_that_is_missing_is_named(github: GitHub, sink: Sink) -> None:
    github.tokens["github_pat_all"] = Token(frozenset({"secrets:read"}))
    sink.check()
    with pytest.raises(NotPermitted, match="Resource not accessible by personal access token") as refused:
        sink.write(delivery())
    assert '"Secrets: read and write"' in refused.value.remedy
    github.tokens["github_pat_all"] = Token(kind="integration")
    with pytest.raises(NotPermitted, match="by integration"):
        sink.check()


def test_a_classic_tokens_scopes_are_looked_at_before_a_secret_is_made(github: GitHub, sink: Sink) -> None:
    github.tokens["github_pat_all"] = Token(scopes="gist, repo")
    sink.check()
    github.tokens["github_pat_all"] = Token(scopes="gist, public_repo")
    with pytest.raises(NotPermitted, match="acme/tms: it is not there, or the token may not see it"):
        sink.check()
    # A public repository shows its key to every token; only the scopes say that a write would fail.
    key = {"key_id": "1", "key": "a"}
    github.weather = [Reply(200, key), Reply(404, {"message": "Not Found"}, {"X-OAuth-Scopes": "gist, public_repo"})]
    with pytest.raises(NotPermitted, match="it lacks the scope repo"):
        sink.check()


def test_an_expired_token_and_a_wrong_place(github: GitHub, sink: Sink) -> None:
    with pytest.raises(NotPermitted, match="shows no secrets of acme/other"):
        open_sink(f"github:acme/other#{NAME}", github.environ).stored()
    github.tokens.clear()
    for doing in (sink.check, sink.stored, sink.remove, lambda: sink.write(delivery())):
        with pytest.raises(SignInFailed, match=r"does not accept the sign-in \(Bad credentials\)"):
            doing()


def test_single_sign_on_is_named(github: GitHub, sink: Sink) -> None:
    github.tokens["github_pat_all"].sso = "required; url=https://github.com/orgs/acme/sso?authorization_request=A"
    with pytest.raises(NotPermitted, match="authorized for single sign-on of acme") as refused:
        sink.check()
    assert "Configure SSO" in refused.value.remedy


SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(403, {"message": SECONDARY}, {"Retry-After": "60"}), Unreachable, "Run again in 60 seconds"),
        (Reply(403, {"message": SECONDARY}), Unreachable, "Run again in some minutes"),
        (Reply(429, {"message": SECONDARY}), Unreachable, "takes no further request for now"),
        (
            Reply(
                403,
                {"message": "API rate limit exceeded for user ID 1."},
                {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1893456000"},
            ),
            Unreachable,
            "Run again after 00:00 UTC",
        ),
        (Reply(403, {"message": "Repository was archived so is read-only."}), NotPermitted, "archived so is read-only"),
        (Reply(301, {"message": "Moved Permanently"}, {"Location": "https://x.example"}), InvalidInput, "has moved"),
        (Reply(422, {"message": 'Invalid request.\n\n"key_id" wasn\'t supplied.'}), ProvisionError, "HTTP 422"),
        (Reply(500, {"message": "Server Error"}), Unreachable, "is out of order: HTTP 500"),
        (Reply(418), Unreachable, "does not answer as GitHub does"),
        (Reply(200, []), Unreachable, "does not answer as GitHub does"),
        (Reply(200, {"updated_at": None}), Unreachable, "does not answer as GitHub does"),
    ],
    ids=lambda case: str(case.status) if isinstance(case, Reply) else None,
)
def test_a_refusal_is_one_sentence(
    github: GitHub, sink: Sink, reply: Reply, kind: type[ProvisionError], says: str
) -> None:
    github.weather = [reply]
    with pytest.raises(kind, match=says) as caught:
        sink.stored()
    assert type(caught.value) is kind
    assert len(github.requests) == 1, "a limit on requests is not met with more of them"


def test_a_public_key_that_is_none_is_not_used(github: GitHub, sink: Sink) -> None:
    for key in ("", "AAAA", "not base64"):
        github.weather = [Reply(404), Reply(200, {"key_id": "1", "key": key or "="})]
        with pytest.raises(Unreachable, match="does not answer as GitHub does"):
            sink.write(delivery())
    assert not [request for request in github.requests if request.method == "PUT"]


def test_neither_value_nor_token_is_in_a_log_or_repr(
    github: GitHub, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        github.tokens.clear()
        with pytest.raises(SignInFailed) as refused:
            sink.write(delivery())
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    for hidden in (VALUE, "github_pat_all"):
        assert hidden not in caplog.text + repr(sink) + str(refused.value)


@pytest.mark.parametrize(
    "rest",
    [
        "acme/tms",
        "acme/tms#",
        "acme/tms#GITHUB_SECRET",
        "acme/tms#github_secret",
        "acme/tms#1ST",
        "acme/tms#MAIL-SECRET",
        "acme/tms/x#NAME",
        "acme/..#NAME",
        "acme/#NAME",
        "/tms#NAME",
        "acme@production#NAME",
        "acme/tms@#NAME",
        "acme/tms@a%0Ab#NAME",
        "-acme/tms#NAME",
    ],
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput):
        open_sink(f"github:{rest}", {})


def test_letter_case_means_nothing_to_github() -> None:
    assert open_sink("github:Acme/TMS#mail_secret", {}).address == "github:acme/tms#MAIL_SECRET"


@pytest.mark.parametrize("url", ["http://ghe.example/api/v3", "https://user:pw@ghe.example", "https://", "ghe.example"])
def test_a_token_goes_to_an_https_server_only(url: str) -> None:
    sink = open_sink("github:acme/tms#NAME", {"GITHUB_API_URL": url, "GITHUB_TOKEN": "t"})
    with pytest.raises(InvalidInput, match="GITHUB_API_URL is not an https address"):
        sink.check()


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl.public", None)
    with pytest.raises(InvalidInput, match=r"nacl\.public") as caught:
        open_sink("github:acme/tms#NAME", {})
    assert caught.value.remedy == "pip install 'provision[github]'"
