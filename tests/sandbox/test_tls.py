"""The private authority's certificates satisfy the strictest client, and are renewed only when they must be."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from provision.sandbox import Sandbox
from provision.sandbox.tls import PUBLIC_HOSTS, Certificates


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "login.microsoftonline.com", "graph.microsoft.com"])
def test_strict_client_accepts_the_name(sandbox: Sandbox, name: str) -> None:
    """VERIFY_X509_STRICT is Python 3.13's default; it wants key usages and key identifiers."""
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", sandbox.state.port)) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        assert secured.version() in {"TLSv1.2", "TLSv1.3"}


def test_stranger_is_not_trusted(sandbox: Sandbox, tmp_path: Path) -> None:
    other = Certificates(tmp_path)
    other.ensure("127.0.0.1")
    context = ssl.create_default_context(cafile=str(other.ca_file))
    with (
        socket.create_connection(("127.0.0.1", sandbox.state.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_certificate_is_kept_until_a_name_is_missing(tmp_path: Path) -> None:
    """Clients trust the authority, so that stays; browsers refuse more than 398 days."""
    certificates = Certificates(tmp_path)
    certificates.ensure("127.0.0.1")
    authority, server = certificates.ca_file.read_bytes(), certificates.server_file.read_bytes()
    certificates.ensure("127.0.0.1")
    assert certificates.server_file.read_bytes() == server
    certificates.ensure("10.1.2.3")
    assert certificates.ca_file.read_bytes() == authority
    leaf = x509.load_pem_x509_certificate(certificates.server_file.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(PUBLIC_HOSTS) <= set(names.get_values_for_type(x509.DNSName))
    assert "10.1.2.3" in {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=398)
