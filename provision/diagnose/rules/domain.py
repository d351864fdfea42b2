"""Rules about DNS of the sending domain: nothing of it stops sending, all of it decides where the mail ends up."""

from __future__ import annotations

from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_SPF = "https://learn.microsoft.com/defender-office-365/email-authentication-spf-configure"
_DKIM = "https://learn.microsoft.com/defender-office-365/email-authentication-dkim-configure"
_DMARC = "https://learn.microsoft.com/defender-office-365/email-authentication-dmarc-configure"
_MICROSOFT = ("spf.protection.outlook.com", "spf.protection.office365.us", "spf.protection.partner.outlook.cn")
_RECORD = 'TXT at the domain: "v=spf1 include:spf.protection.outlook.com -all"'


@rule(
    id="no-mail-exchanger",
    family="domain",
    title="The domain takes no mail",
    severity="weakens",
    remedy=Remedy(
        "Add the MX record of the domain's page; many receivers refuse mail from a domain that takes none.",
        portal="https://admin.microsoft.com > Settings > Domains > the domain > DNS records",
    ),
    docs="https://learn.microsoft.com/microsoft-365/admin/get-help-with-domains/create-dns-records-at-any-dns-hosting-provider",
)
def no_mail_exchanger(domain_mx: tuple[str, ...]) -> Seen:
    """Answers and bounces have nowhere to go."""
    return None if domain_mx else "There is no MX record."


@rule(
    id="mail-exchanger-elsewhere",
    family="domain",
    title="Mail for the domain goes elsewhere than Exchange Online",
    severity="note",
    remedy=Remedy("Right with a filter in front or a hybrid server; else correct the MX record."),
    docs="https://learn.microsoft.com/exchange/mail-flow-best-practices/mail-flow-best-practices",
)
def mail_exchanger_elsewhere(domain_mx: tuple[str, ...]) -> Seen:
    """Sending does not depend on it; a proof that looks for the answer in the mailbox does."""
    if not domain_mx or any(host.endswith((".outlook.com", ".office365.us", ".mx.microsoft")) for host in domain_mx):
        return None
    return f"MX: {', '.join(domain_mx)}."


@rule(
    id="spf-missing",
    family="domain",
    title="The domain has no SPF record",
    severity="weakens",
    remedy=Remedy(f"Add one: {_RECORD}"),
    docs=_SPF,
)
def spf_missing(domain_spf: tuple[str, ...]) -> Seen:
    """Receivers cannot tell that Microsoft may send for the domain."""
    return None if domain_spf else "No TXT record begins with v=spf1."


@rule(
    id="spf-several",
    family="domain",
    title="The domain has several SPF records",
    severity="weakens",
    remedy=Remedy("Merge them into one; two make SPF fail for every mail (RFC 7208, 3.2)."),
    docs=_SPF,
)
def spf_several(domain_spf: tuple[str, ...]) -> Seen:
    """Receivers treat two as an error."""
    return f"There are {len(domain_spf)} records that begin with v=spf1." if len(domain_spf) > 1 else None


@rule(
    id="spf-without-microsoft",
    family="domain",
    title="The SPF record does not name Microsoft",
    severity="weakens",
    remedy=Remedy("Add include:spf.protection.outlook.com to it."),
    docs=_SPF,
)
def spf_without_microsoft(domain_spf: tuple[str, ...]) -> Seen:
    """Mail from Exchange Online then fails SPF; an include or redirect of somebody else's may still name it."""
    named = any(host in record for record in domain_spf for host in _MICROSOFT)
    if not domain_spf or named or any("redirect=" in record for record in domain_spf):
        return None
    return f"It is {domain_spf[0]!r}."


@rule(
    id="spf-open",
    family="domain",
    title="The SPF record lets everybody send",
    severity="weakens",
    remedy=Remedy("End it with -all."),
    docs=_SPF,
)
def spf_open(domain_spf: tuple[str, ...]) -> Seen:
    """+all says that any server in the world may send for the domain."""
    return "It ends with +all." if any(record.split()[-1] in {"+all", "all"} for record in domain_spf) else None


@rule(
    id="dkim-missing",
    family="domain",
    title="DKIM is not set up for the domain",
    severity="weakens",
    remedy=Remedy(
        "Publish the two CNAME records that Microsoft shows, then switch signing on.",
        portal="https://security.microsoft.com/authentication?viewid=DKIM > the domain > Enable",
        powershell=("New-DkimSigningConfig -DomainName {domain} -Enabled $true",),
    ),
    docs=_DKIM,
)
def dkim_missing(domain_dkim: tuple[str, ...]) -> Seen:
    """Without it Microsoft signs with the onmicrosoft.com domain, which DMARC does not count."""
    return None if domain_dkim else "Neither selector1._domainkey nor selector2._domainkey answers with a key."


@rule(
    id="dmarc-missing",
    family="domain",
    title="The domain has no DMARC record",
    severity="weakens",
    remedy=Remedy('Add TXT at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:dmarc@{domain}", and tighten it later.'),
    docs=_DMARC,
)
def dmarc_missing(domain_dmarc: str | None) -> Seen:
    """Large receivers ask for one from whoever sends much."""
    return "There is no record at _dmarc." if domain_dmarc is None else None


@rule(
    id="dmarc-watches-only",
    family="domain",
    title="DMARC only watches",
    severity="note",
    remedy=Remedy("When the reports show that all senders pass, set p=quarantine, then p=reject."),
    docs=_DMARC,
)
def dmarc_watches_only(domain_dmarc: str | None) -> Seen:
    """With p=none forged mail is delivered."""
    plain = (domain_dmarc or "").replace(" ", "").lower()
    return "The policy is p=none." if ";p=none" in plain else None


RULES: tuple[Rule, ...] = (
    no_mail_exchanger,
    mail_exchanger_elsewhere,
    spf_missing,
    spf_several,
    spf_without_microsoft,
    spf_open,
    dkim_missing,
    dmarc_missing,
    dmarc_watches_only,
)
