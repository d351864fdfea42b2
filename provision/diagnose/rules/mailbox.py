"""Rules about the account and the mailbox: is it there, of the right type, licensed, and may it hand in mail by
SMTP?
"""

from __future__ import annotations

from provision.diagnose.facts import NotKnown
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_SMTP_AUTH = (
    "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"
)
_LICENCE = "https://learn.microsoft.com/microsoft-365/admin/manage/assign-licenses-to-users"
_SHARED = "https://learn.microsoft.com/microsoft-365/admin/email/about-shared-mailboxes"
_ACTIVE = "https://admin.microsoft.com > Users > Active users > {mailbox}"
_SWITCH = f"{_ACTIVE} > Mail > Manage email apps > Authenticated SMTP: on > Save changes"
_ON = "Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false"
_TYPES = {"RoomMailbox": "a room", "EquipmentMailbox": "equipment", "SchedulingMailbox": "a scheduling mailbox"}
_ABSENT = {
    "unlicensed": "The account has no Exchange Online licence, so it has no mailbox.",
    "soft-deleted": "The mailbox is deleted; it can be restored for 30 days.",
    "restored": "The mailbox was restored a short while ago and is not ready yet.",
}
"""The seed's reasons why the switch does not appear."""


@rule(
    id="account-missing",
    family="account",
    title="There is no such account",
    severity="stops",
    layer="credentials",
    remedy=Remedy(
        "Correct the address in the product: it is the user principal name, which can differ from the mail address.",
        portal="https://admin.microsoft.com > Users > Active users > search for {mailbox}",
    ),
    docs="https://learn.microsoft.com/entra/identity-platform/reference-error-codes",
)
def account_missing(mailbox_account_exists: bool, mailbox_absent_because: str | NotKnown) -> Seen:
    """Whoever cannot be found cannot sign in; the answer reads like a wrong password."""
    if mailbox_account_exists or mailbox_absent_because == "group":
        return None
    return "Microsoft Entra knows no user by this name."


@rule(
    id="group",
    family="account",
    title="It is a group, and a group cannot sign in",
    severity="stops",
    layer="credentials",
    remedy=Remedy(
        "Let a licensed user or a shared mailbox send in place of the group; the group may be its alias, or be given "
        "as the sender with Send As permission.",
        portal="https://admin.microsoft.com > Teams & groups > Shared mailboxes > Add a shared mailbox",
        powershell=("Get-Recipient -Identity {mailbox} | Format-List RecipientTypeDetails",),
    ),
    docs=_SHARED,
)
def group(mailbox_absent_because: str, mailbox_account_exists: bool) -> Seen:
    """A group has neither an account nor a mailbox that can sign in; the answer reads like a wrong password."""
    if mailbox_absent_because != "group" or mailbox_account_exists:
        return None
    return "Exchange Online knows the address as a group, Microsoft Entra knows no user by this name."


@rule(
    id="account-disabled",
    family="account",
    title="Sign-in is blocked for the account",
    severity="stops",
    layer="credentials",
    remedy=Remedy(
        "Unblock the sign-in. A shared mailbox's account is blocked on purpose: let a user with Send As permission "
        "send, or send through Microsoft Graph.",
        portal=f"{_ACTIVE} > Unblock sign-in",
    ),
    docs=_SHARED,
)
def account_disabled(mailbox_account_enabled: bool) -> Seen:
    """A disabled account gets no token and no password is taken for it."""
    return None if mailbox_account_enabled else "accountEnabled is false."


@rule(
    id="mfa-normal-password",
    family="account",
    title="The account has multifactor authentication, so SMTP takes no normal password",
    severity="may",
    ways=("smtp-basic",),
    layer="mfa",
    remedy=Remedy(
        "Create an app password and enter it in the product in place of the normal password. Whoever has no second "
        "factor yet registers one first, on the same page.",
        portal="https://mysignins.microsoft.com/security-info > Add sign-in method > App password",
        better=True,
    ),
    docs="https://learn.microsoft.com/entra/identity/authentication/howto-mfa-userstates",
)
def mfa_normal_password(mailbox_mfa: bool, mailbox_mfa_registered: bool | NotKnown) -> Seen:
    """SMTP cannot ask for a second factor; the refusal reads like a wrong password. Which password the product has
    stands in no setting, so that only an answer makes it certain.
    """
    if not mailbox_mfa:
        return None
    seen = "perUserMfaState is enforced: an app password is taken, the normal one is not."
    return (
        (seen, "isMfaRegistered is false: a second factor must be registered first.")
        if (mailbox_mfa_registered is False)
        else seen
    )


@rule(
    id="mfa-not-read",
    family="account",
    title="The account may have multifactor authentication",
    severity="note",
    ways=("smtp-basic",),
    remedy=Remedy(
        "Where the product is told that the password is wrong although it is right, use an app password. Who may read "
        "it (Policy.Read.All) learns whether it is asked for.",
        portal="https://entra.microsoft.com > Users > Per-user MFA",
    ),
    docs="https://learn.microsoft.com/graph/api/authentication-get",
)
def mfa_not_read(mailbox_mfa: bool | NotKnown, mailbox_mfa_registered: bool) -> Seen:
    """A second factor is registered; that alone does not tell whether SMTP is refused the normal password."""
    if not isinstance(mailbox_mfa, NotKnown) or not mailbox_mfa_registered:
        return None
    return "isMfaRegistered is true; whether per-user multifactor authentication is enforced could not be read."


@rule(
    id="mailbox-missing",
    family="mailbox",
    title="The account has no mailbox in Exchange Online",
    severity="stops",
    layer="no-mailbox",
    remedy=Remedy(
        "Add a licence that contains Exchange Online, then wait for the mailbox; restore a deleted one.",
        portal=f"{_ACTIVE} > Licenses and apps > Exchange Online",
        powershell=("Get-Recipient -Identity {mailbox} | Format-List RecipientTypeDetails",),
    ),
    docs=_LICENCE,
)
def mailbox_missing(
    mailbox_kind: str | NotKnown | None, mailbox_licensed: bool | NotKnown, mailbox_absent_because: str | NotKnown
) -> Seen:
    """No licence, no mailbox: the switch "Authenticated SMTP" does not even appear."""
    if isinstance(mailbox_kind, NotKnown):
        if mailbox_licensed is False:
            return "The account has no Exchange Online licence; whether a mailbox is there could not be read."
        return None
    reason = mailbox_absent_because if isinstance(mailbox_absent_because, str) else ""
    if reason == "group" or (mailbox_kind is not None and reason not in {"restored", "unlicensed"}):
        return None
    return _ABSENT.get(reason, "Exchange Online has no mailbox of this name.")


@rule(
    id="mailbox-type",
    family="mailbox",
    title="Mailboxes of this type cannot use SMTP AUTH",
    severity="stops",
    ways=("smtp-oauth", "smtp-basic"),
    layer="mailbox-type",
    remedy=Remedy(
        "Send from a licensed user's mailbox or a shared mailbox in place of the room or the equipment.",
        portal="https://admin.exchange.microsoft.com > Recipients > Mailboxes > Add a shared mailbox",
        powershell=("Set-Mailbox -Identity {mailbox} -Type Shared",),
    ),
    docs=_SMTP_AUTH,
)
def mailbox_type(mailbox_kind: str | None) -> Seen:
    """The switch is there for licensed users and shared mailboxes only."""
    if mailbox_kind not in _TYPES:
        return None
    return f"The mailbox is {_TYPES[mailbox_kind]} ({mailbox_kind})."


@rule(
    id="mailbox-smtp-off",
    family="mailbox",
    title="Authenticated SMTP is switched off for the mailbox",
    severity="stops",
    ways=("smtp-oauth", "smtp-basic"),
    layer="mailbox-off",
    remedy=Remedy(
        "Switch it on for this mailbox; the organization's switch stays off.",
        portal=_SWITCH,
        powershell=(_ON, "Get-CASMailbox -Identity {mailbox} | Format-List SmtpClientAuthenticationDisabled"),
        command="provision smtp-auth enable {mailbox} --yes",
        up="",
        better=True,
    ),
    fix="enable-smtp-auth",
    docs=_SMTP_AUTH,
)
def mailbox_smtp_off(mailbox_smtp_disabled: bool | None) -> Seen:
    """The mailbox's own switch wins over the organization's, for passwords and for OAuth alike."""
    return "SmtpClientAuthenticationDisabled is True on the mailbox." if mailbox_smtp_disabled is True else None


@rule(
    id="organization-smtp-off",
    family="mailbox",
    title="Authenticated SMTP is off for the organization, and the mailbox has no exception",
    severity="stops",
    ways=("smtp-oauth", "smtp-basic"),
    layer="organisation-off",
    remedy=Remedy(
        "Switch it on for this mailbox alone. The organization's switch (Exchange admin center > Settings > Mail "
        "flow > Turn off SMTP AUTH protocol for your organization) stays as it is: off is what auditors expect.",
        portal=_SWITCH,
        powershell=(_ON, "Get-CASMailbox -Identity {mailbox} | Format-List SmtpClientAuthenticationDisabled"),
        command="provision smtp-auth enable {mailbox} --yes",
        up="",
        better=True,
    ),
    fix="enable-smtp-auth",
    docs=_SMTP_AUTH,
)
def organization_smtp_off(mailbox_smtp_disabled: bool | None, tenant_smtp_disabled: bool) -> Seen:
    """A mailbox that says nothing itself follows the organization; new organizations have it off since January 2020."""
    if mailbox_smtp_disabled is not None or not tenant_smtp_disabled:
        return None
    return (
        "SmtpClientAuthenticationDisabled is empty on the mailbox, so it inherits.",
        "SmtpClientAuthenticationDisabled is True in the organization's transport settings.",
    )


@rule(
    id="switch-not-shown",
    family="mailbox",
    title="The admin center may not show the switch",
    severity="note",
    ways=("smtp-oauth", "smtp-basic"),
    remedy=Remedy(
        "Where the portal shows no Authenticated SMTP although mailbox and licence are there, use PowerShell; the line "
        "can be given to the company's IT provider. (The parameter SmtpClientAuthenticationEnabled, which some pages "
        "name, does not exist.)",
        powershell=("Connect-ExchangeOnline", _ON),
        command="provision smtp-auth enable {mailbox} --yes",
    ),
    docs=_SMTP_AUTH,
)
def switch_not_shown(mailbox_smtp_disabled: bool | None, mailbox_kind: str | None) -> Seen:
    """New pages of the portals hide the option now and then; the classic Exchange admin center is gone."""
    if mailbox_smtp_disabled is False or mailbox_kind not in {"UserMailbox", "SharedMailbox"}:
        return None
    return "The mailbox is of a type that has the switch, and it is not on."


@rule(
    id="sender-restricted",
    family="mailbox",
    title="Microsoft restricts the mailbox as a sender",
    severity="stops",
    layer="restricted-sender",
    remedy=Remedy(
        "Make sure that nobody else uses the account (change the password, look at the inbox rules), then unblock it.",
        portal="https://security.microsoft.com/restrictedentities > {mailbox} > Unblock",
        powershell=(
            "Get-BlockedSenderAddress -SenderAddress {mailbox}",
            "Remove-BlockedSenderAddress -SenderAddress {mailbox}",
        ),
    ),
    docs="https://learn.microsoft.com/defender-office-365/outbound-spam-restore-restricted-users",
)
def sender_restricted(mailbox_restricted: bool) -> Seen:
    """Whoever sent what looked like spam, or too much, sends nothing outward until unblocked."""
    return "The mailbox is on the list of restricted senders." if mailbox_restricted else None


RULES: tuple[Rule, ...] = (
    account_missing,
    group,
    account_disabled,
    mfa_normal_password,
    mfa_not_read,
    mailbox_missing,
    mailbox_type,
    mailbox_smtp_off,
    organization_smtp_off,
    switch_not_shown,
    sender_restricted,
)
