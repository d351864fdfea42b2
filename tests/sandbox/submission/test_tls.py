"""STARTTLS: the authority's certificate, Microsoft's names in it, and what clients of old TLS are told."""

from __future__ import annotations

import base64
import ssl
import warnings
from collections.abc import Iterator

import pytest

from tests.sandbox.submission.conftest import Office
from tests.sandbox.submission.test_protocol import Wire, without_mark

_REFUSAL = (
    "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. "
    "Visit https://aka.ms/smtp_auth_tls."
)
_LEGACY = "smtp-legacy.office365.com"


def _context(office: Office, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(office.sandbox.ca_file))
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


def _encrypted(wire: Wire, context: ssl.SSLContext, host: str = "localhost") -> str:
    """Starts TLS; the answer to the greeting that follows."""
    wire.say("EHLO client.example")
    assert wire.say("STARTTLS") == "220 2.0.0 SMTP server ready"
    wire.socket = context.wrap_socket(wire.socket, server_hostname=host)
    return wire.say("EHLO client.example")


@pytest.fixture
def wire(office: Office) -> Iterator[Wire]:
    opened = Wire(office)
    yield opened
    opened.socket.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("host", ["localhost", "smtp.office365.com", _LEGACY])
def test_tls_of_today_is_spoken_under_every_name(
    office: Office, wire: Wire, version: ssl.TLSVersion, host: str
) -> None:
    assert _encrypted(wire, _context(office, version), host) == "250 SMTPUTF8"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
@pytest.mark.parametrize("host", ["localhost", "smtp.office365.com"])
def test_old_tls_is_told_so_and_sent_away(office: Office, wire: Wire, version: ssl.TLSVersion, host: str) -> None:
    assert without_mark(_encrypted(wire, _context(office, version), host)) == _REFUSAL
    assert wire.reply() == ""


@pytest.mark.parametrize("allowed", [False, True], ids=["not opted in", "opted in"])
def test_the_legacy_host_is_for_tenants_that_opted_in(office: Office, wire: Wire, allowed: bool) -> None:
    """``AllowLegacyTLSClients``: whose mailbox it is shows only with the user name, so the refusal comes after it."""
    office.cmdlet("Set-TransportConfig", AllowLegacyTLSClients=allowed)
    person = office.person("sender")
    assert _encrypted(wire, _context(office, ssl.TLSVersion.TLSv1_1), _LEGACY) == "250 SMTPUTF8"
    answer = wire.sign_in(person.user_principal_name, person.password or "")
    assert without_mark(answer) == ("235 2.7.0 Authentication successful" if allowed else _REFUSAL)
    row = next(row for row in reversed(office.sandbox.log()) if row["method"] == "AUTH")
    assert (row["status"], row["code"], row["host"]) == (
        (235, None, _LEGACY) if allowed else (421, "legacy-tls", _LEGACY)
    )


def test_what_is_not_tls_ends_the_connection(wire: Wire) -> None:
    wire.say("EHLO client.example")
    assert wire.say("STARTTLS") == "220 2.0.0 SMTP server ready"
    wire.send(b"AUTH LOGIN " + base64.b64encode(b"in plain text") + b"\r\n" * 4)
    while wire.line():
        pass  # at most an alert
