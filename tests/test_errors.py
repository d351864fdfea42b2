"""The exit codes that people script against are the ones that are documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from provision import errors

DOCUMENT = Path(__file__).parents[1] / "docs/exit-codes.md"


def documented() -> dict[str, int]:
    return {
        name: int(code) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    }


def classes() -> dict[str, int]:
    return {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ProvisionError)
    }


def test_every_exit_code_is_documented_and_no_other() -> None:
    assert documented() == classes()


def test_no_two_errors_share_an_exit_code() -> None:
    codes = list(classes().values())
    assert len(codes) == len(set(codes))


def test_the_drawn_tree_names_every_class() -> None:
    drawn = dict(re.findall(r"(\w+)\s+(\d+)\s{3}", errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == classes()


def test_a_remedy_follows_the_message() -> None:
    error = errors.SignInFailed("The sign-in is for tenant A, not B.", remedy="Sign in with `az login --tenant B`.")
    assert str(error) == "The sign-in is for tenant A, not B. Sign in with `az login --tenant B`."


def test_an_error_of_the_program_travels_whole(tmp_path: Path) -> None:
    """Raised inside the engine's run, read by the command outside, with its own sentence and exit code."""
    errors.ConsentPending("Consent is missing.", remedy="Open the page.").write(tmp_path / "error.json")
    error = errors.ProvisionError.read(tmp_path / "error.json")
    assert type(error) is errors.ConsentPending
    assert (error.message, error.remedy) == ("Consent is missing.", "Open the page.")


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"class": "ConsentPending"})])
def test_a_file_that_is_no_record_is_no_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "error.json").write_text(content)
    assert errors.ProvisionError.read(tmp_path / "error.json") is None
    assert errors.ProvisionError.read(tmp_path / "absent.json") is None


def test_an_unknown_kind_of_error_keeps_its_sentence(tmp_path: Path) -> None:
    """A newer program under an older command."""
    (tmp_path / "error.json").write_text(json.dumps({"class": "Newer", "message": "New words."}))
    error = errors.ProvisionError.read(tmp_path / "error.json")
    assert type(error) is errors.ProvisionError
    assert error.message == "New words."
