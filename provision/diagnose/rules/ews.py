"""Rules about Exchange Web Services in Exchange Online: consent, the two switches, the two lists.

Sources: "Control access to EWS in Exchange" (switches, lists, and that HTTP 403 names one of two reasons in its header
``X-EWS-Policy-Reason``), "Authenticate an EWS application by using OAuth" (permissions), MC1015893 (both switches must
allow), MC1227454 (from 1 October 2026 an empty switch counts as off, and only listed applications are let in). The
company's own Exchange servers have none of it but the lists by User-Agent.
"""

from __future__ import annotations

from datetime import datetime

from provision.diagnose.facts import Answer, EwsClients, NotKnown
from provision.diagnose.rules.calendar import EWS_PHASED_OUT
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_CONTROL = (
    "https://learn.microsoft.com/exchange/client-developer/exchange-web-services/"
    "how-to-control-access-to-ews-in-exchange"
)
_OAUTH = (
    "https://learn.microsoft.com/exchange/client-developer/exchange-web-services/"
    "how-to-authenticate-an-ews-application-by-using-oauth"
)
_GRAPH = (
    "Move the product to Microsoft Graph, which has none of these switches and lists (provision up makes the app "
    "registration): Exchange Web Services end on 1 April 2027."
)
_OWN = "A mailbox on the company's own Exchange server keeps EWS: provision verify --via ews --ews-url proves it."
_UNTIL = "Only until then, and where an administrator wants it:"


@rule(
    id="consent-missing-ews",
    family="ews",
    title="Nobody has consented to EWS.AccessAsUser.All",
    severity="stops",
    ways=("ews",),
    layer="consent",
    remedy=Remedy(
        f"{_GRAPH} {_UNTIL} add the delegated permission EWS.AccessAsUser.All of Office 365 Exchange Online, and grant "
        "admin consent.",
        portal="https://entra.microsoft.com > App registrations > {client} > API permissions",
        command="provision up",
    ),
    docs=_OAUTH,
)
def consent_missing(registration_granted: tuple[str, ...], registration_exchange_roles: tuple[str, ...]) -> Seen:
    """A user's token needs EWS.AccessAsUser.All, an application's own full_access_as_app."""
    if "EWS.AccessAsUser.All" in registration_granted or "full_access_as_app" in registration_exchange_roles:
        return None
    return "Neither EWS.AccessAsUser.All nor full_access_as_app of Office 365 Exchange Online is consented to."


@rule(
    id="ews-organization-off",
    family="ews",
    title="Exchange Web Services are off for the organization",
    severity="stops",
    ways=("ews",),
    layer="ews-off",
    remedy=Remedy(
        f"{_GRAPH} {_UNTIL} EwsEnabled set to true for the organization, with the application in EwsAllowedAppIDs. "
        f"{_OWN}",
        powershell=(
            "Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy | Format-List EwsEnabled,EwsAllowedAppIDs",
        ),
        command="provision up",
    ),
    docs=_CONTROL,
)
def organization_off(now: datetime, tenant_ews_enabled: bool | None) -> Seen:
    """Since 1 October 2026 an empty value counts as off, tenant by tenant; the organization's wins over the mailbox."""
    if tenant_ews_enabled is False:
        return "EwsEnabled is False for the organization."
    if tenant_ews_enabled is None and now >= EWS_PHASED_OUT:
        return f"EwsEnabled is empty for the organization, which counts as off since {EWS_PHASED_OUT:%Y-%m-%d}."
    return None


@rule(
    id="ews-mailbox-off",
    family="ews",
    title="Exchange Web Services are off for the mailbox",
    severity="stops",
    ways=("ews",),
    layer="ews-off",
    remedy=Remedy(
        f"{_GRAPH} {_UNTIL} switch it on for this mailbox; the organization must allow it, too. {_OWN}",
        powershell=(
            "Set-CASMailbox -Identity {mailbox} -EwsEnabled $true",
            "Get-CASMailbox {mailbox} | Format-List EwsEnabled",
        ),
        command="provision up",
    ),
    docs=_CONTROL,
)
def mailbox_off(mailbox_ews_enabled: bool | None) -> Seen:
    """Both switches must allow, since April 2025."""
    return "EwsEnabled is False for the mailbox." if mailbox_ews_enabled is False else None


@rule(
    id="ews-application-not-listed",
    family="ews",
    title="The application is not among those that may use Exchange Web Services",
    severity="stops",
    ways=("ews",),
    layer="ews-list",
    remedy=Remedy(
        f"{_GRAPH} {_UNTIL} add the product's client id to the whole list (setting it replaces it); it counts after up "
        "to 24 hours.",
        powershell=(
            "$ids = (Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy).EwsAllowedAppIDs",
            'Set-OrganizationConfig -EwsAllowedAppIDs ((@($ids) + "CLIENT-ID" | Where-Object { $_ }) -join ",")',
        ),
        command="provision up",
    ),
    docs=_CONTROL,
)
def application_not_listed(
    now: datetime,
    tenant_ews_enabled: bool | None,
    tenant_ews_applications: tuple[str, ...],
    registration_client_id: str,
) -> Seen:
    """With EwsEnabled true only the applications in EwsAllowedAppIDs are let in; from 1 October 2026 an empty list
    lets nobody in.
    """
    counts = tenant_ews_enabled is True and (tenant_ews_applications or now >= EWS_PHASED_OUT)
    if not counts or registration_client_id.lower() in tenant_ews_applications:
        return None
    listed = ", ".join(tenant_ews_applications) or "nothing"
    return f"EwsAllowedAppIDs holds {listed}, and not {registration_client_id}."


@rule(
    id="ews-client-not-listed",
    family="ews",
    title="A list by User-Agent keeps the client from Exchange Web Services",
    severity="stops",
    ways=("ews",),
    layer="ews-list",
    remedy=Remedy(
        f"{_GRAPH} {_UNTIL} compare the product's User-Agent with the list; these lists hold for Microsoft Graph, too, "
        "so mend them in any case.",
        powershell=(
            "Get-OrganizationConfig | Format-List EwsApplicationAccessPolicy,EwsAllowList,EwsBlockList",
            "Get-CASMailbox {mailbox} | Format-List EwsApplicationAccessPolicy,EwsAllowList,EwsBlockList",
        ),
    ),
    docs=_CONTROL,
)
def client_not_listed(
    attempt_answers: tuple[Answer, ...],
    tenant_ews_clients: EwsClients | None,
    mailbox_ews_clients: EwsClients | NotKnown | None,
) -> Seen:
    """The product's User-Agent is in no setting, so that a list with entries counts only where an answer says that a
    list refused.
    """
    refused = any("ews-blocked" in answer.codes for answer in attempt_answers)
    seen = []
    for whose, clients in (("the organization", tenant_ews_clients), ("the mailbox", mailbox_ews_clients)):
        if not isinstance(clients, EwsClients):
            continue
        allows = clients.policy == "EnforceAllowList"
        if allows and not clients.listed:
            seen.append(f"EwsAllowList of {whose} is enforced and empty: no client is let in.")
        elif refused and clients.listed:
            name, must = ("EwsAllowList", "must") if allows else ("EwsBlockList", "must not")
            seen.append(f"{name} of {whose} is enforced; the User-Agent {must} match: {', '.join(clients.listed)}.")
    return tuple(seen) or None


RULES: tuple[Rule, ...] = (
    consent_missing,
    organization_off,
    mailbox_off,
    application_not_listed,
    client_not_listed,
)
