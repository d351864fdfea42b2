"""What the tenant is and owns: ``/organization``, ``/domains``, ``/subscribedSkus``, and users' licences.

Owns: these reads and ``assignLicense``. Does not own: which products exist (``published``).
Sources: "user: assignLicense", "subscribedSku resource type".
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes
from provision.sandbox.graph import collection, errors, schema
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.users import find as find_user


def list_organization(call: Call) -> Answer:
    """GET /organization."""
    return collection.many(call, "organization", call.all("organization"))


def get_organization(call: Call) -> Answer:
    """GET /organization/{id}."""
    return collection.one(call, "organization", call.get("organization", call.keys["organization"]))


def list_domains(call: Call) -> Answer:
    """GET /domains."""
    return collection.many(call, "domain", call.all("domain"))


def get_domain(call: Call) -> Answer:
    """GET /domains/{name}."""
    return collection.one(call, "domain", call.get("domain", call.keys["domain"]))


def list_subscribed_skus(call: Call) -> Answer:
    """GET /subscribedSkus; ``$filter`` is not supported."""
    if call.options.filter is not None:
        raise errors.UnsupportedQuery("The specified filter clause is not supported for this resource.")
    return collection.many(call, "subscribedSku", call.all("subscribedSku"))


def get_subscribed_sku(call: Call) -> Answer:
    """GET /subscribedSkus/{id}."""
    return collection.one(call, "subscribedSku", call.get("subscribedSku", call.keys["sku"]))


def list_license_details(call: Call) -> Answer:
    """GET /users/{id}/licenseDetails."""
    user = find_user(call)
    owned = {sku["skuId"]: sku for sku in call.all("subscribedSku")}
    rows = [
        {
            "id": f"{user['id']}_{licence['skuId']}",
            "skuId": licence["skuId"],
            "skuPartNumber": owned[licence["skuId"]]["skuPartNumber"],
            "servicePlans": owned[licence["skuId"]]["servicePlans"],
        }
        for licence in user["assignedLicenses"]
    ]
    return collection.many(call, "licenseDetails", rows, context=f"users('{user['id']}')/licenseDetails")


def assign_license(call: Call) -> Answer:
    """POST /users/{id}/assignLicense."""
    user = find_user(call)
    asked = schema.check_parameters(call.body, "assignLicense")
    if "addLicenses" not in asked or "removeLicenses" not in asked:
        missing = "addLicenses" if "addLicenses" not in asked else "removeLicenses"
        raise errors.value_required(missing, "User")
    owned = {sku["skuId"]: sku for sku in call.directory.all(call.tenant, "subscribedSku", fresh=True)}
    held = {licence["skuId"]: licence for licence in user["assignedLicenses"]}
    for sku_id in asked["removeLicenses"]:
        if held.pop(sku_id.lower(), None) is None:
            raise errors.GraphError("User does not have a corresponding license.")
        owned[sku_id.lower()]["consumedUnits"] -= 1
    for licence in asked["addLicenses"]:
        _add(user, licence, owned, held)
    user["assignedLicenses"] = list(held.values())
    user["assignedPlans"] = [
        {
            "assignedDateTime": call.now(),
            "capabilityStatus": "Enabled",
            "service": "exchange",
            "servicePlanId": plan["servicePlanId"],
        }
        for sku_id, licence in held.items()
        for plan in owned[sku_id]["servicePlans"]
        if plan["servicePlanId"] not in licence["disabledPlans"]
    ]
    with call.directory.transaction():
        for sku in owned.values():
            call.directory.replace(call.tenant, "subscribedSku", sku)
        user = call.directory.replace(call.tenant, "user", user)
        _provision(call, user)
    return collection.one(call, "user", call.directory.get(call.tenant, "user", user["id"], fresh=True) or user)


def _provision(call: Call, user: Document) -> None:
    """Exchange Online makes a mailbox for a user with a mail plan, and takes it away with the licence.

    A shared, room or equipment mailbox needs no licence and stays.
    """
    mailbox = mailboxes.of_user(call.directory, call.tenant, user["id"])
    if mailboxes.licensed(user) and mailbox is None:
        mailboxes.make(call.directory, call.tenant, user)
    elif not mailboxes.licensed(user) and mailbox is not None and mailbox["RecipientTypeDetails"] == mailboxes.USER:
        mailboxes.soft_delete(call.directory, call.tenant, user["id"])


def _add(user: Document, licence: Document, owned: dict[str, Document], held: dict[str, Document]) -> None:
    sku_id = (licence.get("skuId") or "").lower()
    sku = owned.get(sku_id)
    if sku is None:
        raise errors.GraphError(f"License {sku_id} does not correspond to a valid company License.")
    if not user["usageLocation"]:
        raise errors.GraphError("License assignment cannot be done for user with invalid usage location.")
    plans = {plan["servicePlanId"] for plan in sku["servicePlans"]}
    disabled = [plan.lower() for plan in licence.get("disabledPlans") or []]
    if set(disabled) - plans:
        raise errors.GraphError("One or more of the disabled plans do not belong to the license being assigned.")
    if sku_id not in held:
        if sku["consumedUnits"] >= sku["prepaidUnits"]["enabled"]:
            raise errors.GraphError(
                f"Subscription with SKU {sku_id} does not have any available licenses.", code="Request_BadRequest"
            )
        sku["consumedUnits"] += 1
    held[sku_id] = {"disabledPlans": disabled, "skuId": sku_id}
