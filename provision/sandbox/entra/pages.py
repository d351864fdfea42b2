"""Entra's pages as plain HTML forms: usable by keyboard, without scripts (except form_post, as at Entra)."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("provision.sandbox.entra"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def render(template: str, **values: Any) -> str:
    """The page; every value is escaped."""
    return _environment().get_template(template).render(**values)
