"""The right stack is taken, and a guess is never made between two customers."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.onboard.project import Request, choose_stack, find_project


def test_the_only_stack_with_settings_is_meant(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "Pulumi.contoso.yaml").touch()
    assert choose_stack(None, tmp_path, environ={}) == "contoso"


def test_two_customers_are_never_guessed_between(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.contoso.yaml").touch()
    (tmp_path / "Pulumi.fabrikam.yaml").touch()
    with pytest.raises(InvalidInput, match="contoso, fabrikam"):
        choose_stack(None, tmp_path, environ={})
    assert choose_stack(None, tmp_path, environ={"PULUMI_STACK": "fabrikam"}) == "fabrikam"
    assert choose_stack("contoso", tmp_path, environ={"PULUMI_STACK": "fabrikam"}) == "contoso"


@pytest.mark.parametrize("name", ["../up", "a b", "", "x" * 101, "a/b", "a\nb"])
def test_a_name_that_is_a_path_or_worse_is_refused(tmp_path: Path, name: str) -> None:
    if name:
        with pytest.raises(InvalidInput, match="no name for a stack"):
            choose_stack(name, tmp_path, environ={})
    else:
        assert choose_stack(name, tmp_path, environ={}) == "mail"


def test_a_folder_without_a_project_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no Pulumi\.yaml"):
        find_project(tmp_path, start=tmp_path)


def test_the_checkout_is_found_from_anywhere_below_and_from_outside(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    assert find_project(None, start=root / "docs") == root
    assert find_project(None, start=tmp_path) == root


def test_only_what_was_asked_for_is_set() -> None:
    request = Request(company_code="ACME", secret_months=12, sink=("file:/tmp/x/secret.txt", "envfile:/a"))
    assert request.configuration() == {
        "office365-mail:companyCode": "ACME",
        "office365-mail:secretMonths": "12",
        "office365-mail:secretSinks": "file:/tmp/x/secret.txt envfile:/a",
    }
