"""Where a client secret or a certificate goes: one module in this package for each kind of place, found by its name.

Owns: what a sink is (``Sink``), its address (``kind:rest``), and finding its module. Does not own: the order in which
sinks are written and read back (``secrets.rotation``).

A module offers ``open_sink(rest, environ) -> Sink``, a docstring whose first line says what it stores into,
``RIGHTS``: the least that the caller must be allowed there, and ``WITHOUT_CERTIFICATES``: why it cannot hold a private
key and its certificate, which are some 3,000 characters in 50 lines; empty where it can. Its own library is imported
when it is opened, not before.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from provision.errors import InvalidInput
from provision.secrets.record import Kind


@dataclass(frozen=True)
class Delivery:
    """One client secret, or certificate with its private key, on its way to the places where it is used."""

    tenant_id: str
    client_id: str
    key_id: str
    expires: datetime
    value: str = field(repr=False)
    kind: Kind = "secret"


@dataclass(frozen=True)
class Stored:
    """What a place holds now, as far as it tells."""

    value: str | None = field(default=None, repr=False)
    """The secret; None where the place never shows one."""
    key_id: str | None = None
    """Which client secret it is, where the place can say so beside the value."""
    changed: str | None = None
    """When it was last written or which version it is, in the place's own words; another word after each write."""


class Sink(Protocol):
    """A place that holds one client secret. Every method raises a ``ProvisionError`` of one sentence."""

    @property
    def address(self) -> str:
        """``kind:rest`` as configured; no credential is ever part of it."""

    def check(self) -> None:
        """The dry run: reaches the place and refuses when ``write`` could not succeed; changes nothing."""

    def stored(self) -> Stored | None:
        """What is there now, read anew from the place; None when nothing is."""

    def write(self, delivery: Delivery) -> None:
        """Stores the secret in place of the one before; complete or not at all, and the same again when repeated."""

    def remove(self) -> None:
        """Takes away what ``write`` stored; nothing when nothing is there."""


def kinds() -> tuple[str, ...]:
    """Every kind of sink: the names of this package's modules."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def open_sink(address: str, environ: Mapping[str, str] = os.environ, *, kind: Kind = "secret") -> Sink:
    """The sink of an address, for example ``envfile:/srv/tms/mail.env#MAIL_CLIENT_SECRET``. Nothing is sent yet.

    Args:
        address: a kind, a colon and a place.
        environ: where the sink's own sign-in is found; never part of the address.
        kind: what it is to hold.

    Raises:
        InvalidInput: no such kind, one that cannot hold a certificate, its library is not installed, or the place is
            not written as that kind needs it.
    """
    name, _, rest = address.partition(":")
    if name not in kinds() or not rest:
        raise InvalidInput(
            f"The sink {address!r} is not a kind, a colon and a place.",
            remedy=f"Kinds: {', '.join(kinds())}. For example envfile:/srv/tms/mail.env",
        )
    module = importlib.import_module(f"{__name__}.{name}")
    if kind == "certificate" and module.WITHOUT_CERTIFICATES:
        able = [one for one in kinds() if not importlib.import_module(f"{__name__}.{one}").WITHOUT_CERTIFICATES]
        raise InvalidInput(
            f"A sink of the kind {name} cannot hold a certificate: {module.WITHOUT_CERTIFICATES}",
            remedy=f"Name one of the kinds {', '.join(able)}.",
        )
    try:
        sink: Sink = module.open_sink(rest, environ)
    except ModuleNotFoundError as missing:
        raise InvalidInput(
            f"A sink of the kind {name} needs the library {missing.name}, which is not installed.",
            remedy=f"pip install 'provision[{name}]'",
        ) from None
    return sink


def open_sinks(
    addresses: Sequence[str], environ: Mapping[str, str] = os.environ, *, kind: Kind = "secret"
) -> tuple[Sink, ...]:
    """The sinks of several addresses; takes what ``open_sink`` does.

    Raises:
        InvalidInput: one cannot be understood, or one place is named twice.
    """
    sinks = tuple(open_sink(address, environ, kind=kind) for address in addresses)
    seen = [sink.address for sink in sinks]
    if twice := next((address for address in seen if seen.count(address) > 1), None):
        raise InvalidInput(f"The sink {twice} is named twice.", remedy="Name it once.")
    return sinks
