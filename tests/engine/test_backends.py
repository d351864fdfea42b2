"""State backends on the real engine and a real server of each kind: used, and refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from stores import Place, in_azurite, in_postgres, in_s3

from provision.engine.command import EngineCommand
from provision.errors import NotPermitted, ProvisionError, SignInFailed, StateUnavailable, Unreachable

from .conftest import PLAIN, Project


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a place, and what is said about it."""

    server: str
    place: Callable[[Any], Place]
    kind: type[ProvisionError]
    sentence: str
    environ: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(("server", "made"), [("azurite", in_azurite), ("postgres", in_postgres), ("s3", in_s3)])
def test_a_stack_lives_on_a_shared_backend(
    server: str,
    made: Callable[[Any], Place],
    project: Callable[[str], Project],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = made(request.getfixturevalue(server))
    for name, value in {"PULUMI_BACKEND_URL": place.url, **place.environ}.items():
        monkeypatch.setenv(name, value)
    tiny = project(PLAIN)
    assert tiny.runner().export_if_made() == {}
    assert tiny.runner().up().changes == {"create": 1}
    assert tiny.runner().outputs()["plain"].value == "as set"
    assert tiny.runner().outputs_as_kept()["plain"] == "as set"
    assert tiny.runner().up().changes == {"same": 1}
    tiny.runner().destroy()
    tiny.runner().remove()
    assert tiny.runner().export_if_made() == {}


def test_a_look_at_a_shared_state_counts_until_something_is_done(
    project: Callable[[str], Project], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look starts the engine; a tenant's job looks six times."""
    place = in_postgres(request.getfixturevalue("postgres"))
    for name, value in {"PULUMI_BACKEND_URL": place.url, **place.environ}.items():
        monkeypatch.setenv(name, value)
    starts: list[list[str]] = []
    run = EngineCommand.run

    def counted(itself: EngineCommand, args: list[str], *rest: Any, **named: Any) -> Any:
        starts.append(args[:2])
        return run(itself, args, *rest, **named)

    monkeypatch.setattr(EngineCommand, "run", counted)
    tiny = project(PLAIN)
    runner = tiny.runner()
    assert runner.export_if_made() == runner.export_if_made() == {}
    assert starts == [["stack", "export"]]
    runner.up()
    starts.clear()
    assert runner.outputs_as_kept()["plain"] == runner.outputs_as_kept()["plain"] == "as set"
    assert starts == [["stack", "export"]]
    tiny.runner().destroy()
    assert runner.outputs_as_kept() != {}
    runner.look_again()
    assert runner.outputs_as_kept() == {}


def elsewhere(place: Place) -> Place:
    """The same with a name that is not there."""
    return Place(place.url.replace("journal-", "nothere-"), place.environ)


NO_S3_KEY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
CASES = {
    "no container": Wrong("azurite", lambda a: elsewhere(in_azurite(a)), StateUnavailable, "container does not exist"),
    "another account's key": Wrong(
        "azurite",
        in_azurite,
        SignInFailed,
        "Server failed to authenticate the request",
        {"AZURE_STORAGE_KEY": "A" * 86 + "=="},
    ),
    "no key": Wrong("azurite", in_azurite, SignInFailed, "illegal base64", {"AZURE_STORAGE_KEY": "not one"}),
    "no bucket": Wrong("s3", lambda s: elsewhere(in_s3(s)), StateUnavailable, "bucket does not exist"),
    "no access key": Wrong("s3", in_s3, SignInFailed, "failed to refresh cached credentials", NO_S3_KEY),
    "no database": Wrong(
        "postgres", lambda p: Place(p.url("nothere")), StateUnavailable, 'database "nothere" does not exist'
    ),
    "wrong password": Wrong(
        "postgres",
        lambda p: Place(p.url("postgres", password="wrong/p@ss")),
        SignInFailed,
        'password authentication failed for user "admin"',
    ),
    "no TLS at the server": Wrong(
        "postgres", lambda p: Place(p.url("postgres", sslmode="require")), Unreachable, "SSL is not enabled"
    ),
    "nobody there": Wrong(
        "postgres", lambda _: Place("postgres://u:wrong@127.0.0.1:9/db"), Unreachable, "connection refused"
    ),
}


@pytest.mark.parametrize("wrong", CASES.values(), ids=CASES)
def test_a_backend_that_cannot_be_used_is_one_sentence_without_a_password(
    wrong: Wrong,
    project: Callable[[str], Project],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = request.getfixturevalue(wrong.server)
    place = wrong.place(server)
    for name, value in {"PULUMI_BACKEND_URL": place.url, **place.environ, **wrong.environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(wrong.kind) as refused:
        project(PLAIN).runner().export()
    assert wrong.sentence in refused.value.message
    assert refused.value.remedy
    assert "\n" not in refused.value.message
    for secret in ("wrong", "stäple", "st%C3%A4ple"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "said", ["AuthorizationPermissionMismatch", "AccessDenied: Access Denied", "Error 403: Forbidden"]
)
def test_a_sign_in_without_rights_there_is_told_from_a_failed_one(said: str) -> None:
    """Storage's role-based refusals; neither Azurite nor moto has them."""
    from provision.engine.refusals import refusal

    stderr = f'error: read ".pulumi/meta.yaml": blob (key ".pulumi/meta.yaml") (code=Unknown): GET x\n---\n{said}\n'
    assert type(refusal(stderr, (), stack="dev", passphrase="the keyring")) is NotPermitted
