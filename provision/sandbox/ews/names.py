"""``ResolveNames`` and ``ConvertId``: who is meant, and ids in other forms.

Sources: "ResolveNames operation" (at most 100 candidates, SMTP addresses and prefixes of names), "ConvertId operation".
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from provision.sandbox.ews import soap
from provision.sandbox.ews.call import Call, Mailbox
from provision.sandbox.ews.errors import EwsError

_MAX_CANDIDATES = 100


def resolve_names(call: Call) -> Iterator[Element | EwsError]:
    """ResolveNames: everybody whose name or address begins with the entry."""
    entry = soap.text(call.operation, soap.m("UnresolvedEntry")).lower().removeprefix("smtp:")
    everybody = call.organization.address_list(call.tenant)
    found = [mailbox for mailbox in everybody if entry and _is_meant(mailbox, entry)]
    if not found:
        yield EwsError("ErrorNameResolutionNoResults")
        return
    shown = found[:_MAX_CANDIDATES]
    resolutions = [_resolution(mailbox) for mailbox in shown]
    yield soap.element(
        soap.m("ResolutionSet"),
        children=resolutions,
        TotalItemsInView=str(len(shown)),
        IncludesLastItemInRange=str(len(shown) == len(found)).lower(),
    )


def _is_meant(mailbox: Mailbox, entry: str) -> bool:
    words = mailbox.name.lower().split()
    return (
        any(address.startswith(entry) for address in mailbox.addresses)
        or mailbox.name.lower().startswith(entry)
        or any(word.startswith(entry) for word in words)
    )


def _resolution(mailbox: Mailbox) -> Element:
    made = soap.element(soap.t("Mailbox"))
    values = (
        ("Name", mailbox.name),
        ("EmailAddress", mailbox.address),
        ("RoutingType", "SMTP"),
        ("MailboxType", "Mailbox"),
    )
    made.extend(soap.element(soap.t(name), value) for name, value in values)
    return soap.element(soap.t("Resolution"), children=[made])


def convert_id(call: Call) -> Iterator[Element | EwsError]:
    """ConvertId: an id of this server's own form to the same form; no other is known here."""
    wanted = call.operation.get("DestinationFormat", "")
    for source in soap.below(call.operation, soap.m("SourceIds")):
        identity = source.get("Id", "")
        if not identity.startswith("AAMk"):
            yield EwsError("ErrorInvalidIdMalformed")
        elif wanted not in {"EwsId", source.get("Format")}:
            yield EwsError("ErrorInvalidOperation", f"The local tenant does not write ids as {wanted}.")
        else:
            yield soap.element(soap.m("AlternateId"), Format=wanted, Id=identity, Mailbox=source.get("Mailbox", ""))
