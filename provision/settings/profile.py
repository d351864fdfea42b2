"""Product profiles: what is the same for every customer of one product, as data in a TOML file.

Owns: the shape of a profile, its checks, and where profiles are found (``provision/settings/profiles``, a ``profiles``
folder beside ``Pulumi.yaml``, or a path). Does not own: what one customer's stack adds (``settings.stack``) or the
check of a redirect URI against a profile (``app.redirect``).

A product of your own is one more file; ``docs/profiles.md`` walks through one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.errors import InvalidInput

COMPANY_CODE = "{companyCode}"
"""Stands for the customer's company code in a profile's ``redirect_uri``."""

AUDIENCES = ("AzureADMyOrg", "AzureADMultipleOrgs")
"""Single tenant and multitenant; the audiences with personal accounts allow two secrets only and no mail.

"signInAudience values" in "application resource type" (Microsoft Graph docs).
"""

SHIPPED = Path(__file__).parent / "profiles"

_DISPLAY_NAME_LIMIT = 90
"""The tighter of the two limits in "Validation differences by supported account types"."""
_MAX_SECRET_MONTHS = 24
"""The portal offers no client secret beyond 24 months ("Add credentials", Microsoft identity platform docs)."""


@dataclass(frozen=True)
class Profile:
    """One product. Built by ``load``; an illegal one cannot be built."""

    id: str
    """Short name, as in ``office365-mail:profile``; the file's name without ``.toml``."""
    product: str
    """The product's name, for people."""
    display_name: str
    """The app registration's name."""
    scopes: tuple[str, ...]
    """Delegated permissions of Microsoft Graph, by name."""
    secret_name: str
    """The client secret's description in the portal."""
    redirect_uri: str | None = None
    """Template with ``{companyCode}``; None where every customer has an address of their own."""
    sign_in_audience: str = "AzureADMyOrg"
    issue_access_tokens: bool = False
    issue_id_tokens: bool = False
    mpn_id: str | None = None
    """The vendor's Partner One ID, for a verified publisher."""
    secret_months: int = 24
    secret_months_offered: tuple[int, ...] = (6, 12, 24)
    """What ``--help`` and the docs offer; any other whole number from 1 to 24 is "custom"."""
    smtp_host: str = "smtp.office365.com"
    smtp_port: int = 587
    documentation: str | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None and (complaint := check(value)):
                raise IllegalValue(name, complaint)

    def slot_name(self, slot: str) -> str:
        """A slot's secret as the portal shows it; a person who follows the product's help page takes the bare name.

        Args:
            slot: ``a`` or ``b``.
        """
        return f"{self.secret_name} {slot.upper()}"

    def certificate_name(self, slot: str) -> str:
        """A slot's certificate as the portal shows it.

        Args:
            slot: ``a`` or ``b``.
        """
        return f"{self.product} certificate {slot.upper()}"

    @property
    def needs_company_code(self) -> bool:
        """Whether the redirect URI has a place for the company code."""
        return self.redirect_uri is not None and COMPANY_CODE in self.redirect_uri


class IllegalValue(ValueError):
    """A profile's value cannot be; ``key`` names it."""

    def __init__(self, key: str, complaint: str) -> None:
        super().__init__(f"{key} {complaint}")
        self.key = key


def _name(limit: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            return "must be text that can be printed"
        return f"is longer than {limit} characters" if len(value) > limit else None

    return check


def _template(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    parts = urlsplit(value.replace(COMPANY_CODE, "code"))
    if parts.scheme != "https" or not parts.hostname:
        return "must start with https:// and a host"
    if parts.query or parts.fragment or "*" in value:
        return "must have no query, fragment or wildcard"
    if value.count(COMPANY_CODE) > 1 or re.search(r"[{}]", value.replace(COMPANY_CODE, "")):
        return f"may hold {COMPANY_CODE} once and no other placeholder"
    if COMPANY_CODE in value.split("/", 3)[2]:
        return f"must not hold {COMPANY_CODE} in its host"
    return None


def _matches(pattern: str, complaint: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and re.fullmatch(pattern, value) else complaint

    return check


def _scopes(value: Any) -> str | None:
    if not isinstance(value, tuple) or not value:
        return "must be a list of permission names"
    bad = [
        scope for scope in value if not isinstance(scope, str) or not re.fullmatch(r"[A-Za-z_]+(\.[A-Za-z_-]+)*", scope)
    ]
    if bad:
        return f"holds {bad[0]!r}, which is not the name of a permission"
    return None if len(set(value)) == len(value) else "names a permission twice"


def months_complaint(value: Any) -> str | None:
    """What is wrong with a secret's lifetime in months; None when nothing is."""
    if type(value) is not int or not 1 <= value <= _MAX_SECRET_MONTHS:
        return f"must be a whole number from 1 to {_MAX_SECRET_MONTHS}"
    return None


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "id": _matches(r"[a-z0-9][a-z0-9-]*", "must be lower-case letters, digits and -"),
    "product": _name(_DISPLAY_NAME_LIMIT),
    "display_name": _name(_DISPLAY_NAME_LIMIT),
    "secret_name": _name(_DISPLAY_NAME_LIMIT),
    "redirect_uri": _template,
    "sign_in_audience": lambda v: None if v in AUDIENCES else f"must be {' or '.join(AUDIENCES)}",
    "issue_access_tokens": _boolean,
    "issue_id_tokens": _boolean,
    "scopes": _scopes,
    "mpn_id": _matches(r"[0-9]{1,20}", 'must be digits in quotes, for example "7086574"'),
    "secret_months": months_complaint,
    "secret_months_offered": lambda v: (
        next((c for c in map(months_complaint, v) if c), None) if isinstance(v, tuple) else "must be a list of numbers"
    ),
    "smtp_host": _matches(r"[A-Za-z0-9.-]+", "must be a host name"),
    "smtp_port": lambda v: None if type(v) is int and 1 <= v <= 65535 else "must be a port number",
    "documentation": _matches(r"https://.+", "must be an https address"),
}  # fmt: skip
"""What each key may hold; returns the complaint, or None."""

_REQUIRED = tuple(field.name for field in fields(Profile) if field.default is MISSING)


def names(beside: Path | None = None) -> dict[str, Path]:
    """The profiles that can be named, with their files; a file of your own hides a shipped one of the same name.

    Args:
        beside: the folder of ``Pulumi.yaml``; its ``profiles`` folder is looked at too.
    """
    folders = [SHIPPED] + ([beside / "profiles"] if beside else [])
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


def available(beside: Path | None = None) -> list[Profile]:
    """Every profile that can be named, read.

    Args:
        beside: the folder of ``Pulumi.yaml``.

    Raises:
        InvalidInput: one of them is illegal.
    """
    return [read_file(path) for path in names(beside).values()]


def load(name: str, *, beside: Path | None = None) -> Profile:
    """Reads a profile.

    Args:
        name: a profile's name, or the path of a TOML file (has a ``/`` or ends with ``.toml``; a relative one counts
            from ``beside``).
        beside: the folder of ``Pulumi.yaml``.

    Raises:
        InvalidInput: no such profile, or an illegal one; the message names file, line, the bad and the valid keys.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        return read_file((beside or Path()) / Path(name).expanduser())
    known = names(beside)
    if name not in known:
        raise InvalidInput(
            f"There is no product profile {name!r}.",
            remedy=f"Use one of {', '.join(known)}, or the path of a TOML file of your own.",
        )
    return read_file(known[name])


def read_file(path: Path) -> Profile:
    """Reads one profile file.

    Raises:
        InvalidInput: it cannot be read, is not TOML, or holds an unknown key or an illegal value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(
            f"The profile {path} cannot be read: {reason}.", remedy="Name a readable TOML file."
        ) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The profile {path} is not TOML: {error}.", remedy="See docs/profiles.md.") from None
    valid = [field.name for field in fields(Profile)]
    unknown = [key for key in table if key not in valid]
    if unknown:
        raise InvalidInput(
            f"{_place(path, text, unknown[0])}: there is no key {', '.join(unknown)}.",
            remedy=f"Valid keys: {', '.join(valid)}.",
        )
    missing = [key for key in _REQUIRED if key not in table]
    if missing:
        raise InvalidInput(
            f"The profile {path} lacks {', '.join(missing)}.", remedy=f"Every profile needs {', '.join(_REQUIRED)}."
        )
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return Profile(**values)
    except IllegalValue as error:
        raise InvalidInput(f"{_place(path, text, error.key)}: {error}.", remedy="See docs/profiles.md.") from None


def _place(path: Path, text: str, key: str) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]|\s*\[+{re.escape(key)}", line):
            return f"{path}:{number}"
    return str(path)
