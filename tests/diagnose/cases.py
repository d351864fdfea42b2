"""Facts given by hand: one good tenant, and one story for each rule as what is changed about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from provision.diagnose.facts import (
    AttemptFacts,
    DomainFacts,
    Facts,
    MailboxFacts,
    RegistrationFacts,
    Secret,
    TenantFacts,
    TokenFacts,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CALLBACK = "https://my.cloudex.app/ACME/Services/Office365Callback.aspx"

GOOD = Facts(
    now=NOW,
    tenant=TenantFacts(
        id="7c23c221-e123-41c0-8001-9abbff8ff5d4",
        security_defaults=False,
        legacy_blocked_by=(),
        modern_blocked_by=(),
        smtp_disabled=True,
        legacy_tls=False,
        ews_enabled=True,
        basic_kept=False,
    ),
    mailbox=MailboxFacts(
        address="ada@contoso.com",
        account_exists=True,
        account_enabled=True,
        mfa=False,
        licensed=True,
        kind="UserMailbox",
        absent_because="",
        smtp_disabled=False,
        ews_enabled=None,
        policy_blocks=None,
        restricted=False,
        stack=None,
    ),
    registration=RegistrationFacts(
        client_id="11111111-2222-3333-4444-555566667777",
        exists=True,
        name="CLOUDEX TMS Email Integration",
        multitenant=False,
        verified_publisher=None,
        web_redirects=(CALLBACK,),
        spa_redirects=(),
        public_redirects=(),
        wanted_redirect=CALLBACK,
        public_client=False,
        issues_tokens=(True, True),
        wants_tokens=(True, True),
        secrets=(Secret("k1", "CLOUDEX Secret", NOW + timedelta(days=300)),),
        granted=("Mail.Send", "User.Read", "offline_access", "SMTP.Send"),
        granted_roles=(),
        enterprise=True,
        enabled=True,
        unassigned=False,
        stack=None,
    ),
    attempt=AttemptFacts(works=(), tls="TLSv1.3", secret_works=True),
    token=TokenFacts("https://outlook.office.com", ("SMTP.Send",), NOW + timedelta(hours=1), "ada@contoso.com"),
    domain=DomainFacts(
        name="contoso.com",
        mx=("contoso-com.mail.protection.outlook.com",),
        spf=("v=spf1 include:spf.protection.outlook.com -all",),
        dkim=("selector1", "selector2"),
        dmarc="v=DMARC1; p=reject",
    ),
)

_LATE = NOW - timedelta(days=3)
STORIES: dict[str, dict[str, Any]] = {
    "registration-missing": {"registration_exists": False},
    "redirect-missing": {"registration_web_redirects": ()},
    "redirect-single-page": {"registration_web_redirects": (), "registration_spa_redirects": (CALLBACK,)},
    "redirect-letter-case": {"registration_web_redirects": (CALLBACK.replace("ACME", "acme"),)},
    "redirect-changed": {
        "registration_web_redirects": ("https://my.cloudex.app/OTHER/Services/Office365Callback.aspx",)
    },
    "public-client-flows": {"registration_public_client": True},
    "token-issuance": {"registration_issues_tokens": (False, True)},
    "multitenant-unverified": {"registration_multitenant": True},
    "secret-missing": {"registration_secrets": ()},
    "secret-expired": {"registration_secrets": (Secret("k1", "CLOUDEX Secret", _LATE), Secret("k2", "", _LATE))},
    "secret-expires-soon": {"registration_secrets": (Secret("k1", "CLOUDEX Secret", NOW + timedelta(days=9)),)},
    "secret-refused": {"attempt_secret_works": False},
    "enterprise-application-missing": {"registration_enterprise": False},
    "enterprise-application-off": {"registration_enabled": False},
    "user-not-assigned": {"registration_unassigned": True},
    "permission-of-wrong-kind": {"registration_granted_roles": ("Mail.Send",)},
    "consent-missing-graph": {"registration_granted": ("User.Read", "SMTP.Send")},
    "consent-missing-smtp-oauth": {"registration_granted": ("Mail.Send", "User.Read")},
    "token-for-graph": {"token_audience": "00000003-0000-0000-c000-000000000000"},
    "token-without-smtp": {"token_permissions": ("Mail.Send",)},
    "token-expired": {"token_ends": _LATE},
    "token-of-another-user": {"token_user": "admin@contoso.com"},
    "account-missing": {"mailbox_account_exists": False},
    "account-disabled": {"mailbox_account_enabled": False},
    "mfa-normal-password": {"mailbox_mfa": True},
    "group": {"mailbox_account_exists": False, "mailbox_absent_because": "group", "mailbox_kind": None},
    "mailbox-missing": {"mailbox_kind": None, "mailbox_absent_because": "unlicensed", "mailbox_licensed": False},
    "mailbox-type": {"mailbox_kind": "RoomMailbox"},
    "mailbox-smtp-off": {"mailbox_smtp_disabled": True},
    "organization-smtp-off": {"mailbox_smtp_disabled": None},
    "switch-not-shown": {"mailbox_smtp_disabled": None},
    "sender-restricted": {"mailbox_restricted": True},
    "security-defaults": {"tenant_security_defaults": True},
    "conditional-access-legacy": {"tenant_legacy_blocked_by": ("Block legacy authentication",)},
    "conditional-access-modern": {"tenant_modern_blocked_by": ("Block everything",)},
    "authentication-policy": {"mailbox_policy_blocks": "Block Basic"},
    "old-tls": {"attempt_tls": "TLSv1.1"},
    "legacy-tls-allowed": {"tenant_legacy_tls": True},
    "organization-smtp-on": {"tenant_smtp_disabled": False},
    "basic-smtp-off-by-default": {"now": datetime(2027, 1, 2, tzinfo=UTC)},
    "basic-smtp-ends": {},
    "ews-retired": {"now": datetime(2027, 4, 1, tzinfo=UTC)},
    "ews-off": {"tenant_ews_enabled": None},
    "ews-ends": {},
    "no-mail-exchanger": {"domain_mx": ()},
    "mail-exchanger-elsewhere": {"domain_mx": ("mx.filter.example",)},
    "spf-missing": {"domain_spf": ()},
    "spf-several": {"domain_spf": ("v=spf1 include:spf.protection.outlook.com -all", "v=spf1 mx -all")},
    "spf-without-microsoft": {"domain_spf": ("v=spf1 mx -all",)},
    "spf-open": {"domain_spf": ("v=spf1 include:spf.protection.outlook.com +all",)},
    "dkim-missing": {"domain_dkim": ()},
    "dmarc-missing": {"domain_dmarc": None},
    "dmarc-watches-only": {"domain_dmarc": "v=DMARC1; p=none"},
}
"""What makes each rule speak, changed about the good tenant."""
ALWAYS = {"basic-smtp-ends", "ews-ends"}
"""Rules that speak about the good tenant, too: dates."""
