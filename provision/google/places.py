"""Where Google is: its own addresses, or the local tenant's Google side.

Owns: the addresses and the certificates to trust. The variables are for the local tenant and tests (``provision
sandbox env`` sets them); a key file's own ``token_uri`` says where tokens come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from provision.errors import InvalidInput

SMTP_ADDRESS = "PROVISION_GOOGLE_SMTP_ADDRESS"
SMTPS_ADDRESS = "PROVISION_GOOGLE_SMTPS_ADDRESS"
API_URL = "PROVISION_GOOGLE_API_URL"
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Google:
    """Addresses."""

    smtp_host: str = "smtp.gmail.com"
    smtp_port: int = 587
    """With STARTTLS."""
    smtps_host: str = "smtp.gmail.com"
    smtps_port: int = 465
    """With TLS from the first byte."""
    directory: str = "https://admin.googleapis.com"
    """The root of the Admin SDK, without a trailing slash."""
    cloud_identity: str = "https://cloudidentity.googleapis.com"
    ca_file: str | None = None
    """Certificates to trust instead of the machine's."""


def read(environ: Mapping[str, str]) -> Google:
    """The addresses that the environment names, else Google's own.

    Raises:
        InvalidInput: a variable is no address.
    """
    found = Google(ca_file=next((environ[name] for name in _CA_VARIABLES if environ.get(name)), None))
    if environ.get(SMTP_ADDRESS):
        host, port = _address(environ, SMTP_ADDRESS)
        found = replace(found, smtp_host=host, smtp_port=port)
    if environ.get(SMTPS_ADDRESS):
        host, port = _address(environ, SMTPS_ADDRESS)
        found = replace(found, smtps_host=host, smtps_port=port)
    if environ.get(API_URL):
        root = _root(environ[API_URL])
        found = replace(found, directory=root, cloud_identity=root)
    return found


def _address(environ: Mapping[str, str], name: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"smtp://{environ[name]}")
        if parts.hostname and parts.port and not parts.path:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise InvalidInput(f"{name} is not of the form host:port.", remedy="Unset it to reach Gmail itself.")


def _root(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise InvalidInput(f"{API_URL} is not an https address.", remedy="Unset it to reach Google itself.")
    return url.rstrip("/")
