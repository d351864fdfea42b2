"""The RSA key with which the local Entra signs its tokens, and its public half as JWKS.

Owns: making, keeping and publishing the key. Does not own: what a token says (``entra.tokens``).
The same key signs the assertions of the stand-in for a CI's OIDC issuer under another key id, because that issuer is
another party with its own JWKS document.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def base64url(data: bytes) -> str:
    """Base64url without padding, as JOSE writes it (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read; replaces it in one step."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


@dataclass(frozen=True)
class SigningKeys:
    """One RSA signing key and the self-signed certificate that Entra publishes with it (``x5c``)."""

    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def load(cls, path: Path) -> SigningKeys:
        """Reads the key from a PEM file (0600), making it on first use."""
        if not path.exists():
            write_private(path, _new_pem())
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} does not hold an RSA key")
        return cls(key, x509.load_pem_x509_certificate(pem))

    @property
    def thumbprint(self) -> str:
        """Base64url of the certificate's SHA-1, the ``x5t`` of Entra's tokens."""
        # SHA-1 is what RFC 7515 section 4.1.7 prescribes for x5t; it protects nothing here.
        return base64url(self.certificate.fingerprint(hashes.SHA1()))  # noqa: S303

    @property
    def key_id(self) -> str:
        """Entra's ``kid`` is the certificate's thumbprint."""
        return self.thumbprint

    def jwk(self, *, issuer: str) -> dict[str, Any]:
        """The public key as one entry of Entra's ``/discovery/v2.0/keys``.

        Args:
            issuer: the issuer for which Entra says the key is valid.
        """
        numbers = self.private_key.public_key().public_numbers()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.key_id,
            "x5t": self.thumbprint,
            "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": base64url(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(der).decode()],
            "cloud_instance_name": "microsoftonline.com",
            "issuer": issuer,
        }

    def pairwise(self, *parts: str) -> str:
        """A stable opaque identifier (``sub``, ``uti`` and the like) derived from the given parts."""
        secret = self.certificate.public_bytes(serialization.Encoding.DER)
        return base64url(hashlib.sha256(secret + "\0".join(parts).encode()).digest())


def _new_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
