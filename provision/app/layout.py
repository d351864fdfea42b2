"""Which of the two secret slots exist, and which one is in use: kept in the stack's own outputs.

Not in its settings: those stand in a repository, and a pipeline's checkout would bring back yesterday's slots, which
would make Pulumi delete the secret in use. ``provision`` knows the state and hands the layout to the program
(``PROVISION_SECRETS``); under plain ``pulumi up`` the program asks the engine for the outputs of its own stack.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from provision.errors import InvalidInput
from provision.settings.stack import SLOTS, Slot

LAYOUT_VARIABLE = "PROVISION_SECRETS"
Owner = Literal["state", "graph"]


@dataclass(frozen=True)
class Layout:
    """The slots of one stack; no secret in it."""

    active: Slot = "a"
    """The slot in use."""
    slots: tuple[Slot, ...] = ("a",)
    """Which slots exist: one, or both while a rotation's overlap lasts."""
    key_id: str | None = None
    """Where the state does not hold the value: the key id of the secret in use."""
    expires: str | None = None
    """Where the state does not hold the value: when the secret in use expires, RFC 3339."""
    owner: Owner | None = None
    """Who keeps the secret in use: Pulumi's state, or the places it was given to (``secretInState: false``)."""

    def require_owner(self, *, in_state: bool) -> None:
        """Refuses settings under which Pulumi would delete the secret in use, or a second one would be made.

        Args:
            in_state: the setting ``secretInState``.

        Raises:
            InvalidInput: the secret in use is kept by the other.
        """
        if self.owner is None or (self.owner == "state") == in_state:
            return
        kept, other = ("Pulumi's state", "graph") if self.owner == "state" else ("its sinks alone", "state")
        raise InvalidInput(
            f"The client secret in use is kept in {kept}, and secretInState is now {str(in_state).lower()}: the "
            "product would lose it.",
            remedy=f"Move it with `provision secrets move --to {other}`, which changes the setting too.",
        )

    def with_slot(self, slot: Slot) -> Layout:
        """The same with one slot more."""
        return replace(self, slots=tuple(s for s in SLOTS if s in self.slots or s == slot))

    def without_slot(self, slot: Slot) -> Layout:
        """The same with one slot less; the one in use stays."""
        return replace(self, slots=tuple(s for s in self.slots if s != slot or s == self.active))

    def with_active(self, slot: Slot) -> Layout:
        """The same with another slot in use."""
        return replace(self.with_slot(slot), active=slot)

    def to_json(self) -> str:
        """One line for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Reads ``to_json``'s line.

        Raises:
            InvalidInput: it is not one.
        """
        try:
            values = json.loads(text)
            return cls(**{**values, "slots": tuple(values["slots"])})
        except (ValueError, TypeError, KeyError):
            raise InvalidInput(f"{LAYOUT_VARIABLE} does not hold a layout.", remedy="Unset it.") from None

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Layout:
        """Reads a stack's outputs; a stack without any has the first slot."""
        slots = tuple(slot for slot in SLOTS if slot in (outputs.get("secretSlots") or ()))
        active = outputs.get("secretSlot")
        if not slots or active not in slots:
            return cls()
        if outputs.get("clientSecret") is not None:
            return cls(active, slots, owner="state")
        key_id = outputs.get("secretKeyId")
        return cls(active, slots, key_id, outputs.get("secretExpires"), owner="graph" if key_id else None)


def own_layout(environ: Mapping[str, str] = os.environ) -> Layout:
    """The layout of the stack whose program this is.

    Args:
        environ: the process's environment; ``PROVISION_SECRETS`` in it saves asking the engine.

    Raises:
        InvalidInput: what was handed on is no layout.
    """
    if handed_on := environ.get(LAYOUT_VARIABLE):
        return Layout.from_json(handed_on)
    import pulumi

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    answer = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value
    return Layout.from_outputs((answer or {}).get("outputs") or {})
