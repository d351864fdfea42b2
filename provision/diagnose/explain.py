"""A pasted error text, explained without a network: which of Microsoft's and Google's answers are in it.

Owns: finding the codes in whatever a person pastes: a mail program's window, a log, a bounce, JSON, HTML, in any
language around them, wrapped over lines, in base64. Does not own: what a code means (``codes``).

Nothing of the text is ever given back but what is taken out of it by a fixed pattern that no secret fits: statuses,
AADSTS numbers, codes that are known or consist of letters, the ids that Microsoft prints for its support. So a password
or a token that was pasted along is not shown again.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from dataclasses import dataclass

from provision.diagnose.codes import BY_ID, CODES, Code

_MAX_TEXT = 1_000_000
_AADSTS = re.compile(r"AADSTS[\s:#-]*([0-9]{4,8}(?:[ \t]*\r?\n[ \t>]*[0-9]{1,5}(?=\s*:))?)", re.IGNORECASE)
_NUMBERS = re.compile(r'"error_codes"\s*:\s*\[\s*([0-9,\s]{4,80})\]')
_STATUS = re.compile(r"(?<![\d.])([245][0-9]{2})[ -]+([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![\d.])")
_ENHANCED = re.compile(r"(?<![\d.])([245]\.[0-9]\.[0-9]{1,3})(?![\d.])")
_HTTP = re.compile(r"(?:HTTP(?:/[0-9.]+)?|status(?: code)?)[\s:=\"']{1,4}([45][0-9]{2})\b", re.IGNORECASE)
_GRAPH_CODE = re.compile(r'"code"\s*:\s*"([A-Z][A-Za-z]{2,30}(?:_[A-Z][A-Za-z]{2,40})?)"')
_OAUTH_ERROR = re.compile(r'(?:"error"\s*:\s*"|\berror=)([a-z]{3,24}(?:_[a-z]{2,24}){1,3})\b')
_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_IDS = (
    ("trace id", re.compile(rf"Trace[\s_]*ID[\"'\s:=]+({_GUID})", re.IGNORECASE)),
    ("correlation id", re.compile(rf"Correlation[\s_]*ID[\"'\s:=]+({_GUID})", re.IGNORECASE)),
    ("request id", re.compile(rf"(?<!client-)request[-_ ]id[\"'\s:=]+({_GUID})", re.IGNORECASE)),
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}[\s>]{0,4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_OAUTH = {
    "invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "invalid_resource", "interaction_required",
    "consent_required", "login_required", "access_denied", "unauthorized_client", "unsupported_grant_type",
    "unsupported_response_type", "temporarily_unavailable", "server_error", "authorization_pending", "expired_token",
}  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """What was found in a text."""

    codes: tuple[Code, ...]
    """The answers that are known, the most exact first; each once."""
    unknown: tuple[str, ...] = ()
    """Codes that were recognised as such but are not in the table, such as ``AADSTS99999``."""
    understood: tuple[str, ...] = ()
    """What else could be read: statuses, OAuth errors, ids for Microsoft's support."""

    @property
    def is_known(self) -> bool:
        """Whether the text holds an answer whose meaning is known."""
        return bool(self.codes)


def explain(text: str) -> Explanation:
    """Finds the answers in a text.

    Args:
        text: whatever was pasted; a longer one than a million characters is cut.
    """
    plain = _plain(text[:_MAX_TEXT])
    squeezed = _squeeze(plain)
    numbers = _aadsts(plain)
    statuses = list(dict.fromkeys(_ENHANCED.findall(plain)))
    exact = [code for code in CODES if any(_squeeze(phrase) in squeezed for phrase in code.phrases)]
    exact = _without_shadows(exact)
    met = {code.status for code in exact if code.status}
    general = [
        code
        for code in CODES
        if code.general and code.status in statuses and code.status not in met and code not in exact
    ]
    entra = [BY_ID[f"AADSTS{number}"] for number in numbers if f"AADSTS{number}" in BY_ID]
    found = sorted([*exact, *general], key=lambda code: code.general) + entra
    unknown = [f"AADSTS{number}" for number in numbers if f"AADSTS{number}" not in BY_ID]
    unknown += [name for name in _GRAPH_CODE.findall(plain) if f"graph-{name}" not in BY_ID]
    return Explanation(tuple(dict.fromkeys(found)), tuple(dict.fromkeys(unknown)), _understood(plain, statuses))


def _plain(text: str) -> str:
    """The text without entities, tags and soft line breaks, and what its base64 says behind it."""
    text = html.unescape(html.unescape(text)).replace("\u00a0", " ").replace("\u2011", "-")
    text = text.replace("\\r", "\r").replace("\\n", "\n").replace('\\"', '"').replace("\u2019", "'")
    text = re.sub(r"=\r?\n", "", text)
    text = re.sub(r"<[A-Za-z/!][^<>]{0,2000}>", " ", text)
    return "\n".join([text, *_decoded(text)])


def _decoded(text: str) -> list[str]:
    """What the base64 in a text says, where it says something readable."""
    said = []
    for chunk in _BASE64.findall(text):
        packed = re.sub(r"[\s>]", "", chunk)
        packed = packed[: len(packed) - len(packed) % 4]
        try:
            decoded = base64.b64decode(packed, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if decoded.isprintable() or re.fullmatch(r"[\x20-\x7e\s]+", decoded):
            said.append(decoded)
    return said


def _squeeze(text: str) -> str:
    """Without spaces, quote marks of replies and letter case, for comparing phrases over line breaks."""
    text = re.sub(r"(?m)^\s*[245][0-9]{2}-(?:[245]\.[0-9]\.[0-9]{1,3}[ \t]+)?", "", text) if "\n" in text else text
    return re.sub(r"[\s>|]", "", text).lower()


def _aadsts(text: str) -> list[str]:
    numbers = [re.sub(r"[^0-9]", "", number) for number in _AADSTS.findall(text)]
    for listed in _NUMBERS.findall(text):
        numbers += re.findall(r"[0-9]{4,8}", listed)
    return list(dict.fromkeys(numbers))


_CONTAINS = {
    "smtp-security-defaults": ("smtp-account-locked",),
    "graph-ErrorSendAsDenied": ("smtp-send-as",),
    "ews-disabled": ("ews-policy",),
    "ews-blocked": ("ews-policy",),
    "ews-audience": ("ews-sign-in",),
}
"""Answers whose words contain those of others, or come with them."""


def _without_shadows(codes: list[Code]) -> list[Code]:
    """Drops an answer whose words are only a part of another's that is there."""
    hidden = {shadow for code in codes for shadow in _CONTAINS.get(code.id, ())}
    return [code for code in codes if code.id not in hidden]


def _understood(text: str, statuses: list[str]) -> tuple[str, ...]:
    pairs = list(dict.fromkeys(_STATUS.findall(text)))
    read = [f"SMTP status {basic} {enhanced}" for basic, enhanced in pairs]
    read += [f"enhanced status {status}" for status in statuses if not any(status == pair[1] for pair in pairs)]
    read += [f"HTTP status {status}" for status in dict.fromkeys(_HTTP.findall(text))]
    read += [f"OAuth error {name}" for name in dict.fromkeys(_OAUTH_ERROR.findall(text)) if name in _OAUTH]
    for name, pattern in _IDS:
        read += [f"{name} {found}" for found in list(dict.fromkeys(pattern.findall(text)))[:2]]
    return tuple(read)
