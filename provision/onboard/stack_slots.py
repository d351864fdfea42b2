"""Slots whose secrets are Pulumi resources of a stack: the value stays in the state, encrypted.

Owns: turning "make", "put to use" and "remove" into engine runs with another layout (``app.layout``). Does not own: the
order in which they come (``secrets.rotation``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provision.app.adopt import APPLICATION, PASSWORD
from provision.app.layout import LAYOUT_VARIABLE, Layout
from provision.engine.events import SECRET_MARK
from provision.engine.stack import StackRunner, secret_property
from provision.errors import ProvisionError
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Listed, NewCredential
from provision.secrets.record import Kind, Secret
from provision.secrets.rotation import Held
from provision.settings.stack import SLOTS, Slot


@dataclass
class StackSlots:
    """The two slots of one stack.

    Args:
        runner: the stack, ready to run as the caller who is signed in.
        graph: the tenant.
        object_id: the registration's object id.
        tenant_id: the tenant's id.
        client_id: the registration's Application (client) ID.
        names: display names of the slots' secrets.
        layout: which slots exist and which is in use.
    """

    runner: StackRunner
    graph: Graph = field(repr=False)
    object_id: str
    tenant_id: str
    client_id: str
    names: Mapping[Slot, str]
    layout: Layout
    kind: Kind = "secret"
    roomy: bool = False
    """A slot is one resource."""

    def name(self, slot: Slot) -> str:
        """The display name of a slot's secrets."""
        return self.names[slot]

    def listed(self) -> tuple[Listed, ...]:
        """Every client secret of the registration, as Graph lists them now."""
        found = self.graph.wait_until_readable(
            lambda: self.graph.application(self.object_id), "the app registration", seconds=60.0
        )
        return found.passwords

    def held(self) -> Mapping[Slot, Held]:
        """The secrets in the state."""
        return {
            slot: Held(_key_id(resource), _moment(resource, "endDate"), _moment(resource, "startDate"))
            for slot, resource in _resources(self.runner.export_if_made()).items()
        }

    def active(self) -> Slot | None:
        """The slot whose secret is the stack's output."""
        return self.layout.active if self.layout.owner == "state" else None

    def mint(self, slot: Slot) -> NewCredential:
        """Makes a secret with an engine run; one that the state still has in that slot is gone from the tenant."""
        if slot in self.held():
            self._up(self.layout.without_slot(slot))
        self._up(self.layout.with_slot(slot))
        made = self.recall(slot)
        if made is None:
            raise ProvisionError(
                f"Pulumi's state holds no client secret in slot {slot} after it was made.", remedy="Run again."
            )
        return made

    def recall(self, slot: Slot) -> NewCredential | None:
        """A slot's secret out of the state; it stays in this process's memory."""
        if slot not in _resources(self.runner.export_if_made()):
            return None
        resource = _resources(self.runner.export(show_secrets=True)).get(slot)
        if resource is None:
            return None
        value = resource["outputs"]["value"]
        if isinstance(value, dict) and SECRET_MARK in value:
            value = json.loads(value["plaintext"])
        return NewCredential(_key_id(resource), _moment(resource, "endDate"), str(value))

    def activate(self, secret: Secret) -> None:
        """Makes a slot's secret the stack's output."""
        self._up(self.layout.with_active(secret.slot))

    def remove(self, secret: Secret) -> None:
        """Removes a slot with an engine run; a secret that is in no slot, by its key id.

        A slot that the outputs name and the state has no more is removed too: the run that emptied it was killed before
        it wrote its outputs, and the next one would fill it again. So is one that the outputs call in use although its
        secret is gone from the tenant, where there is another.
        """
        held = self.held().get(secret.slot)
        if held is not None and held.key_id != secret.key_id:
            self.remove_foreign(secret.key_id)
            return
        others = [slot for slot in self.layout.slots if slot != secret.slot]
        if others and (held is not None or secret.slot in self.layout.slots):
            self._up(self.layout.with_active(others[0]).without_slot(secret.slot))
        if held is None:
            self.remove_foreign(secret.key_id)

    def remove_foreign(self, key_id: str) -> None:
        """Removes it by its key id."""
        self.graph.remove_password(self.object_id, key_id)

    def forget(self, slot: Slot) -> None:
        """Takes a slot's secret out of the state; in the tenant it stays."""
        resource = _resources(self.runner.export_if_made()).get(slot)
        if resource is not None:
            self.runner.remove_from_state(str(resource["urn"]))

    def keep(self, secret: Secret, value: str) -> None:
        """Takes a secret that exists into the state, as if Pulumi had made it; the provider itself cannot.

        Raises:
            ProvisionError: Graph does not list it.
        """
        deployment = self.runner.export_if_made()
        application = next(one for one in deployment["resources"] if one["type"] == APPLICATION)
        listed = next((one for one in self.listed() if one.key_id == secret.key_id), None)
        if listed is None or listed.start is None or listed.end is None:
            raise ProvisionError(f"Microsoft Graph does not list the client secret {secret.key_id}.")
        inputs: dict[str, Any] = {
            "__defaults": [],
            "applicationId": f"/applications/{self.object_id}",
            "displayName": listed.display_name,
            "endDate": _written(listed.end),
        }
        kept = {name: text for name, text in inputs.items() if name != "__defaults"}
        urn = str(application["urn"]).replace(f"${APPLICATION}::", f"${PASSWORD}::")
        identity = f"{self.object_id}/password/{secret.key_id}"
        self.runner.keep_secret_resource(
            {
                "urn": f"{urn.removesuffix('-application')}-secret-{secret.slot}",
                "custom": True,
                "id": identity,
                "type": PASSWORD,
                "inputs": inputs,
                "outputs": {
                    **kept,
                    "__meta": '{"schema_version":"1"}',
                    "id": identity,
                    "keyId": secret.key_id,
                    "startDate": _written(listed.start),
                    "value": secret_property(value),
                },
                "parent": application["parent"],
                "dependencies": [application["urn"]],
                "propertyDependencies": {"applicationId": [application["urn"]]},
                "provider": application["provider"],
                "additionalSecretOutputs": ["value"],
                "ignoreChanges": ["displayName", "endDate"],
            }
        )

    def _up(self, layout: Layout) -> None:
        self.runner.add_environment({LAYOUT_VARIABLE: layout.to_json()})
        self.runner.up()
        self.layout = layout


def _resources(deployment: Mapping[str, Any]) -> dict[Slot, Mapping[str, Any]]:
    """The secrets of a deployment by slot (``MailApp`` names them ``…-secret-a`` and ``…-secret-b``)."""
    found: dict[Slot, Mapping[str, Any]] = {}
    for resource in deployment.get("resources") or ():
        if resource["type"] != PASSWORD or not resource.get("id"):
            continue
        for slot in SLOTS:
            if str(resource["urn"]).endswith(f"-secret-{slot}"):
                found[slot] = resource
    return found


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(resource: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(resource["outputs"][name])


def _key_id(resource: Mapping[str, Any]) -> str:
    return str(resource["id"]).rpartition("/")[2]
