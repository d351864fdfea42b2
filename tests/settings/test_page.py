"""Every key that is read is on docs/settings.md, and every key on it is read."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from provision.cli import build_parser
from provision.settings.stack import KEYS, SHARED_KEYS

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def rows() -> list[tuple[str, str]]:
    """Key and flag of each row; an empty flag where there is none."""
    return re.findall(r"^\| `([\w:]+)` \| (?:`(--[\w-]+)`)? ?\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_page_lists_every_key_once_and_no_other() -> None:
    assert sorted(key for key, _ in rows()) == sorted([*KEYS, *SHARED_KEYS])


def test_the_page_names_flags_that_there_are() -> None:
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    flags = {flag for action in commands.choices["up"]._actions for flag in action.option_strings}
    assert {flag for _, flag in rows() if flag} <= flags
