"""Moving a secret in use between its two owners: Pulumi's state, or its sinks alone (``secretInState: false``).

Owns: the order, which is such that a run that stops in between leaves settings and state at odds, and every later run
but this one refuses (``Layout.require_owner``) instead of deleting the secret or making a second one. Nothing is made
or removed in the tenant. Does not own: how Pulumi's state is changed (``stack_slots``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from provision.app.layout import LAYOUT_VARIABLE, Layout, Owner
from provision.errors import InvalidInput
from provision.journal.lease import Lease
from provision.onboard.stack_slots import StackSlots
from provision.secrets.due import Pace
from provision.secrets.record import Secret
from provision.secrets.rotation import Rotation, Wish
from provision.secrets.sinks import Sink


def move(
    owner: Owner,
    *,
    slots: StackSlots,
    sinks: Sequence[Sink],
    lease: Lease,
    prove: Callable[[str], object],
    now: Callable[[], datetime],
    say: Callable[[str], None],
    configure: Callable[[], None],
) -> list[str]:
    """Moves the secret in use.

    Args:
        owner: who is to keep it.
        slots: the stack's slots.
        sinks: where the secret is used.
        lease: the registration's, held.
        prove: gets tokens with a value, or raises.
        now: the present, by Microsoft's clock.
        say: told single lines on the way.
        configure: writes ``secretInState`` into the stack's settings.

    Returns:
        What was done, in lines.

    Raises:
        InvalidInput: a rotation is not over, there is no sink, or no sink shows the value.
        NotDelivered: a sink does not hold the secret.
    """
    if not sinks:
        raise InvalidInput(
            "The secret has no sink: nobody could hand it over.",
            remedy="Name where it is used: --sink envfile:/srv/tms/mail.env (docs/sinks.md).",
        )
    rotation = Rotation(
        slots=slots, sinks=sinks, lease=lease, prove=prove, pace=Pace(), now=now, say=say, pause=lambda _: None
    )
    report = rotation.run(Wish(only_finish=True))
    active = report.active
    if report.retiring or active is None:
        raise InvalidInput(
            "A rotation is not over: an old secret still works.",
            remedy="Run provision rotate after its overlap, then this.",
        )
    if owner == "graph":
        return _out_of_the_state(slots, active, configure, [sink.address for sink in sinks])
    return _into_the_state(slots, active, sinks, prove, configure)


def _out_of_the_state(
    slots: StackSlots, active: Secret, configure: Callable[[], None], places: Sequence[str]
) -> list[str]:
    configure()
    slots.forget(active.slot)
    _run(slots, Layout(active.slot, (active.slot,), active.key_id, active.expires, owner="graph"))
    return [f"Pulumi's state no longer holds the client secret {active.key_id}; it is in {', '.join(places)}."]


def _into_the_state(
    slots: StackSlots,
    active: Secret,
    sinks: Sequence[Sink],
    prove: Callable[[str], object],
    configure: Callable[[], None],
) -> list[str]:
    held = slots.held().get(active.slot)
    if held is None or held.key_id != active.key_id:
        value = _shown(active, sinks)
        prove(value)
        configure()
        slots.keep(active, value)
    else:
        configure()
    _run(slots, Layout(active.slot, (active.slot,), owner="state"))
    return [f"Pulumi's state holds the client secret {active.key_id}, encrypted; the sinks keep theirs."]


def _run(slots: StackSlots, layout: Layout) -> None:
    slots.runner.add_environment({LAYOUT_VARIABLE: layout.to_json()})
    slots.runner.up()


def _shown(active: Secret, sinks: Sequence[Sink]) -> str:
    """The value, from a sink that shows what it holds and holds just this secret."""
    for sink in sinks:
        stored = sink.stored()
        if stored is not None and stored.value is not None and active.is_value(stored.value):
            return stored.value
    raise InvalidInput(
        "No sink shows the value of the secret in use, and nobody else has it.",
        remedy="Rotate with a sink that can be read, such as envfile, then move.",
    )
