"""The product itself: it takes each client secret by a signed message over HTTPS, and says which one it uses.

The address is ``webhook:https://host/path``. Messages are signed as the Standard Webhooks specification 1.0.0 says
(``signed``), with the key in ``PROVISION_WEBHOOK_KEY`` or in the private file that ``PROVISION_WEBHOOK_KEY_FILE``
names. What a product's developer writes for it is in docs/webhook.md.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from urllib.parse import urlsplit

from provision.errors import InvalidInput, NotDelivered, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.https import Answer, ask
from provision.secrets.signed import signer
from provision.secrets.sinks import Delivery, Stored

RIGHTS = "The key that the product shows for this one customer (whsec_…); it permits nothing else."
WITHOUT_CERTIFICATES = "the product's webhook takes client secrets only (docs/webhook.md)."

_KEY = "PROVISION_WEBHOOK_KEY"
_PATH = re.compile(r"(/[A-Za-z0-9._~%!$&'()*+,;=:@-]*)*")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")
_WORD = re.compile(r"[a-z][a-z_]{1,31}")
_MAX_KEY_ID = 128


@dataclass(frozen=True)
class WebhookSink:
    """One customer's address at a product."""

    address: str
    url: str
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Asks the product which secret it uses, which proves the way, the key and both clocks."""
        self._status()

    def stored(self) -> Stored | None:
        """The key id that the product uses now; None when it has taken none over. It never tells the value."""
        status = self._status()
        return None if status is None else Stored(key_id=status.key_id, changed=status.fingerprint)

    def write(self, delivery: Delivery) -> None:
        """Hands the secret over; the message's id is its key id, so that a repeated one changes nothing.

        Raises:
            NotDelivered: the product answers that it holds another value than the one sent.
        """
        answer = self._send(
            "client-secret.rotated",
            delivery.key_id,
            tenantId=delivery.tenant_id,
            clientId=delivery.client_id,
            keyId=delivery.key_id,
            expires=delivery.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            clientSecret=delivery.value,
        )
        told = answer.document
        held = told.get("fingerprint") if isinstance(told, dict) else None
        if held is not None and not _same(held, fingerprint(delivery.key_id, delivery.value)):
            raise NotDelivered(
                f"The product at {self.url} holds another value than the one sent (its fingerprint differs).",
                remedy="Its developer finds the fingerprint in docs/webhook.md; a column that is too short is common.",
            )

    def remove(self) -> None:
        """Tells the product to give the secret up that it took over; nothing when it took none."""
        status = self._status()
        if status is not None:
            self._send("client-secret.removed", f"removed-{status.key_id}", keyId=status.key_id)

    def _status(self) -> _Status | None:
        document = self._send("client-secret.status", f"status-{uuid.uuid4()}").document
        if not isinstance(document, dict) or "keyId" not in document:
            raise self._speaks_otherwise()
        key_id, held = document["keyId"], document.get("fingerprint")
        if key_id is None:
            return None
        if not isinstance(key_id, str) or not 0 < len(key_id) <= _MAX_KEY_ID:
            raise self._speaks_otherwise()
        return _Status(key_id, held if isinstance(held, str) else None)

    def _send(self, event: str, message_id: str, **values: str) -> Answer:
        sign = signer(message_id, _KEY, self.environ)
        answer = ask("POST", self.url, environ=self.environ, body={"event": event, **values}, sign=sign)
        if not answer.is_success:
            raise self._refused(answer, values.get("clientSecret", ""))
        return answer

    def _refused(self, answer: Answer, value: str) -> ProvisionError:
        """The sentence for a refusal. Of the answer only its one-word ``error`` is told: its text may quote."""
        where, status = f"The product at {self.url}", answer.status
        told = answer.document
        word = told.get("error") if isinstance(told, dict) else None
        said = f" ({word})" if isinstance(word, str) and _WORD.fullmatch(word) and word not in value else ""
        if answer.is_redirect:
            return InvalidInput(
                f"{where} answers with a redirect (HTTP {status}), which is not followed.",
                remedy="Name the address that it leads to, if it is the product's own.",
            )
        if status == 401:
            return SignInFailed(
                f"{where} does not accept the signature{said}.",
                remedy=f"Compare {_KEY} with the product's key, and this machine's clock with the time.",
            )
        if status == 403:
            return NotPermitted(
                f"{where} refuses the message{said}: it is set up for another tenant or client id.",
                remedy="Correct the address, or the three values in the product.",
            )
        if status in (404, 405, 410):
            return InvalidInput(
                f"Nothing takes client secrets at {self.url} (HTTP {status}{said}).",
                remedy="Correct the address, or set up the webhook in the product.",
            )
        if answer.is_busy:
            return Unreachable(f"{where} cannot take it now: HTTP {status}{said}.", remedy="Run again.")
        return NotDelivered(
            f"{where} does not take the message: HTTP {status}{said}.", remedy="Look into the product's own log."
        )

    def _speaks_otherwise(self) -> Unreachable:
        return Unreachable(
            f"The product at {self.url} does not say which client secret it uses.",
            remedy="Check the address; docs/webhook.md says what it answers.",
        )


@dataclass(frozen=True)
class _Status:
    key_id: str
    fingerprint: str | None


def fingerprint(key_id: str, value: str) -> str:
    """What a product may answer to show that it holds a value: SHA-256, in hex, of the key id, a full stop and it."""
    return hashlib.sha256(f"{key_id}.{value}".encode()).hexdigest()


def _same(told: object, expected: str) -> bool:
    return isinstance(told, str) and hmac.compare_digest(told.lower().encode(), expected.encode())


def open_sink(rest: str, environ: Mapping[str, str]) -> WebhookSink:
    """The sink of ``https://host/path``.

    Raises:
        InvalidInput: not https, or with a user, a query or a fragment: an address is shown, so it holds no credential.
    """
    import standardwebhooks  # noqa: F401 - a missing library is said before anything is made

    try:
        parts = urlsplit(rest)
        plain = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) and _PATH.fullmatch(parts.path)
        valid = bool(plain) and parts.port != 0 and not {"?", "#"} & set(rest)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidInput(
            "The webhook's address is not https:// with a host and a path alone.",
            remedy="For example webhook:https://my.cloudex.app/ACME/Services/ClientSecret",
        )
    url = f"https://{parts.netloc.lower()}{parts.path}"
    return WebhookSink(f"webhook:{url}", url, environ)
