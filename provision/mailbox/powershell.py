"""The same work as a PowerShell script, for whoever administers Exchange Online and does not run this toolkit.

Owns: a complete script (connect, look, set, verify, disconnect) in the documented module ExchangeOnlineManagement.
Nothing is sent from here. Names come from people and files, so each is a single-quoted string, in which PowerShell
expands nothing; a quote is doubled, and so are the typographic ones, which PowerShell takes for quotes, too
(about_Quoting_Rules; ``CodeGeneration.EscapeSingleQuotedStringContent``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provision.errors import InvalidInput
from provision.mailbox.values import PROPERTY, Switch

_QUOTES = "'\u2018\u2019\u201a\u201b"
_ENVIRONMENTS = {
    "https://outlook.office365.us": "O365USGovGCCHigh",
    "https://webmail.apps.mil": "O365USGovDoD",
    "https://partner.outlook.cn": "O365China",
}
"""``-ExchangeEnvironmentName`` of the national clouds ("Connect to Exchange Online PowerShell")."""
_VALUES = {Switch.ON: "$false", Switch.OFF: "$true", Switch.INHERITS: "$null"}
_MEANING = {
    Switch.ON: "on for the mailbox, whatever the organization says",
    Switch.OFF: "off for the mailbox, whatever the organization says",
    Switch.INHERITS: "as the organization has it",
}


@dataclass(frozen=True)
class Targets:
    """Whose switch the script sets: addresses, a group's members, or everybody's."""

    names: tuple[str, ...] = ()
    group: str | None = None
    everyone: bool = False


def quoted(text: str) -> str:
    """Text as a PowerShell string that stands for itself.

    Raises:
        InvalidInput: it holds a control character, such as a line break.
    """
    if not text.isprintable():
        raise InvalidInput(f"{text!r} holds characters that cannot be printed.", remedy="Correct the name.")
    return "'" + "".join(letter * 2 if letter in _QUOTES else letter for letter in text) + "'"


def mailbox_script(targets: Targets, switch: Switch, *, exchange: str) -> str:
    """The script that sets mailboxes' switches.

    Args:
        targets: whose.
        switch: to what.
        exchange: the cloud's Exchange Online, from ``Endpoints.exchange``.
    """
    body = [
        *_organization(),
        "",
        *_selection(targets),
        "# What they were, for putting it back.",
        "$before = Get-CASMailbox -ResultSize Unlimited"
        if targets.everyone
        else "$before = foreach ($identity in $identities) { Get-CASMailbox -Identity $identity }",
        f"$before | Select-Object -Property 'PrimarySmtpAddress', '{PROPERTY}' |",
        '    Export-Csv -NoTypeInformation -Path "./smtp-auth-before-$(Get-Date -Format yyyyMMdd-HHmmss).csv"',
        "",
        f"# Set those that differ. {_VALUES[switch]}: {_MEANING[switch]}.",
        "foreach ($mailbox in $before) {",
        "    $identity = $mailbox.Guid.ToString()",
        f"    if ({_VALUES[switch]} -eq $mailbox.{PROPERTY}) {{ continue }}",
        *_type_check(switch),
        f"    Set-CASMailbox -Identity $identity -{PROPERTY} {_VALUES[switch]}",
        "}",
        "",
        f"# Verify. In {PROPERTY}, False is on, True is off, and empty is as the organization has it.",
        "$before | ForEach-Object { Get-CASMailbox -Identity $_.Guid.ToString() } |",
        f"    Format-Table -AutoSize -Property 'PrimarySmtpAddress', '{PROPERTY}'",
    ]
    return _whole(f"SMTP AUTH {switch}: {_MEANING[switch]}", body, exchange)


def organization_script(*, smtp_auth: bool | None, legacy_tls: bool | None, exchange: str) -> str:
    """The script that sets the organization's switches; None leaves one as it is."""
    settings = []
    if smtp_auth is not None:
        settings.append(f"Set-TransportConfig -{PROPERTY} {'$false' if smtp_auth else '$true'}")
    if legacy_tls is not None:
        settings.append(f"Set-TransportConfig -AllowLegacyTLSClients {'$true' if legacy_tls else '$false'}")
    body = [*_organization(), "", "# Set.", *settings, "", "# Verify.", *_organization()[1:]]
    return _whole("SMTP AUTH of the organization", body if settings else _organization(), exchange)


def _organization() -> list[str]:
    return [
        f"# The organization: {PROPERTY} True is off for every mailbox that inherits (recommended).",
        f"Get-TransportConfig | Format-List -Property '{PROPERTY}', 'AllowLegacyTLSClients'",
    ]


def _selection(targets: Targets) -> list[str]:
    if targets.everyone:
        return []
    if targets.group is not None:
        group = quoted(targets.group)
        return [
            "# The group's mailboxes.",
            f"$group = Get-Recipient -Identity {group}",
            "if ($group.RecipientTypeDetails -eq 'GroupMailbox') {",
            "    $members = Get-UnifiedGroupLinks -Identity $group.Guid.ToString() -LinkType Members "
            "-ResultSize Unlimited",
            "} else {",
            "    $members = Get-DistributionGroupMember -Identity $group.Guid.ToString() -ResultSize Unlimited",
            "}",
            "$identities = $members | Where-Object { $_.RecipientType -eq 'UserMailbox' } |",
            "    ForEach-Object { $_.Guid.ToString() }",
            "",
        ]
    names = [quoted(name) for name in targets.names]
    return ["# The mailboxes.", "$identities = @(", *_commas(names), ")", ""]


def _commas(items: Sequence[str]) -> list[str]:
    return [f"    {item}{',' if number < len(items) else ''}" for number, item in enumerate(items, start=1)]


def _type_check(switch: Switch) -> list[str]:
    if switch is not Switch.ON:
        return []
    return [
        "    $kind = (Get-Mailbox -Identity $identity).RecipientTypeDetails",
        "    if ($kind -ne 'UserMailbox' -and $kind -ne 'SharedMailbox') {",
        '        Write-Warning "$($mailbox.PrimarySmtpAddress) is a $kind, which cannot have SMTP AUTH; left alone."',
        "        continue",
        "    }",
    ]


def _whole(title: str, body: Sequence[str], exchange: str) -> str:
    cloud = _ENVIRONMENTS.get(exchange)
    connect = "Connect-ExchangeOnline -ShowBanner:$false" + (f" -ExchangeEnvironmentName {cloud}" if cloud else "")
    lines = [
        f"# {title}.",
        "# Sending by Microsoft Graph (Mail.Send) needs no SMTP AUTH.",
        "# Needs the role Exchange Administrator, or for mailboxes alone Exchange Recipient Administrator; once:",
        "#   Install-Module ExchangeOnlineManagement -Scope CurrentUser",
        "$ErrorActionPreference = 'Stop'",
        "Import-Module ExchangeOnlineManagement",
        connect,
        "try {",
        *(f"    {line}" if line else "" for line in body),
        "} finally {",
        "    Disconnect-ExchangeOnline -Confirm:$false",
        "}",
    ]
    return "\n".join(lines) + "\n"
