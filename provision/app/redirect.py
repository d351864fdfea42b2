"""The redirect URI: built from the product's template, or given and held against it, letter by letter.

Microsoft Entra compares a redirect URI's path with letter case ("Redirect URI (reply URL) outline and restrictions"),
so one that merely looks right ends in AADSTS50011 at the first sign-in. All checks happen before anything is sent.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import zip_longest
from urllib.parse import SplitResult, urlsplit

from provision.errors import InvalidInput
from provision.settings.profile import COMPANY_CODE, Profile
from provision.settings.stack import StackSettings

_MAX_LENGTH = 256
_FORBIDDEN = "!$'(),;*"
"""Not allowed in a redirect URI (same page, "Special characters" and "Restrictions on wildcards")."""
_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_PLACEHOLDERS = frozenset({"yourcompanycode", "companycode", "code", "{companycode}"})
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
_COPY = "Copy it from the product's address bar, letter case kept."


def redirect_uri(settings: StackSettings, *, local: bool = False) -> str:
    """The redirect URI to register.

    Args:
        settings: the stack's; its ``redirect_uri`` wins over the profile's template but must fit it.
        local: whether the tenant is the local one, where a URI on this machine may stand in for the product's host.

    Raises:
        InvalidInput: the company code or the URI is wrong; the message says in what.
    """
    if settings.company_code is not None:
        check_company_code(settings.company_code)
    if settings.redirect_uri is not None:
        check_redirect_uri(settings.redirect_uri, settings.profile, company_code=settings.company_code, local=local)
        return settings.redirect_uri
    built = (settings.profile.redirect_uri or "").replace(COMPANY_CODE, settings.company_code or "")
    check_redirect_uri(built, settings.profile, company_code=settings.company_code, local=local)
    return built


def check_company_code(code: str) -> None:
    """Refuses what cannot be a company code.

    Raises:
        InvalidInput: a placeholder, an address, a look-alike letter, a space, or another character that no code has.
    """
    if code.lower() in _PLACEHOLDERS:
        raise InvalidInput(f"{code!r} is the placeholder of the instructions, not a company code.", remedy=_COPY)
    _refuse_strange(code, "The company code")
    if "://" in code or "/" in code:
        raise InvalidInput(
            f"The company code {code!r} is an address; only the part between the slashes is wanted.",
            remedy="For https://my.cloudex.app/Acme/… it is Acme.",
        )
    if not _CODE.fullmatch(code):
        raise InvalidInput(
            f"The company code {code!r} holds something else than letters, digits, '.', '_' and '-', "
            "or does not begin and end with a letter or digit.",
            remedy=_COPY,
        )


def check_redirect_uri(uri: str, profile: Profile, *, company_code: str | None = None, local: bool = False) -> None:
    """Refuses a redirect URI that Entra would not take or the product would not call.

    Args:
        uri: as it would be registered.
        profile: the product; its template says host and path.
        company_code: the configured one; the URI's must be the same.
        local: see ``redirect_uri``.

    Raises:
        InvalidInput: the message says what differs.
    """
    _refuse_strange(uri, "The redirect URI")
    parts = _split(uri)
    if len(uri) > _MAX_LENGTH:
        raise InvalidInput(f"The redirect URI has {len(uri)} characters; Entra takes {_MAX_LENGTH}.", remedy=_COPY)
    for character in _FORBIDDEN:
        if character in uri:
            raise InvalidInput(f"The redirect URI holds {character!r}, which Entra does not take.", remedy=_COPY)
    if profile.redirect_uri is None:
        _check_free(uri, parts)
    else:
        _check_against(profile.redirect_uri, uri, parts, company_code, local)


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(f"The redirect URI {uri!r} is not an address.", remedy=_COPY) from None
    if not host:
        raise InvalidInput(f"The redirect URI {uri!r} names no host.", remedy=_COPY)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("The redirect URI holds a user name before its host.", remedy=_COPY)
    if parts.fragment or uri.endswith("#"):
        raise InvalidInput(f"The redirect URI {uri!r} holds a '#', which Entra does not take.", remedy=_COPY)
    return parts


def _check_free(uri: str, parts: SplitResult) -> None:
    """The rules for products without a template: https, or http on this machine."""
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        raise InvalidInput(f"The redirect URI begins with {parts.scheme}://; Entra takes https:// only.", remedy=_COPY)
    if not parts.path:
        raise InvalidInput(f"The redirect URI {uri!r} has no path.", remedy="Add at least a slash.")


def _check_against(template: str, uri: str, parts: SplitResult, company_code: str | None, local: bool) -> None:
    wanted = urlsplit(template)
    expected = f"The product's is {template}."
    if parts.scheme != "https":
        raise InvalidInput(f"The redirect URI begins with {parts.scheme}://; it must be https://.", remedy=expected)
    on_this_machine = local and parts.hostname in _LOCAL_HOSTS
    if not on_this_machine and parts.hostname != wanted.hostname:
        raise InvalidInput(f"The redirect URI's host {parts.hostname} is not {wanted.hostname}.", remedy=expected)
    if not on_this_machine and (parts.port or 443) != (wanted.port or 443):
        raise InvalidInput(f"The redirect URI's port {parts.port} is not the product's.", remedy=expected)
    if parts.query or uri.endswith("?"):
        raise InvalidInput("The redirect URI has a query ('?…'); the product's has none.", remedy=expected)
    _check_path(wanted.path, parts.path, company_code, expected)


def _check_path(template: str, path: str, company_code: str | None, expected: str) -> None:
    for wanted, given in zip_longest(template.split("/"), path.split("/")):
        if given == wanted:
            continue
        if given is None:
            raise InvalidInput(f"The redirect URI ends before '/{wanted}'.", remedy=expected)
        if wanted is None:
            extra = f"'/{given}'" if given else "the slash at its end"
            raise InvalidInput(f"The redirect URI has {extra} too many.", remedy=expected)
        if wanted == COMPANY_CODE:
            _check_code_in_path(given, company_code)
        elif given.lower() == wanted.lower():
            raise InvalidInput(
                f"The redirect URI's '{given}' differs from '{wanted}' in letter case, which Entra compares.",
                remedy=expected,
            )
        else:
            raise InvalidInput(f"The redirect URI has '{given}' where '{wanted}' belongs.", remedy=expected)


def _check_code_in_path(given: str, company_code: str | None) -> None:
    if not given:
        raise InvalidInput("The redirect URI's company code is empty.", remedy=_COPY)
    check_company_code(given)
    if company_code is not None and given != company_code:
        how = " in letter case" if given.lower() == company_code.lower() else ""
        raise InvalidInput(
            f"The redirect URI's company code {given!r} differs from the configured {company_code!r}{how}.",
            remedy="Make both the same, or set one of them only.",
        )


def _refuse_strange(text: str, what: str) -> None:
    """Refuses spaces, control characters, and letters that only look like the Latin ones."""
    for character in text:
        if character.isspace():
            raise InvalidInput(f"{what} {text!r} holds a space or line break.", remedy=_COPY)
        if not character.isascii() or not character.isprintable():
            name = unicodedata.name(character, "a control character")
            raise InvalidInput(
                f"{what} {text!r} holds U+{ord(character):04X} ({name}), which is not a plain Latin letter or sign.",
                remedy="Type it anew instead of pasting it.",
            )
    if "%" in text or "\\" in text:
        raise InvalidInput(f"{what} {text!r} holds a '%' or a backslash.", remedy=_COPY)
    if not text:
        raise InvalidInput(f"{what} is empty.", remedy=_COPY)
