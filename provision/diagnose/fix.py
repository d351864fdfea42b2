"""Remedies that a program may apply: planned first, each safe to repeat, nothing that lowers security unless asked by
name.

Owns: which fix does what, and the plan. Does not own: asking a person (``cli``), when a cause is there (``judge``). A
fix whose rule has a flag lowers security beyond the one mailbox; without its flag it stays in the plan as left alone.
So does what a stack owns: two owners would undo each other's work, and only ``provision up`` keeps the state true.
A client secret is renewed by the caller (``Renewal``), who alone knows where its value goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from provision.diagnose.fix_flags import FLAGS
from provision.diagnose.gather import Asked
from provision.diagnose.judge import Diagnosis, Finding
from provision.errors import InvalidInput
from provision.mailbox.applying import Selection
from provision.mailbox.planning import Wish
from provision.mailbox.reading import Reader
from provision.mailbox.tenant import Tenant, switching
from provision.mailbox.values import Switch
from provision.microsoft.credentials import Credential
from provision.microsoft.directory import EXCHANGE_APP_ID, Directory, User
from provision.microsoft.exchange import Exchange
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID
from provision.settings.endpoints import Endpoints

ALLOWING_POLICY = "Allow Basic SMTP"
"""Name of the authentication policy that ``allow-basic-by-policy`` makes and assigns."""
RENEW_SECRET = "renew-secret"  # noqa: S105 - a fix's name
"""The fix that needs a ``Renewal``."""
_WITHOUT_SWITCH = frozenset({"no-mailbox", "mailbox-type"})
"""Layers of mailboxes that do not have the switch "Authenticated SMTP"."""
GRAPH_SCOPES = ("Mail.Send", "User.Read", "offline_access")


@dataclass(frozen=True)
class Step:
    """One remedy of a plan."""

    fix: str
    says: str
    """What is done, as an order."""
    rules: tuple[str, ...]
    """The causes that it is for."""
    parts: tuple[str, ...] = ()
    """What belongs to it, a line each."""


@dataclass(frozen=True)
class Renewal:
    """How a client secret is renewed: nobody here knows where the new value is to go."""

    parts: tuple[str, ...]
    """What would be done, a line each."""
    run: Callable[[], None]
    """Does it, or raises a ``ProvisionError``; a secret in use is not taken away."""


@dataclass(frozen=True)
class Plan:
    """What would be done, and what not."""

    steps: tuple[Step, ...]
    left: tuple[tuple[Finding, str], ...]
    """Causes that stay, each with the reason."""


@dataclass(frozen=True)
class Hands:
    """What a fix works with."""

    asked: Asked
    diagnosis: Diagnosis
    exchange: Exchange
    graph: Graph
    directory: Directory
    tenant_id: str
    journal: str
    """Where the mailbox switches' values before are kept."""
    renewal: Renewal | None = None

    @property
    def mailbox(self) -> str:
        """The mailbox's address.

        Raises:
            InvalidInput: none was named.
        """
        if not self.asked.mailbox:
            raise InvalidInput("No mailbox was named.", remedy="Name it: --mailbox.")
        return self.asked.mailbox

    def user(self) -> User:
        """The mailbox's account.

        Raises:
            InvalidInput: there is none.
        """
        found = self.directory.user(self.mailbox)
        if found is None:
            raise InvalidInput(f"Microsoft Entra knows no user {self.mailbox}.", remedy="Check the address.")
        return found


def mendable(diagnosis: Diagnosis) -> list[Finding]:
    """What ``--fix`` looks at, each once: causes that stop mail, and of what will stop it later what has a fix."""
    causes = [one for verdict in diagnosis.verdicts for one in verdict.causes]
    later = [one for one in diagnosis.findings if one.rule.severity == "ends" and one.rule.fix is not None]
    return list(dict.fromkeys([*causes, *later]))


def plan(diagnosis: Diagnosis, asked: Asked, allowed: Collection[str], renewal: Renewal | str = "") -> Plan:
    """What ``--fix`` would do.

    Args:
        diagnosis: the judgement.
        asked: what was asked.
        allowed: the flags that were given.
        renewal: how the client secret is renewed, or why it cannot be.
    """
    causes = mendable(diagnosis)
    steps: dict[str, Step] = {}
    left = []
    for one in causes:
        name = one.rule.fix
        if name is None:
            left.append((one, "a person must do it"))
        elif one.stack is not None:
            left.append((one, f"the stack owns it; put it right by: {one.remedy.command}"))
        elif (stays := _in_vain(one, diagnosis)) is not None:
            left.append((one, f"it would help nothing before this is mended: {stays.rule.title}"))
        elif one.rule.flag is not None and one.rule.flag not in allowed:
            left.append((one, f"it lowers security; {one.rule.flag} allows to {FLAGS[one.rule.flag]}"))
        elif name == "redirect" and asked.wanted_redirect is None:
            left.append((one, "the product's callback address is not known; give --redirect-uri"))
        elif name == RENEW_SECRET and isinstance(renewal, str):
            left.append((one, renewal))
        else:
            parts = renewal.parts if name == RENEW_SECRET and isinstance(renewal, Renewal) else ()
            rules = steps[name].rules if name in steps else ()
            steps[name] = Step(name, FIXES[name][0], (*rules, one.rule.id), parts)
    return Plan(tuple(steps.values()), tuple(left))


def _in_vain(one: Finding, diagnosis: Diagnosis) -> Finding | None:
    """What a person must mend first: security is not lowered, nor a switch turned that is not there, for nothing."""
    if one.rule.flag is None and one.rule.fix != "enable-smtp-auth":
        return None
    stays = None
    for verdict in diagnosis.verdicts:
        if one not in verdict.causes:
            continue
        others = [other for other in verdict.causes if other.rule.fix is None]
        if one.rule.flag is None:
            others = [other for other in others if other.rule.layer in _WITHOUT_SWITCH]
        if not others:
            return None
        stays = stays or others[0]
    return stays


def carry_out(
    wanted: Plan,
    diagnosis: Diagnosis,
    asked: Asked,
    *,
    endpoints: Endpoints,
    credential: Credential,
    tenant_id: str,
    journal: str,
    say: Callable[[str], None],
    renewal: Renewal | None = None,
) -> None:
    """Applies a plan, step after step; a step that is done already changes nothing.

    Args:
        wanted: the plan.
        diagnosis: what it is for.
        asked: what was asked.
        endpoints: the cloud.
        credential: signed in.
        tenant_id: the tenant's.
        journal: the address of the journal's place, for ``provision smtp-auth undo``.
        say: told each step that is done.
        renewal: how the client secret is renewed, where the plan has that step.

    Raises:
        ProvisionError: a step was refused; what was done before stays done; running again goes on.
    """
    with ExitStack() as opened:
        hands = Hands(
            asked,
            diagnosis,
            opened.enter_context(Exchange(credential, endpoints, warn=say)),
            opened.enter_context(Graph(credential, endpoints)),
            opened.enter_context(Directory(credential, endpoints)),
            tenant_id,
            journal,
            renewal,
        )
        for step in wanted.steps:
            FIXES[step.fix][1](hands)
            say(f"done: {step.says}")


def _enable_smtp_auth(hands: Hands) -> None:
    tenant = Tenant(hands.tenant_id, hands.exchange, hands.graph, Reader(hands.exchange, hands.graph))
    switches = switching(tenant, hands.journal)
    intended = switches.plan(Selection(names=(hands.mailbox,)), Wish(Switch.ON))
    outcome = switches.carry_out(intended)
    for refused in outcome.refused:
        raise InvalidInput(f"{refused.name} {refused.reason}.", remedy=refused.remedy)


def _redirect(hands: Hands) -> None:
    client_id, wanted = hands.asked.client_id, hands.asked.wanted_redirect
    application = hands.graph.application_by_app_id(client_id) if client_id else None
    if application is None or wanted is None:
        raise InvalidInput("There is no registration to change.", remedy="Name it: --client-id.")
    hands.directory.add_web_redirect(application.object_id, wanted)


def _consent(hands: Hands) -> None:
    client_id = hands.asked.client_id
    if client_id is None:
        raise InvalidInput("There is no registration to consent to.", remedy="Name it: --client-id.")
    ways = {verdict.way for verdict in hands.diagnosis.verdicts if verdict.causes}
    if "graph" in ways and hands.asked.stack is None:
        hands.directory.consent(client_id, GRAPH_APP_ID, GRAPH_SCOPES)
    if "smtp-oauth" in ways:
        hands.directory.consent(client_id, EXCHANGE_APP_ID, ("SMTP.Send",))


def _renew_secret(hands: Hands) -> None:
    if hands.renewal is None:
        raise InvalidInput("Nothing says where the new client secret goes.", remedy="Name its place: --sink.")
    hands.renewal.run()


def _security_defaults_off(hands: Hands) -> None:
    hands.directory.set_security_defaults(False)


def _exclude_from_policy(hands: Hands) -> None:
    user = hands.user()
    for policy in hands.directory.access_policies(user):
        if policy.blocks_legacy and not policy.depends:
            hands.directory.exclude_from_policy(policy.id, user)


def _allow_basic_by_policy(hands: Hands) -> None:
    exchange = hands.exchange
    found = exchange.first(
        "Get-AuthenticationPolicy", {"Identity": ALLOWING_POLICY}, doing="look up the policy", recipients=False
    )
    if found is None:
        exchange.run(
            "New-AuthenticationPolicy",
            {"Name": ALLOWING_POLICY, "AllowBasicAuthSmtp": True},
            doing=f"make the policy {ALLOWING_POLICY}",
            recipients=False,
        )
    elif found.get("AllowBasicAuthSmtp") is not True:
        raise InvalidInput(
            f"There is a policy {ALLOWING_POLICY!r} that does not allow Basic SMTP.", remedy="Rename or correct it."
        )
    for parameters in (
        {"AuthenticationPolicy": ALLOWING_POLICY},
        {"STSRefreshTokensValidFrom": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
    ):
        exchange.run(
            "Set-User",
            {"Identity": hands.mailbox, **parameters},
            doing=f"give {hands.mailbox} the policy {ALLOWING_POLICY}",
            mailbox=hands.mailbox,
        )


FIXES: dict[str, tuple[str, Callable[[Hands], None]]] = {
    "enable-smtp-auth": (
        "switch Authenticated SMTP on for this mailbox (provision smtp-auth undo puts it back)",
        _enable_smtp_auth,
    ),
    "redirect": ("register the redirect URI as Web, letter by letter, and nowhere else", _redirect),
    RENEW_SECRET: ("renew the client secret, as provision rotate --now does", _renew_secret),
    "consent": ("consent to the permissions for the whole tenant", _consent),
    "security-defaults-off": ("turn Security Defaults off for the whole tenant", _security_defaults_off),
    "exclude-from-policy": ("take this account out of the policies that block it", _exclude_from_policy),
    "allow-basic-by-policy": (
        f"give this account the authentication policy {ALLOWING_POLICY!r}; it counts within 30 minutes",
        _allow_basic_by_policy,
    ),
}
"""Every fix: what it says and what it does."""
