"""A partner's customers, as its own tenant knows them (granular delegated admin privileges, GDAP)."""

from __future__ import annotations

from dataclasses import dataclass

from provision.microsoft.channel import Line

_NEEDS = "DelegatedAdminRelationship.Read.All, with consent in the partner's tenant"


@dataclass(frozen=True)
class Customer:
    """A tenant with an active relationship to the partner."""

    tenant_id: str
    name: str
    """As Microsoft Entra shows it; its owner may change it at any time."""


class Partner(Line):
    """A partner's tenant as one caller sees it."""

    def customers(self) -> list[Customer]:
        """Every customer ("List delegatedAdminCustomers"), by name.

        Raises:
            NotPermitted: the caller lacks the permission.
        """
        found = self._channel.ask_all(
            lambda client: client.tenant_relationships.delegated_admin_customers,
            "list the partner's customers",
            query={"top": 300},
            needs=_NEEDS,
        )
        customers = [Customer(str(raw["tenantId"]), str(raw.get("displayName") or "")) for raw in found]
        return sorted(customers, key=lambda one: (one.name.casefold(), one.tenant_id))
