"""docs/sinks.md lists every kind of sink, and only kinds that there are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from provision.secrets.sinks import kinds

PAGE = Path(__file__).parents[3] / "docs/sinks.md"


def test_the_page_lists_each_kind_once() -> None:
    listed = re.findall(r"^\| `([a-z]+)` \| `\1:", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == list(kinds())


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_says_what_it_is_and_the_least_rights_it_takes(kind: str) -> None:
    module = importlib.import_module(f"provision.secrets.sinks.{kind}")
    assert (module.__doc__ or "").splitlines()[0].endswith(".")
    assert len(module.RIGHTS.split()) >= 2
    assert callable(module.open_sink)
