"""The private certificate authority of the local tenant and the server certificate it issues.

Owns: making and renewing both, on disk, keys readable by their owner only.
Does not own: trusting the authority; that is the client's setting (``provision sandbox env``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.sandbox.keys import write_private

PUBLIC_HOSTS: tuple[str, ...] = (
    "login.microsoftonline.com",
    "login.microsoft.com",
    "login.windows.net",
    "sts.windows.net",
    "graph.microsoft.com",
    "graph.windows.net",
    "management.azure.com",
    "management.core.windows.net",
    "outlook.office365.com",
    "outlook.office.com",
    "smtp.office365.com",
    "smtp-legacy.office365.com",
    "autodiscover-s.outlook.com",
    "microsoft.com",
    "www.microsoft.com",
    "smtp.gmail.com",
    "admin.googleapis.com",
    "oauth2.googleapis.com",
    "cloudidentity.googleapis.com",
    "my.cloudex.app",
    "contoso.example",
    "mail.contoso.example",
    "autodiscover.contoso.example",
)
"""Names of Microsoft, Google, the sample product and the first tenant's own Exchange, for clients whose hosts are fixed
(in a network namespace)."""

_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 390
"""Browsers refuse server certificates that live longer than 398 days (CA/Browser Forum ballot SC-31)."""
_RENEW_BEFORE_DAYS = 30


class Certificates:
    """The files of one authority and its server certificate.

    Args:
        directory: where they are; made on first use.
    """

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "ca.pem"
        self.ca_key_file = directory / "ca-key.pem"
        self.server_file = directory / "server.pem"
        self.server_key_file = directory / "server-key.pem"

    def ensure(self, address: str) -> None:
        """Makes what is missing, expired or issued for other names.

        Args:
            address: the IP address or name the server listens on, beside the loopback names.
        """
        if not (self.ca_file.exists() and self.ca_key_file.exists()):
            self._make_authority()
        names = ["localhost", *PUBLIC_HOSTS]
        addresses = ["127.0.0.1", "::1"]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            names += [address] if address not in names else []
        else:
            addresses += [address] if address not in {*addresses, "0.0.0.0", "::"} else []  # noqa: S104 - compared
        if not self._server_certificate_serves(names, addresses):
            self._make_server(names, addresses)

    def _make_authority(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provision sandbox private CA")])
        usage = _key_usage(digital_signature=False, signs_certificates=True)
        certificate = (
            _builder(name, name, key.public_key(), days=_AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self.ca_key_file, _pem(key))
        write_private(self.ca_file, certificate.public_bytes(serialization.Encoding.PEM))
        self.server_file.unlink(missing_ok=True)

    def _server_certificate_serves(self, names: Sequence[str], addresses: Sequence[str]) -> bool:
        if not (self.server_file.exists() and self.server_key_file.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(self.server_file.read_bytes())
        if certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=_RENEW_BEFORE_DAYS):
            return False
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(names) <= set(alternative.get_values_for_type(x509.DNSName)) and set(addresses) <= {
            str(ip) for ip in alternative.get_values_for_type(x509.IPAddress)
        }

    def _make_server(self, names: Sequence[str], addresses: Sequence[str]) -> None:
        authority = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        authority_key = serialization.load_pem_private_key(self.ca_key_file.read_bytes(), password=None)
        if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.ca_key_file} does not hold an EC key")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        alternative = x509.SubjectAlternativeName(
            [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses)]
        )
        issuer_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(subject, authority.subject, key.public_key(), days=_LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True, signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(alternative, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        write_private(self.server_key_file, _pem(key))
        write_private(self.server_file, certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, digital_signature: bool, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
