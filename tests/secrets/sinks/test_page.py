"""docs/sinks.md lists every kind of sink, and only kinds that there are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from provision.secrets.sinks import kinds

PAGE = Path(__file__).parents[3] / "docs/sinks.md"
SINKS = Path(__file__).parents[3] / "provision/secrets/sinks"


def test_the_page_lists_each_kind_once() -> None:
    listed = re.findall(r"^\| `([a-z]+)` \| `\1:", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == list(kinds())


def test_the_page_says_for_each_kind_that_signs_in_where_the_sign_in_is_found() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Where the sign-in is found")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(set(kinds()) - {"envfile", "file", "stdout"})
    for name in re.findall(r"`([A-Z][A-Z0-9_]{5,})`", table):
        assert any(name in file.read_text(encoding="utf-8") for file in SINKS.glob("*.py")), f"no sink reads {name}"


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_says_what_it_is_and_the_least_rights_it_takes(kind: str) -> None:
    module = importlib.import_module(f"provision.secrets.sinks.{kind}")
    assert (module.__doc__ or "").splitlines()[0].endswith(".")
    assert len(module.RIGHTS.split()) >= 2
    assert callable(module.open_sink)
