"""The page of rules is the rules."""

from __future__ import annotations

from pathlib import Path

from provision.diagnose.forms.reference import reference


def test_the_page_is_made_from_the_rules() -> None:
    """When it differs: ``make docs``."""
    page = Path(__file__).parents[2] / "docs/rules.md"
    assert page.read_text(encoding="utf-8") == reference()
