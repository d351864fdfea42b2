"""A certificate that an application signs in with: a new RSA key, and a certificate over it that signs itself.

Owns: making both, and telling one of ours from anybody else's. The private key leaves this process only into the
places that somebody named (``sinks``), never to Microsoft, which gets the certificate alone.

Entra takes RSA keys of 2,048 bits and more ("Microsoft identity platform application authentication certificate
credentials") and does not ask who signed the certificate, unless a policy of the tenant does.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BITS = 2048
_MADE_BY = "provision"
"""The certificate's organizational unit, by which a file that holds one of ours is known."""


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate."""

    pem: str = field(repr=False)
    """The key (PKCS#8), then the certificate, PEM, without a line break at the end."""
    certificate: str
    """The certificate alone, DER in base64, as Graph takes it."""
    thumbprint: str
    """SHA-1 of the certificate in base64: the ``customKeyIdentifier`` that Graph would fill in."""


def make(name: str, *, start: datetime, end: datetime) -> KeyPair:
    """Makes a key and its certificate.

    Args:
        name: whose it is: the application's client id.
        start: from when it is valid, whole seconds.
        end: until when, whole seconds.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    who = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _MADE_BY),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    # SHA-1 is what Entra calls the thumbprint; it names the certificate and protects nothing.
    return KeyPair(
        pem=f"{private.decode()}{public.decode()}".strip(),
        certificate=base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
        thumbprint=base64.b64encode(certificate.fingerprint(hashes.SHA1())).decode(),  # noqa: S303
    )


def is_ours(text: str) -> bool:
    """Whether a text is a private key and a certificate as ``make`` makes them, and nothing else."""
    if text.count("-----BEGIN ") != 2 or not text.startswith("-----BEGIN PRIVATE KEY-----"):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return False
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return certificate.subject == certificate.issuer and [unit.value for unit in units] == [_MADE_BY]
