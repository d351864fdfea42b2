"""A subject that is off by a letter shows only in the pipeline, as AADSTS700213: its form is checked here."""

from __future__ import annotations

import pytest

from provision.errors import InvalidInput
from provision.settings.ci import CiSettings

MAIL = "11111111-2222-3333-4444-555555555555"


def read(**own: str) -> CiSettings:
    return CiSettings.from_config({f"office365-mail-ci:{key}": value for key, value in own.items()})


@pytest.mark.parametrize(
    ("own", "issuer"),
    [
        (
            {"system": "github", "subject": "repo:acme/mail:ref:refs/heads/main"},
            "https://token.actions.githubusercontent.com",
        ),
        ({"system": "gitlab", "subject": "project_path:acme/mail:ref_type:branch:ref:main"}, "https://gitlab.com"),
        (
            {"system": "gitlab", "subject": "project_path:a/b/c:ref_type:tag:ref:v1", "issuer": "https://git.acme.lv"},
            "https://git.acme.lv",
        ),
        (
            {"system": "azure-devops", "subject": "sc://acme/mail/conn", "issuer": "https://vstoken.dev.azure.com/1"},
            "https://vstoken.dev.azure.com/1",
        ),
    ],
)
def test_each_system(own: dict[str, str], issuer: str) -> None:
    assert read(**own, mailClientId=MAIL).issuer == issuer


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"system": "github", "subject": "acme/mail"}, "repo:OWNER/REPO"),
        ({"system": "github", "subject": "repo:acme/*:ref:x"}, "repo:OWNER/REPO"),
        ({"system": "gitlab", "subject": "acme/mail"}, "project_path"),
        ({"system": "azure-devops", "subject": "sc://a/b/c"}, "issuer is missing"),
        ({"system": "jenkins", "subject": "x"}, "github, gitlab, azure-devops"),
        ({"system": "github"}, "subject is missing"),
        ({"system": "github", "subject": "repo:a/b:ref:c", "branch": "main"}, "no key office365-mail-ci:branch"),
        ({"system": "github", "subject": "repo:a/b:ref:c", "mailClientId": "mail"}, "GUID"),
        ({"system": "gitlab", "subject": "project_path:a/b:ref_type:tag:ref:1", "issuer": "http://x"}, "https"),
    ],
)
def test_what_is_wrong_is_named(own: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(**{"mailClientId": MAIL, **own})
    assert says in str(refused.value)


def test_a_key_under_a_renamed_projects_name_is_refused() -> None:
    config = {"ci:system": "github", "office365-mail-ci:system": "github"}
    with pytest.raises(InvalidInput, match="ci:system is not read"):
        CiSettings.from_config(config, project="ci")
