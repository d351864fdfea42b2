"""Rules for single values, refused in the words of the real plugin.

Owns: what a GUID, a date, a redirect address, a resource id … must look like before anything is sent.
Does not own: rules that compare two properties (each resource's ``contradictions``), nor the tenant's own answers.

Source of rules and wordings: terraform-provider-azuread, ``internal/helpers/tf/validation`` and the resource tables;
redirect lengths from "Redirect URI (reply URL) restrictions and limitations" (Microsoft identity platform).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from provision.standin.fields import Rule
from provision.standin.wire import Value

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")
_CLAIM = re.compile(r"[A-Za-z0-9:!#$%&'()*+,./;<=>?@\[\]^_{|}~`-]*")
_REDIRECT_LENGTH = 256
_LOGOUT_LENGTH = 255
_CLAIM_LENGTH = 249


def is_guid(value: Value) -> bool:
    """Whether it is a GUID in the form Microsoft writes it."""
    return isinstance(value, str) and _GUID.fullmatch(value) is not None


def guid(value: Value, name: str) -> str | None:
    """A GUID."""
    return None if is_guid(value) else f'expected "{name}" to be a valid UUID, got {value}'


def filled(value: Value, name: str) -> str | None:
    """Not an empty string."""
    return None if value else f'expected "{name}" to not be an empty string, got {value}'


def date(value: Value, name: str) -> str | None:
    """A date and time with its offset (RFC 3339)."""
    refusal = f'expected "{name}" to be a valid RFC3339 date, got "{value}": write it like 2027-01-31T00:00:00Z'
    if not _DATE.fullmatch(value):
        return refusal
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    except ValueError:
        return refusal
    return None


def base64_text(value: Value, name: str) -> str | None:
    """Base64."""
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return f'expected "{name}" to be a base64 string, got {value}'
    return None


def claim_value(value: Value, name: str) -> str | None:
    """A value that may stand in a ``roles`` or ``scp`` claim (Microsoft Graph: appRole, permissionScope)."""
    if len(value) > _CLAIM_LENGTH:
        return f'Value of "{name}" must be between 0-{_CLAIM_LENGTH} characters in length'
    if value.startswith("."):
        return f'Value of "{name}" must not begin with a period'
    if not _CLAIM.fullmatch(value):
        return (
            f'Value of "{name}" must be alphanumeric with these allowed characters: !#$%&\'()*+,-./:;<=>?@[]^+_`{{|}}~'
        )
    return None


def application_id(value: Value, name: str) -> str | None:
    """The resource id of an application, as ``Application.id`` gives it."""
    return resource_id("/applications/{applicationId}")(value, name)


def length(least: int, most: int) -> Rule:
    """A text of so many characters."""

    def rule(value: Value, name: str) -> str | None:
        if least <= len(value) <= most:
            return None
        return f"expected length of {name} to be in the range ({least} - {most}), got {len(value)} characters"

    return rule


def one_of(*values: str) -> Rule:
    """One of a few words, their case kept."""

    def rule(value: Value, name: str) -> str | None:
        listed = " ".join(f'"{item}"' for item in values)
        return None if value in values else f"expected {name} to be one of [{listed}], got {value}"

    return rule


def between(least: int, most: int) -> Rule:
    """A whole number in a range."""

    def rule(value: Value, name: str) -> str | None:
        allowed = ", ".join(str(item) for item in range(least, most + 1))
        return None if least <= value <= most else f'Value of "{name}" must be one of: {allowed}'

    return rule


def resource_id(form: str) -> Rule:
    """A resource id with literal and named segments, such as
    ``/applications/{applicationId}/owners/{directoryObjectId}``.
    """
    pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(form)))

    def rule(value: Value, name: str) -> str | None:
        if isinstance(value, str) and pattern.fullmatch(value):
            return None
        return f'parsing "{name}": expected an id that matched {form}, got "{value}"'

    return rule


def address(schemes: Sequence[str], *, most: int | None = None, path_needed: bool = False, urn: bool = False) -> Rule:
    """A URI with a host.

    Args:
        schemes: the schemes that are allowed; none means any.
        most: its greatest length in characters.
        path_needed: a bare host needs its trailing slash.
        urn: ``urn:a:b`` is allowed too.
    """

    def rule(value: Value, name: str) -> str | None:
        if not value:
            return f'URI must not be empty for "{name}"'
        if urn and value.startswith("urn:") and value.count(":") > 1:
            return None
        try:
            parts = urlsplit(value)
        except ValueError:
            return f'URI is in an invalid format for "{name}"'
        if not parts.netloc:
            return f'URI has no host for "{name}"'
        if schemes and path_needed and not parts.path:
            return f'URI must have a trailing slash when there is no path segment for "{name}"'
        if schemes and parts.scheme not in schemes:
            return f'unexpected URI scheme for "{name}", expected one of: {", ".join(schemes)}'
        if most is not None and len(value) > most:
            return f'URI must be {most} characters or less for "{name}"'
        return None

    return rule


web_address = address(["http", "https"])
logout_address = address(["http", "https"], most=_LOGOUT_LENGTH)
_REDIRECT_SCHEMES = ["http", "https", "ms-appx-web", "brk-multihub"]
web_redirect = address(_REDIRECT_SCHEMES, most=_REDIRECT_LENGTH, path_needed=True, urn=True)
spa_redirect = address(_REDIRECT_SCHEMES, most=_REDIRECT_LENGTH, path_needed=True)
public_redirect = address([], most=_REDIRECT_LENGTH, path_needed=True, urn=True)
