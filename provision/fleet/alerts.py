"""Ways to tell somebody what has changed in a fleet: a signed webhook, and mail over a relay.

Owns: what a message says on each way, and the sentence for a refusal. Does not own: what is told, and when (``watch``).
A message that a watcher sends again after it was killed has the same id: ``webhook-id``, ``Message-ID``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import smtplib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from provision.errors import InvalidInput, NotDelivered, ProvisionError, SignInFailed, Unreachable
from provision.secrets.files import read_key_file
from provision.secrets.https import ask, origin
from provision.secrets.signed import signer, signing_keys
from provision.settings.endpoints import tls_context, unreachable

WEBHOOK, KEY = "PROVISION_ALERT_WEBHOOK", "PROVISION_ALERT_KEY"
USER, PASSWORD = "PROVISION_ALERT_SMTP_USER", "PROVISION_ALERT_SMTP_PASSWORD"
_SECONDS = 30.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MADE_UP = re.compile(r"(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{12,}")
"""What a machine has made up, as in the addresses that Slack and Discord hand out: letters and digits in one piece."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True)
class Alert:
    """One change."""

    key: str
    """The tenant's row; empty for the fleet as a whole."""
    kind: str
    """drift, failed, secret-ends, secret-ended, recovered."""
    message: str
    remedy: str = ""
    tenant_id: str | None = None

    def __str__(self) -> str:
        return _line(f"{self.key or 'the fleet'}: {self.kind}: {self.message} {self.remedy}".rstrip())


@dataclass(frozen=True)
class Message:
    """Changes that are told together."""

    id: str
    fleet: str
    at: str
    """When they were seen (ISO 8601, UTC)."""
    alerts: tuple[Alert, ...]

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Message:
        """Reads ``dataclasses.asdict``'s JSON."""
        return cls(**{**document, "alerts": tuple(Alert(**alert) for alert in document["alerts"])})


class Channel(Protocol):
    """A way to tell."""

    @property
    def name(self) -> str:
        """As it is kept in the store: the same way has the same name after a restart. No secret in it."""

    def send(self, message: Message) -> None:
        """Tells it.

        Raises:
            ProvisionError: it was not taken.
        """


@dataclass(frozen=True)
class Webhook:
    """An address that takes signed messages."""

    url: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """See ``Channel``."""
        return f"webhook {origin(self.url)} (address {hashlib.sha256(self.url.encode()).hexdigest()[:8]})"

    def send(self, message: Message) -> None:
        """See ``Channel``; an answer that says "busy" is asked for again twice."""
        body = {
            "type": "fleet.changed",
            "timestamp": message.at,
            "data": {"fleet": message.fleet, "changes": [_document(alert) for alert in message.alerts]},
        }
        sign = signer(message.id, KEY, self.environ)
        answer = ask("POST", self.url, environ=self.environ, body=body, sign=sign)
        if not answer.is_success:
            kind = SignInFailed if answer.status in (401, 403) else Unreachable if answer.is_busy else NotDelivered
            raise kind(
                f"The webhook at {origin(self.url)} does not take the message: HTTP {answer.status}.",
                remedy=f"Compare its address and {KEY} with what the receiver shows.",
            )


@dataclass(frozen=True)
class Mail:
    """Mail to one person over a relay, by SMTP with TLS from its first word or by STARTTLS; never without.

    A letter for several would be sent again to all of them when the relay takes it for some and refuses the others.
    """

    host: str
    port: int
    implicit_tls: bool
    sender: str
    to: str
    environ: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """See ``Channel``."""
        return f"mail {self.to}"

    def send(self, message: Message) -> None:
        """See ``Channel``."""
        letter = self.letter(message)
        where = f"The mail relay {self.host}:{self.port}"
        try:
            with self._connected() as relay:
                relay.send_message(letter, from_addr=self.sender, to_addrs=[self.to])
        except smtplib.SMTPAuthenticationError as error:
            raise SignInFailed(
                f"{where} does not accept the sign-in: {_said(error)}.", remedy=f"Correct {USER} and {PASSWORD}."
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[self.to]
            raise _not_taken(where, f"{code} {_line(text)}") from None
        except smtplib.SMTPResponseException as error:
            raise _not_taken(where, _said(error)) from None
        except smtplib.SMTPException as error:
            raise Unreachable(f"{where} cannot be used: {_line(str(error))}.", remedy="Check its address.") from None
        except OSError as error:
            ca_file = self.environ.get("SSL_CERT_FILE")
            raise unreachable(f"smtp://{self.host}:{self.port}", error, ca_file=ca_file) from None

    def letter(self, message: Message) -> EmailMessage:
        """The message as plain text; nothing in it is a header of its own."""
        letter = EmailMessage()
        counts: dict[str, int] = {}
        for alert in message.alerts:
            counts[alert.kind] = counts.get(alert.kind, 0) + 1
        what = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        letter["Subject"] = _line(f"Fleet {message.fleet}: {what}")
        letter["From"] = self.sender
        letter["To"] = self.to
        letter["Date"] = datetime.fromisoformat(message.at)
        letter["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content("".join(f"{alert}\n" for alert in message.alerts) + f"\nSeen {message.at}.\n")
        return letter

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = tls_context(self.environ.get("SSL_CERT_FILE"))
        if self.implicit_tls:
            relay: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_SECONDS, context=context)
        else:
            relay = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        try:
            if not self.implicit_tls:
                relay.starttls(context=context)  # refused when the relay does not offer it
            if user := self.environ.get(USER):
                relay.login(user, _password(self.environ))
            yield relay
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):  # what was taken is taken, however they part
                relay.quit()
            relay.close()


def open_webhooks(given: Sequence[str], environ: Mapping[str, str] = os.environ) -> list[Webhook]:
    """The webhooks of a command.

    Many receivers take a word in the address as the right to send. So an address may be a secret, and then it comes by
    environment or by a private file, never by an argument, which every process of the machine can read.

    Args:
        given: what the command line says: ``env:NAME``, ``file:/path``, or an address without such a word.
        environ: where ``env:`` looks; ``PROVISION_ALERT_WEBHOOK``, or the file that the variable with ``_FILE`` names,
            has further addresses, separated by blanks.

    Raises:
        InvalidInput: an address is not https, or belongs into the environment; there is none where one should be; or
            the key is not there or not written as keys are. No address is told.
    """
    places = [*given]
    places += [f"env:{WEBHOOK}"] * bool(environ.get(WEBHOOK))
    places += [f"file:{file}" for file in [environ.get(f"{WEBHOOK}_FILE")] if file]
    return [_webhook(url, environ) for url in dict.fromkeys(url for place in places for url in _at(place, environ))]


def _at(place: str, environ: Mapping[str, str]) -> list[str]:
    """The addresses at a place."""
    kind, _, rest = place.partition(":")
    if kind == "env":
        found = environ.get(rest, "") if _VARIABLE.fullmatch(rest) else ""
        what = f"the environment variable {rest}" if _VARIABLE.fullmatch(rest) else "the variable after env:"
    elif kind == "file" and "://" not in rest:
        found, what = read_key_file(Path(rest), "the webhook's file"), rest
    else:
        if _MADE_UP.search(place) or set("?#@") & set(place):
            raise InvalidInput(
                "The address of --webhook looks as if it held the right to send, and a command line can be read by "
                "every process of the machine.",
                remedy=f"Put it into {WEBHOOK}, or name its place: --webhook env:NAME, --webhook file:/path. Have the "
                "receiver make another one: this one was seen.",
            )
        return [place]
    if not found.split():
        raise InvalidInput(f"There is no webhook's address in {what}.", remedy="Write it there: https://host/path")
    return found.split()


def _webhook(url: str, environ: Mapping[str, str]) -> Webhook:
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidInput("The webhook's address is not https:// with a host.", remedy="For example https://host/path")
    try:
        signing_keys(KEY, environ)
    except ModuleNotFoundError as missing:
        raise InvalidInput(
            f"A webhook needs the Python package {missing.name}, which is not installed.",
            remedy="pip install 'provision[fleet,webhook]'",
        ) from None
    return Webhook(url, environ)


def open_mail(relay: str, sender: str, to: Sequence[str], environ: Mapping[str, str] = os.environ) -> list[Mail]:
    """Mail to each of some people over one relay.

    Args:
        relay: ``smtp://host:port`` (STARTTLS, port 587) or ``smtps://host:port`` (TLS, port 465).
        sender: the address it comes from.
        to: whose it is; each gets a letter.
        environ: has the sign-in, if the relay wants one.

    Raises:
        InvalidInput: the relay or an address cannot be understood, or the password is not there.
    """
    try:
        parts = urlsplit(relay)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or "@" in parts.netloc or parts.path.strip("/"):
        raise InvalidInput(
            "The mail relay is not smtp://host:port or smtps://host:port.",
            remedy=f"A user and a password belong into {USER} and {PASSWORD}.",
        )
    for address in (sender, *to):
        if not _ADDRESS.fullmatch(address):
            raise InvalidInput(f"{address!r} is no mail address.", remedy="Write it as name@domain.")
    if environ.get(USER):
        _password(environ)
    implicit = parts.scheme == "smtps"
    port = port or (465 if implicit else 587)
    return [Mail(parts.hostname, port, implicit, sender, address, environ) for address in dict.fromkeys(to)]


def _password(environ: Mapping[str, str]) -> str:
    given, file = environ.get(PASSWORD, ""), environ.get(f"{PASSWORD}_FILE", "")
    if bool(given) == bool(file):
        raise InvalidInput(
            f"Give the relay's password either in {PASSWORD} or in the private file that {PASSWORD}_FILE names.",
            remedy=f"Without {USER} no sign-in is tried.",
        )
    return given or read_key_file(Path(file), f"{PASSWORD}_FILE").rstrip("\r\n")


def _document(alert: Alert) -> dict[str, Any]:
    named = {"tenant_id": "tenantId"}
    return {named.get(name, name): value for name, value in asdict(alert).items()}


def _not_taken(where: str, said: str) -> ProvisionError:
    kind = Unreachable if said.startswith("4") else NotDelivered
    return kind(f"{where} does not take the message: {said}.", remedy="Look whether it may send from and to there.")


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_line(error.smtp_error)}"


def _line(text: str | bytes) -> str:
    """A text as one line."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return _CONTROL.sub(" ", plain).strip().rstrip(".") if isinstance(text, bytes) else _CONTROL.sub(" ", plain).strip()
