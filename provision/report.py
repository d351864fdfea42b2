"""Outcomes as text: tables for people, JSON and env lines for programs.

Owns wording and layout. Does not own: what the values mean, nor where they go (``cli`` prints).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "••••••••"
"""Stands where a secret would; the number of dots says nothing about its length."""

ENVIRONMENT_NAMES: dict[str, str] = {
    "tenantId": "MAIL_TENANT_ID",
    "clientId": "MAIL_CLIENT_ID",
    "clientSecret": "MAIL_CLIENT_SECRET",
    "secretExpires": "MAIL_SECRET_EXPIRES",
    "redirectUri": "MAIL_REDIRECT_URI",
    "scopes": "MAIL_SCOPES",
}
"""Names of the env lines of ``provision outputs --env``; an output without an entry is not printed there."""

TITLES: dict[str, str] = {
    "tenantId": "TenantId",
    "clientId": "ClientId",
    "clientSecret": "ClientSecret",
    "secretExpires": "Secret expires",
    "secretKeyId": "Secret key id",
    "secretSlot": "Secret slot in use",
    "secretSlots": "Secret slots",
    "redirectUri": "Redirect URI (Web)",
    "adminConsentUrl": "Admin consent URL",
    "scopes": "Delegated permissions",
    "consentGranted": "Admin consent",
}
"""The words of the product's help page for each output."""


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table, columns as wide as their longest cell.

    Args:
        headers: one word or two for each column.
        rows: cells; ``None`` shows as an empty cell.

    Returns:
        Lines without a trailing line break.
    """
    cells = [list(headers)] + [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "granted" if value else "missing"
    return "" if value is None else str(value)


def mask(outputs: Mapping[str, Any], secret_names: Sequence[str], *, show_secrets: bool) -> dict[str, Any]:
    """The outputs with each secret replaced by ``MASK`` unless asked for.

    Args:
        outputs: output names and values.
        secret_names: which of them are secret.
        show_secrets: whether the person asked to see them.
    """
    return {name: MASK if name in secret_names and not show_secrets else value for name, value in outputs.items()}


def outputs_table(outputs: Mapping[str, Any]) -> str:
    """The three values and what belongs to them, in the order and words of the product's help page."""
    ordered = [name for name in TITLES if name in outputs] + [name for name in outputs if name not in TITLES]
    return table(("Parameter", "Value"), [(TITLES.get(name, name), _shown(outputs[name])) for name in ordered])


def outputs_json(outputs: Mapping[str, Any], secret_names: Sequence[str], *, show_secrets: bool) -> str:
    """The outputs as one JSON object; a secret not asked for is ``"[secret]"``, as in Pulumi."""
    shown = {
        name: "[secret]" if name in secret_names and not show_secrets else value for name, value in outputs.items()
    }
    return json.dumps(shown, indent=2, sort_keys=True)


def outputs_env(outputs: Mapping[str, Any], secret_names: Sequence[str], *, show_secrets: bool) -> str:
    """The outputs as ``NAME=value`` lines that a POSIX shell reads; a secret not asked for is left out, and said so."""
    lines = []
    for name, variable in ENVIRONMENT_NAMES.items():
        if outputs.get(name) is None:
            continue
        if name in secret_names and not show_secrets:
            lines.append(f"# {variable} is left out; --show-secrets shows it")
        else:
            lines.append(f"{variable}={shlex.quote(_shown(outputs[name]))}")
    return "\n".join(lines)
