"""Where the Pulumi project is and which of its stacks is meant.

Owns: finding ``Pulumi.yaml``, choosing the stack, and the settings a command line brings along. Does not own: checking
settings (``settings.stack``) or writing them (``engine.stack``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.errors import InvalidInput
from provision.settings.stack import NAMESPACE

DEFAULT_STACK = "mail"
_STACK = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_STACK_FILE = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9_.-]+)\.yaml")


@dataclass(frozen=True)
class Request:
    """What a command line asks for; None leaves the stack's setting as it is."""

    stack: str | None = None
    project: Path | None = None
    backend: str | None = None
    tenant: str | None = None
    metadata_host: str | None = None
    credential: str | None = None
    profile: str | None = None
    company_code: str | None = None
    display_name: str | None = None
    redirect_uri: str | None = None
    audience: str | None = None
    secret_months: int | None = None
    secret_in_state: str | None = None
    sink: tuple[str, ...] | None = None
    """Where the secret is used."""
    mpn_id: str | None = None

    def configuration(self) -> dict[str, str]:
        """The Pulumi configuration (full key to value) that this request sets."""
        values = {
            "azuread:tenantId": self.tenant,
            "azuread:metadataHost": self.metadata_host,
            f"{NAMESPACE}:credential": self.credential,
            f"{NAMESPACE}:profile": self.profile,
            f"{NAMESPACE}:companyCode": self.company_code,
            f"{NAMESPACE}:displayName": self.display_name,
            f"{NAMESPACE}:redirectUri": self.redirect_uri,
            f"{NAMESPACE}:signInAudience": self.audience,
            f"{NAMESPACE}:secretMonths": None if self.secret_months is None else str(self.secret_months),
            f"{NAMESPACE}:secretInState": self.secret_in_state,
            f"{NAMESPACE}:secretSinks": None if self.sink is None else " ".join(self.sink),
            f"{NAMESPACE}:mpnId": self.mpn_id,
        }
        return {key: value for key, value in values.items() if value is not None}


def find_project(named: Path | None, *, start: Path) -> Path:
    """The folder of ``Pulumi.yaml``.

    Args:
        named: the folder that the person named, if any.
        start: where to look from, upwards; this toolkit's own checkout comes last.

    Raises:
        InvalidInput: there is none.
    """
    candidates = [named.absolute()] if named else [start, *start.parents, Path(__file__).parents[2]]
    for folder in candidates:
        if (folder / "Pulumi.yaml").is_file() and (named or (folder / "stacks" / "mail_app").is_dir()):
            return folder
    raise InvalidInput(
        f"There is no Pulumi.yaml in {named or start} or above it.",
        remedy="Run this in the toolkit's checkout, or name its folder with --project.",
    )


def stacks_of(project: Path) -> list[str]:
    """The stacks that have settings beside ``Pulumi.yaml``, in alphabetical order."""
    matches = (_STACK_FILE.fullmatch(file.name) for file in project.glob("Pulumi.*.yaml"))
    return sorted(match["stack"] for match in matches if match)


def choose_stack(named: str | None, project: Path, *, environ: Mapping[str, str]) -> str:
    """The stack that is meant: the one named, else ``PULUMI_STACK``, else the only one with settings, else ``mail``.

    Raises:
        InvalidInput: the name is none, or several stacks are there and none is named.
    """
    chosen = named or environ.get("PULUMI_STACK") or None
    if chosen is None:
        there = stacks_of(project)
        if len(there) > 1:
            raise InvalidInput(f"There are several stacks here: {', '.join(there)}.", remedy="Name one with --stack.")
        chosen = there[0] if there else DEFAULT_STACK
    if not _STACK.fullmatch(chosen):
        raise InvalidInput(
            f"{chosen!r} is no name for a stack.", remedy="Use up to 100 letters, digits, dots, hyphens or underscores."
        )
    return chosen
