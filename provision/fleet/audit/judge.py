"""What an audit's facts mean: findings, and whether the engine has anything to do in the tenant.

Owns: the rules. Each is a function from what is known to its findings and an entry in ``RULES``; a rule that the engine
would mend says so, and is what makes a tenant ``drifted``. Pure: nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from provision.app.adopt import drift
from provision.fleet.audit.facts import Facts
from provision.fleet.kept import Kept
from provision.fleet.outcome import Action, Finding, Outcome
from provision.fleet.tenant import Tenant
from provision.microsoft.objects import Application
from provision.secrets.expiry import Entry, Known, Registration
from provision.secrets.expiry import read as read_secrets
from provision.settings.stack import SLOTS, StackSettings

UNSEEN = "mailboxes-unseen"
"""The rule's id: something of the tenant is for the engine to look at."""
_UP = "provision fleet up --tenant {key}"
_ROTATE = "provision fleet rotate --tenant {key}"


@dataclass(frozen=True)
class Seen:
    """Everything that a rule may look at."""

    tenant: Tenant
    settings: StackSettings
    kept: Kept
    facts: Facts
    redirect_uri: str
    scope_ids: Mapping[str, str]
    now: datetime
    within: timedelta
    """How soon is soon, for a client secret's end."""

    @cached_property
    def secrets(self) -> Registration | None:
        """The registration's client secrets and the verdict on them; None without a registration.

        No certificate decides here: whatever else is there, the engine makes a client secret where there is none.
        """
        application = self.facts.application
        return None if application is None else self._sorted(replace(application, certificates=()))

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Everything by which somebody can sign in as the registration."""
        application = self.facts.application
        return () if application is None else self._sorted(application).entries

    def _sorted(self, application: Application) -> Registration:
        product = self.settings.profile
        names = {naming(slot): slot for naming in (product.slot_name, product.certificate_name) for slot in SLOTS}
        in_use = self.kept.secret_key_id if self.kept.client_id == application.app_id else None
        return read_secrets(
            application,
            Known(names=names, in_use=in_use),
            tenant_id=self.facts.tenant_id,
            stack=self.tenant.key,
            now=self.now,
            ahead=timedelta(0),
            within=self.within,
        )


def _registration(seen: Seen) -> Iterator[Finding]:
    """registration-missing"""
    if not seen.facts.registrations:
        was = f" {seen.kept.client_id} is gone: somebody deleted it." if seen.kept.client_id else ""
        yield Finding(
            "registration-missing", "error" if was else "note", f"There is no app registration.{was}", _up(seen)
        )


def _twice(seen: Seen) -> Iterator[Finding]:
    """registration-twice: the engine refuses to choose one"""
    found = seen.facts.registrations
    if len(found) > 1:
        yield Finding(
            "registration-twice",
            "error",
            f"The tenant holds {len(found)} registrations of this stack: {', '.join(one.app_id for one in found)}.",
            "Delete in the portal the one that is not in use.",
        )


def _settings(seen: Seen) -> Iterator[Finding]:
    """differs-…: a setting of the registration, or the consent, is not what the row asks for"""
    application = seen.facts.application
    if application is None:
        return
    for found in drift(
        application,
        seen.facts.grant,
        seen.settings,
        redirect_uri=seen.redirect_uri,
        scope_ids=seen.scope_ids,
    ):
        if found.setting == "Admin consent" and not (seen.facts.consent_seen and seen.settings.grant_consent):
            continue
        yield Finding(
            f"differs-{_RULE_OF[found.setting]}",
            "error",
            f"{found.setting}: {found.portal_has}; it should be {found.should_be}.",
            _up(seen),
        )


def _enterprise_application(seen: Seen) -> Iterator[Finding]:
    """enterprise-application-missing: nobody can sign in to the product"""
    if seen.facts.application is not None and seen.facts.principal is None:
        yield Finding("enterprise-application-missing", "error", "There is no enterprise application.", _up(seen))


def _beyond(seen: Seen) -> Iterator[Finding]:
    """differs-unasked, differs-tags, differs-owners, differs-federated: the rest of what the engine puts right"""
    for one in seen.facts.beyond:
        yield Finding(f"differs-{one.rule}", "error", one.words, _up(seen))


def _publisher(seen: Seen) -> Iterator[Finding]:
    """publisher-unverified: the row names a verified publisher, which takes a person"""
    application, settings = seen.facts.application, seen.settings
    wanted = settings.mpn_id if settings.sign_in_audience == "AzureADMultipleOrgs" else None
    if wanted and application is not None and not application.verified_publisher:
        yield Finding(
            "publisher-unverified",
            "warning",
            f"The verified publisher {wanted} is not set.",
            "Microsoft lets only a signed-in user set it (docs/verified-publisher.md).",
        )


def _mailboxes_unseen(seen: Seen) -> Iterator[Finding]:
    """mailboxes-unseen: Exchange Online's switches are not in Microsoft Graph"""
    if seen.settings.smtp_auth_mailboxes:
        yield Finding(
            UNSEEN,
            "note",
            "An audit does not see whether SMTP AUTH is on for the row's mailboxes.",
            f"provision fleet plan --thorough --tenant {_key(seen)}",
        )


def _disabled(seen: Seen) -> Iterator[Finding]:
    """enterprise-application-disabled: somebody switched sign-in off; the engine switches it on"""
    principal = seen.facts.principal
    if principal is not None and not principal.account_enabled:
        yield Finding(
            "enterprise-application-disabled",
            "error",
            "The enterprise application is disabled: sign-in ends with AADSTS7000112.",
            _up(seen),
        )


def _secret_missing(seen: Seen) -> Iterator[Finding]:
    """secret-missing: the engine makes one"""
    secrets = seen.secrets
    if secrets is not None and secrets.deciding is None:
        yield Finding("secret-missing", "error", secrets.problem or "There is no client secret.", _up(seen))


def _secret_ends(seen: Seen) -> Iterator[Finding]:
    """secret-ends: the one in use has ended or ends soon"""
    secrets = seen.secrets
    if secrets is not None and secrets.deciding is not None and secrets.problem:
        ended = secrets.deciding.state == "expired"
        yield Finding("secret-ends", "error" if ended else "warning", secrets.problem, _ROTATE.format(key=_key(seen)))


def _foreign(seen: Seen) -> Iterator[Finding]:
    """secret-foreign, certificate-foreign: one that this toolkit did not make, and that signs in or will"""
    for entry in seen.entries:
        if entry.slot is None and not entry.in_use and entry.state != "expired":
            yield Finding(
                f"{entry.kind}-foreign", "note", f"Somebody else made the {entry.words}.", "Remove it if unused."
            )


def _consent_unseen(seen: Seen) -> Iterator[Finding]:
    """consent-unseen: whether consent is there is not known"""
    if not seen.facts.consent_seen:
        yield Finding(
            "consent-unseen", "note", "The caller may not read the tenant's consents.", "It takes Directory.Read.All."
        )


@dataclass(frozen=True)
class Rule:
    """One check."""

    check: Callable[[Seen], Iterator[Finding]]
    mended_by: tuple[Action, ...] = ()
    """Actions that put right what it finds; what ``up`` puts right makes a tenant ``drifted``."""


RULES: tuple[Rule, ...] = (
    Rule(_registration, mended_by=("up",)),
    Rule(_twice),
    Rule(_settings, mended_by=("up",)),
    Rule(_enterprise_application, mended_by=("up",)),
    Rule(_disabled, mended_by=("up",)),
    Rule(_beyond, mended_by=("up",)),
    Rule(_publisher),
    Rule(_mailboxes_unseen, mended_by=("up",)),
    Rule(_secret_missing, mended_by=("up",)),
    Rule(_secret_ends, mended_by=("rotate",)),
    Rule(_foreign),
    Rule(_consent_unseen),
)

_RULE_OF = {
    "Name": "name",
    "Supported account types": "audience",
    "Redirect URIs (Web)": "redirect-web",
    "Redirect URIs (single-page application)": "redirect-spa",
    "Redirect URIs (public client)": "redirect-public",
    "Access tokens (implicit)": "access-tokens",
    "ID tokens (implicit)": "id-tokens",
    "Allow public client flows": "public-client-flows",
    "API permissions": "permissions",
    "Admin consent": "consent",
}
"""A setting's word in a rule's id."""


def judge(seen: Seen) -> Outcome:
    """An audit's outcome, without the time it took.

    The verdict is the first that fits: ``new`` (no registration), ``drifted`` (the engine would put something right),
    ``settings-changed`` (the row asks for something else than the last complete run did), ``secret-ends``,
    ``needs-attention`` (what no engine mends), ``unchanged``. Of two registrations the engine takes neither, whatever
    the row asks for: ``needs-attention``.
    """
    found = [(rule, finding) for rule in RULES for finding in rule.check(seen)]
    findings = tuple(replace(finding, mended_by=rule.mended_by) for rule, finding in found)
    serious = [(rule, finding) for rule, finding in found if finding.severity != "note"]
    verdict = "unchanged"
    if not seen.facts.registrations:
        verdict = "new"
    elif seen.facts.application is None:
        verdict = "needs-attention"
    elif any("up" in rule.mended_by for rule, _ in serious):
        verdict = "drifted"
    elif seen.kept.fingerprint != seen.tenant.fingerprint():
        verdict = "settings-changed"
    elif any(finding.rule == "secret-ends" for finding in findings):
        verdict = "secret-ends"
    elif serious:
        verdict = "needs-attention"
    secrets, application = seen.secrets, seen.facts.application
    ends = secrets.deciding.ends if secrets is not None and secrets.deciding is not None else None
    return Outcome(
        seen.tenant.key,
        "audit",
        "unchanged" if verdict == "unchanged" else "pending",
        verdict=verdict,
        tenant_id=seen.facts.tenant_id,
        client_id=application.app_id if application else None,
        secret_ends=ends.strftime("%Y-%m-%dT%H:%M:%SZ") if ends else None,
        findings=findings,
    )


def _key(seen: Seen) -> str:
    return seen.tenant.key


def _up(seen: Seen) -> str:
    return _UP.format(key=_key(seen))
