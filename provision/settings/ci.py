"""What the CI's identity is made of: a typed view of the configuration of the project ``office365-mail-ci``.

Owns: the keys, and how each CI writes the issuer and subject of its tokens. Sources: GitHub, "OpenID Connect
reference"; GitLab, "ID token authentication"; Azure DevOps, "Workload identity federation" for service connections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from provision.errors import InvalidInput
from provision.settings.namespace import own_values

NAMESPACE = "office365-mail-ci"
System = Literal["github", "gitlab", "azure-devops"]

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ISSUERS: dict[str, str | None] = {
    "github": "https://token.actions.githubusercontent.com",
    "gitlab": "https://gitlab.com",
    "azure-devops": None,
}
"""None: every organization has its own; the service connection's page shows it."""

_SUBJECTS: dict[str, tuple[str, str]] = {
    "github": (r"repo:[^/\s:*]+/[^/\s:*]+:\S+", "repo:OWNER/REPO:ref:refs/heads/main, or …:environment:NAME"),
    "gitlab": (
        r"project_path:\S+/\S+:ref_type:(branch|tag):ref:\S+",
        "project_path:GROUP/PROJECT:ref_type:branch:ref:main",
    ),
    "azure-devops": (r"\S+", "sc://ORGANIZATION/PROJECT/CONNECTION, as the service connection's page shows it"),
}  # fmt: skip
"""What a subject looks like: a pattern, and an example for the message."""


@dataclass(frozen=True)
class CiSettings:
    """The CI's identity, checked."""

    system: System
    subject: str
    """Whose tokens: repository and branch or environment, letter case kept (Entra compares it)."""
    issuer: str
    mail_application: str
    """The mail registration's Application (client) ID."""
    display_name: str

    @classmethod
    def from_config(
        cls, config: Mapping[str, str], *, source: str = "the stack's configuration", project: str = NAMESPACE
    ) -> CiSettings:
        """Reads the stack's configuration.

        Args:
            config: full key (``office365-mail-ci:subject``) to value.
            source: what to call it in messages.
            project: the Pulumi project's name, which is not the keys' namespace.

        Raises:
            InvalidInput: an unknown, misplaced or missing key, or an illegal value.
        """
        prefix = f"{NAMESPACE}:"
        own = own_values(config, NAMESPACE, _KEYS, project=project, source=source)
        if missing := [key for key in ("system", "subject", "mailClientId") if not own.get(key)]:
            raise InvalidInput(
                f"{source}: {', '.join(f'{prefix}{key}' for key in missing)} is missing.",
                remedy=f"Valid keys: {', '.join(_KEYS)}.",
            )
        for key, value in own.items():
            if complaint := _KEYS[key](value):
                raise InvalidInput(f"{source}: {prefix}{key} is {value!r}; it {complaint}.", remedy="Correct it.")
        system: System = next(name for name in _SYSTEMS if name == own["system"])
        pattern, example = _SUBJECTS[system]
        if not re.fullmatch(pattern, own["subject"]):
            raise InvalidInput(
                f"{source}: {prefix}subject {own['subject']!r} is not what {system} writes.", remedy=f"Like {example}."
            )
        issuer = own.get("issuer") or _ISSUERS[system]
        if issuer is None:
            raise InvalidInput(
                f"{source}: {prefix}issuer is missing; each Azure DevOps organization has its own.",
                remedy="Copy it from the service connection's page.",
            )
        name = own.get("displayName") or "Mail integration: CI"
        return cls(system, own["subject"], issuer, own["mailClientId"].lower(), name)


_SYSTEMS: tuple[System, ...] = ("github", "gitlab", "azure-devops")

_KEYS: dict[str, Callable[[str], str | None]] = {
    "system": lambda v: None if v in _SYSTEMS else f"must be one of {', '.join(_SYSTEMS)}",
    "subject": lambda v: None if v.isprintable() and len(v) <= 600 else "must be at most 600 printable characters",
    "issuer": lambda v: None if re.fullmatch(r"https://\S+", v) else "must be an https address",
    "mailClientId": lambda v: None if _GUID.fullmatch(v) else "must be a GUID: the mail registration's client id",
    "displayName": lambda v: None if v.isprintable() and 0 < len(v) <= 90 else "must be 1 to 90 printable characters",
}
"""Every key: what is wrong with its value, or None."""
