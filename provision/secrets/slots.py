"""A client secret minted through Microsoft Graph, for stacks whose state must not hold its value.

Owns: deciding whether a new one is needed, minting it, proving nothing is lost on the way, and what the stack's
configuration remembers (key id and expiry, never the value). Does not own: where the value goes (``sinks``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from provision.errors import InvalidInput
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Application, Password
from provision.secrets.sinks import Delivery, Sink, open_sink
from provision.settings.stack import NAMESPACE, StackSettings


@dataclass(frozen=True)
class Minted:
    """A secret that was made and handed over."""

    key_id: str
    expires: datetime
    sink: str
    """Where its value is, in words."""

    def configuration(self) -> dict[str, str]:
        """What the stack's configuration remembers of it."""
        return {
            f"{NAMESPACE}:secretKeyId": self.key_id,
            f"{NAMESPACE}:secretExpires": self.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def ensure_secret(
    graph: Graph,
    settings: StackSettings,
    *,
    client_id: str,
    name: str,
    end: datetime,
    remember: Callable[[Minted], None],
    now: datetime | None = None,
) -> Minted | None:
    """Makes a client secret unless the one that the stack remembers is alive.

    The place for the value is checked before the secret is made. When the value cannot be stored, or the key id cannot
    be remembered, the secret is removed again: a secret whose value nobody has is never left behind.

    Args:
        graph: the tenant.
        settings: the stack's; ``secret_key_id`` is the remembered one, ``secret_sink`` the place for the value.
        client_id: the registration's Application (client) ID.
        name: the secret's description; an interrupted run's secret of that name is removed first.
        end: when a new one expires.
        remember: stores key id and expiry in the stack's configuration, before the secret counts as made.
        now: the present; the machine's clock without it.

    Returns:
        The new secret, or None when the remembered one is alive.

    Raises:
        InvalidInput: no place for the value is configured.
        WouldOverwrite: the place is taken.
        PolicyRefuses, NotPermitted, Unreachable: from Microsoft Graph.
    """
    application = graph.wait_until_readable(lambda: graph.application_by_app_id(client_id), "the app registration")
    if _alive(application, settings.secret_key_id, now or datetime.now(UTC)):
        return None
    sink = _place(settings)
    stored = _stored(application, settings, name, sink)
    if stored is None:
        sink.check()
    for password in application.passwords:
        if password.display_name == name and password not in (stored, _remembered(application, settings)):
            graph.remove_password(application.object_id, password.key_id)
    if stored is not None:
        kept = Minted(stored.key_id, stored.end or end, sink.address)
        remember(kept)
        return kept
    made = graph.add_password(application.object_id, name, end)
    minted = Minted(made.key_id, made.end, sink.address)
    written = False
    try:
        sink.write(Delivery(settings.tenant_id or "", client_id, made.key_id, made.end, made.value))
        written = True
        remember(minted)
    except BaseException:  # an interruption too: what is not remembered must not stay
        graph.remove_password(application.object_id, made.key_id)
        if written:
            sink.remove()
        raise
    return minted


def require_place(settings: StackSettings, application: Application | None, name: str) -> None:
    """Refuses, before anything is changed, when a secret will be made and its value could not be stored.

    Args:
        settings: the stack's.
        application: the registration; None when it is still to be made.
        name: the secret's description.

    Raises:
        InvalidInput: no place for the value is configured.
        WouldOverwrite: the place is taken, and not by an interrupted run's secret.
    """
    if application is not None and _alive(application, settings.secret_key_id, datetime.now(UTC)):
        return
    sink = _place(settings)
    if application is None or _stored(application, settings, name, sink) is None:
        sink.check()


def _stored(application: Application, settings: StackSettings, name: str, sink: Sink) -> Password | None:
    """The secret of a run that was killed after it had stored the value and before it had remembered the key id.

    Graph shows a secret's first three characters (``hint``); with our name on it, and not being the remembered one,
    that is enough to know it from another file's text.
    """
    held = sink.stored()
    return next(
        (
            password
            for password in application.passwords
            if password.display_name == name
            and password.key_id != settings.secret_key_id
            and password.hint
            and held is not None
            and (held.value or "").startswith(password.hint)
        ),
        None,
    )


def _remembered(application: Application, settings: StackSettings) -> Password | None:
    return next((password for password in application.passwords if password.key_id == settings.secret_key_id), None)


def _alive(application: Application, key_id: str | None, now: datetime) -> bool:
    return any(
        password.key_id == key_id and (password.end is None or password.end > now) for password in application.passwords
    )


def _place(settings: StackSettings) -> Sink:
    if settings.secret_sink is None:
        raise InvalidInput(
            "With secretInState: false the secret's value needs a place, and none is configured.",
            remedy="Name a new file: provision up --secret-in-state false --secret-file FILE",
        )
    return open_sink(settings.secret_sink)
