"""What each action does for one tenant, and which outcome that is.

Owns: calling the rooms that know how, and saying what came of it in the words of an outcome. Does not own: claim, log
and failures (``work``), the folder and the sign-in (``opening``). ``audit`` is not here: it looks at many tenants at
once (``fleet.audit``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from provision.diagnose.gather import Asked, gather
from provision.diagnose.judge import Diagnosis, judge
from provision.diagnose.judge import Finding as Cause
from provision.diagnose.layers import WAYS
from provision.diagnose.rules.rule import Severity as Urgency
from provision.errors import InvalidInput
from provision.fleet.jobs.opening import Opening, OpenStack
from provision.fleet.outcome import Action, Finding, Outcome, Severity
from provision.fleet.telemetry import step
from provision.mailbox.applying import Selection
from provision.mailbox.planning import Refused, Wish
from provision.mailbox.tenant import Where, opened, switching
from provision.mailbox.values import Switch
from provision.microsoft.credentials import sign_in
from provision.onboard.rotating import RotateRequest, journal_address
from provision.onboard.stories import Change
from provision.onboard.stories import Outcome as Done
from provision.secrets.due import MARGIN, OVERLAP, Pace
from provision.secrets.rotation import Report, in_seconds
from provision.secrets.rotation import Wish as Rotation
from provision.settings import credential as credentials
from provision.settings.stack import NAMESPACE

_SEVERITIES: dict[Urgency, Severity] = {"stops": "error", "ends": "warning", "weakens": "warning", "note": "note"}
"""A diagnosis' words, and those of an outcome."""


def plan(opening: Opening) -> Outcome:
    """What ``up`` would change; nothing is written in the tenant."""
    with opening.stack() as stack:
        known = stack.kept
        with step("preview"):
            changes = stack.onboarding.preview(refresh=known.client_id is not None)
    return Outcome(
        opening.job.tenant.key,
        "plan",
        "pending" if changes else "unchanged",
        verdict=_verdict(changes),
        tenant_id=known.tenant_id,
        client_id=known.client_id,
        secret_ends=known.secret_ends,
        changes=Counter(change.operation for change in changes),
        facts={"changes": _documents(changes)} if changes else {},
    )


def up(opening: Opening) -> Outcome:
    """Makes the tenant's registration, or puts it right."""
    with opening.stack() as stack:
        was_there = stack.kept.client_id is not None
        try:
            with step("up"):
                done = stack.onboarding.up(refresh=was_there)
        except BaseException:
            _keep_what_is_there(stack)
            raise
        known = stack.keep(complete=True)
    return Outcome(
        opening.job.tenant.key,
        "up",
        "changed" if done.done or done.delivered else "unchanged",
        verdict=_verdict(done.done) if was_there else "new",
        tenant_id=known.tenant_id,
        client_id=known.client_id,
        secret_ends=known.secret_ends,
        changes=Counter(change.operation for change in done.done),
        findings=tuple(_pending_consent(done)),
        notes=done.notes,
        facts={"changes": _documents(done.done)} if done.done else {},
    )


def rotate(opening: Opening) -> Outcome:
    """Renews the client secret where it is due."""
    options = opening.job.options
    pace = Pace(
        overlap=_seconds(options, "overlap", OVERLAP),
        margin=_seconds(options, "margin", MARGIN),
    )
    wish = Rotation(now=bool(options.get("now")), compromised=bool(options.get("compromised")))
    with opening.stack() as stack:
        journal = journal_address(stack.state.backend, environ=stack.environ)
        request = RotateRequest(wish=wish, pace=pace, sinks=opening.job.tenant.sinks, journal=journal)
        with stack.onboarding.rotating(request) as rotating:
            planned = rotating.plan(wish)
            with step("rotate"):
                report = rotating.run(wish) if planned.reason else Report()
            if planned.reason and wish.compromised:
                report.notes += rotating.contain(())
        known = stack.keep(complete=False)
    retired = len(report.retired)
    made = 0 if report.made is None else 1
    return Outcome(
        opening.job.tenant.key,
        "rotate",
        "changed" if planned.reason else "unchanged",
        tenant_id=known.tenant_id,
        client_id=planned.client_id,
        secret_ends=report.active.expires if report.active else known.secret_ends,
        changes={name: count for name, count in (("create", made), ("delete", retired)) if count},
        notes=(*([planned.reason] if planned.reason else []), *report.notes),
        facts={
            "inUse": planned.in_use,
            "retiring": [{"keyId": old.key_id, "after": in_seconds(old.retire_after)} for old in report.retiring],
        },
    )


def smtp_auth(opening: Opening) -> Outcome:
    """Switches SMTP AUTH on for the row's mailboxes, and leaves all others as they are."""
    tenant = opening.job.tenant
    if not tenant.mailboxes:
        return Outcome(tenant.key, "smtp-auth", "unchanged", notes=("the row names no mailboxes",))
    with opening.signed() as environ, opened(_where(opening), say=opening.say, environ=environ) as there:
        switches = switching(there, opening.journal(), opening.environ)
        with step("read mailboxes"):
            planned = switches.plan(Selection(tenant.mailboxes), Wish(Switch.ON))
        refused = list(planned.refused)
        changed = 0
        if planned.changes or planned.settled:
            with step("switch mailboxes"):
                made = switches.carry_out(planned)
            refused, changed = made.refused, len(made.changed)
        tenant_id = there.tenant_id
    findings = tuple(_left(one) for one in refused)
    return Outcome(
        tenant.key,
        "smtp-auth",
        "changed" if changed else "pending" if findings else "unchanged",
        tenant_id=tenant_id,
        changes={"update": changed} if changed else {},
        findings=findings,
        facts={"asWanted": planned.as_wanted},
    )


def diagnose(opening: Opening) -> Outcome:
    """Looks for what stops mail: at the registration, and at each of the row's mailboxes."""
    tenant = opening.job.tenant
    ways = tuple(way for way in WAYS if way in (opening.job.options.get("via") or WAYS))
    with opening.stack() as stack:
        if not stack.kept.client_id:
            raise InvalidInput(
                f"{tenant.key} has no app registration yet.",
                remedy=f"Make it first: provision fleet up --tenant {tenant.key}",
            )
        outputs = stack.onboarding.outputs().outputs
        settings, endpoints = stack.onboarding.settings(), stack.onboarding.endpoints()
        how = credentials.read(
            settings.credential,
            tenant_id=settings.tenant_id,
            client_id=settings.credential_client_id,
            environ=stack.environ,
        )
        credential, caller = sign_in(how, endpoints, prompt=opening.say)
        diagnoses = {}
        for mailbox in tenant.mailboxes or (None,):
            asked = Asked(
                ways=ways,
                mailbox=mailbox,
                client_id=str(outputs["clientId"]),
                wanted_redirect=outputs.get("redirectUri"),
                client_secret=outputs.get("clientSecret"),
                stack=tenant.key,
                stack_mailboxes=settings.smtp_auth_mailboxes,
            )
            with step("gather"):
                facts = gather(asked, endpoints, credential, caller.tenant_id, say=opening.say)
            diagnoses[mailbox] = judge(facts, ways)
        credential.close()
    can_send = all(one.can_send for one in diagnoses.values())
    return Outcome(
        tenant.key,
        "diagnose",
        "unchanged" if can_send else "pending",
        tenant_id=caller.tenant_id,
        client_id=str(outputs["clientId"]),
        secret_ends=stack.kept.secret_ends,
        findings=tuple(dict.fromkeys([*_findings(tenant.key, diagnoses), *_undecided(diagnoses)])),
        facts={"canSend": {mailbox or "": one.can_send for mailbox, one in diagnoses.items()}},
    )


ACTIONS: Mapping[Action, Callable[[Opening], Outcome]] = {
    "plan": plan,
    "up": up,
    "rotate": rotate,
    "smtp-auth": smtp_auth,
    "diagnose": diagnose,
}


def _keep_what_is_there(stack: OpenStack) -> None:
    """After a failure: what the run has made all the same. The failure is what counts, not this."""
    try:
        stack.keep(complete=False)
    except Exception as beside:  # noqa: BLE001
        stack.opening.say(f"what this run made could not be kept: {beside}")


def _verdict(changes: Iterable[Change]) -> str:
    operations = {change.operation for change in changes}
    if not operations:
        return "unchanged"
    return "new" if operations == {"create"} else "drifted"


def _documents(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        {
            "operation": change.operation,
            "type": change.type.rpartition(":")[2],
            "name": change.name,
            "changed": list(change.changed),
        }
        for change in changes
    ]


def _pending_consent(done: Done) -> Iterable[Finding]:
    if done.consent_url:
        yield Finding(
            "admin-consent",
            "error",
            "Admin consent is missing; everything else is done.",
            f"Send this to an administrator who may consent: {done.consent_url}",
        )


def _seconds(options: Mapping[str, Any], name: str, otherwise: timedelta) -> timedelta:
    given = options.get(name)
    return otherwise if given is None else timedelta(seconds=float(given))


def _where(opening: Opening) -> Where:
    config = opening.job.tenant.configuration()
    return Where(
        tenant=config.get("azuread:tenantId"),
        metadata_host=config.get("azuread:metadataHost"),
        environment=config.get("azuread:environment"),
        credential=config.get(f"{NAMESPACE}:credential"),
        client_id=config.get("azuread:clientId"),
    )


def _left(refused: Refused) -> Finding:
    severity: Severity = "error" if refused.obstacle == "refused" else "warning"
    return Finding(
        f"mailbox-{refused.obstacle or 'refused'}", severity, f"{refused.name} {refused.reason}.", refused.remedy
    )


def _findings(key: str, diagnoses: Mapping[str | None, Diagnosis]) -> Iterable[Finding]:
    for diagnosis in diagnoses.values():
        for one in diagnosis.findings:
            command = _command(key, one)
            remedy = f"{one.remedy.say} Command: {command}" if command else one.remedy.say
            yield Finding(one.rule.id, _SEVERITIES[one.rule.severity], "; ".join(one.seen) or one.rule.title, remedy)


def _command(key: str, found: Cause) -> str:
    """What puts it right from the fleet, whose stacks lie in no folder where ``--stack`` would find them."""
    if found.stack is not None:
        action = "up" if found.rule.family == "registration" else "smtp-auth"
        return f"provision fleet {action} --tenant {key}"
    command = found.remedy.command.replace(f"--stack {key}", f"--tenant {key}")
    if command == "provision up":
        return f"provision fleet up --tenant {key}"
    return command.replace("provision rotate", "provision fleet rotate")


def _undecided(diagnoses: Mapping[str | None, Diagnosis]) -> Iterable[Finding]:
    """Why a tenant where nothing was found to stop mail is not said to send, either."""
    for mailbox, diagnosis in diagnoses.items():
        if diagnosis.can_send or diagnosis.is_stopped:
            continue
        missing = dict.fromkeys(reason for verdict in diagnosis.verdicts for reason in verdict.missing)
        yield Finding(
            "undecided",
            "warning",
            f"{mailbox or 'The registration'}: no certain cause was found, but not everything is known: "
            f"{'; '.join(missing)}.",
            "Give the permission that is named, or name the row's mailboxes, and diagnose again.",
        )
