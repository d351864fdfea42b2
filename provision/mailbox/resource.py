"""``MailboxSmtpAuth``: one mailbox's switch as a Pulumi resource, by Pulumi's dynamic providers.

A stack declares which mailboxes may hand in mail by SMTP: the preview shows it, ``refresh`` shows what somebody else
has changed, and removing it puts the value before back, unless somebody else has changed it since. Owns: the resource
and its provider. Does not own: reading and setting (``reading``, ``applying``).

How to sign in comes from the environment and the stack's configuration (``azuread:metadataHost`` and the like), which
the engine hands to the provider's process; no secret is in the state. The engine keeps the provider itself, pickled,
with each resource: it is an object without fields, named by its module.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from provision.errors import ERROR_FILE, InvalidInput, ProvisionError
from provision.mailbox.applying import set_switch
from provision.mailbox.listing import is_address
from provision.mailbox.tenant import Tenant, Where, opened
from provision.mailbox.values import Mailbox, Switch
from provision.settings import credential as credentials
from provision.settings.stack import NAMESPACE, StackSettings

_KEYS = {
    "azuread:tenantId": "tenant",
    "azuread:metadataHost": "metadata_host",
    "azuread:environment": "environment",
    "azuread:clientId": "client_id",
    f"{NAMESPACE}:credential": "credential",
}
"""Configuration keys of a stack, and what they say about where and as whom (``settings.stack``)."""


class SmtpAuthProvider(ResourceProvider):
    """Creates, reads, changes and takes back. Its methods bear the names of Pulumi's protocol."""

    serialize_as_secret_always = False
    _where = Where()

    def configure(self, req: ConfigureRequest) -> None:
        """Takes where and as whom from the stack's configuration."""
        found = {attribute: req.config.get(key) for key, attribute in _KEYS.items()}
        type(self)._where = Where(**{name: str(value) for name, value in found.items() if value})
        sys.tracebacklimit = 0  # the provider's process shows failures as tracebacks: the sentence is enough

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuses what is no address or no value, before anything is asked."""
        failures = []
        if not _is_unknown(news.get("mailbox")) and not is_address(str(news.get("mailbox", ""))):
            failures.append(CheckFailure("mailbox", f"{news.get('mailbox')!r} is not a mailbox's address"))
        if not _is_unknown(news.get("smtpAuth")) and news.get("smtpAuth") not in list(Switch):
            failures.append(CheckFailure("smtpAuth", f"must be one of {', '.join(Switch)}"))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another mailbox is another resource; another value is a change."""
        moved = str(_olds.get("mailbox", "")).lower() != str(_news.get("mailbox", "")).lower()
        return DiffResult(
            changes=moved or _olds.get("smtpAuth") != _news.get("smtpAuth"),
            replaces=["mailbox"] if moved else [],
            delete_before_replace=True,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Sets the switch; the value before is kept in the state."""
        with self._tenant() as tenant:
            mailbox = _one(tenant, props["mailbox"])
            wanted = Switch(props["smtpAuth"])
            _require(tenant, mailbox, wanted)
            if mailbox.switch is not wanted:
                set_switch(tenant.exchange, mailbox, wanted)
        return CreateResult(mailbox.id, _outs(props["mailbox"], wanted, mailbox.switch.value))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Sets another value; the one before the stack came is still the one to go back to."""
        with self._tenant() as tenant:
            mailbox = _one(tenant, _id)
            wanted = Switch(_news["smtpAuth"])
            _require(tenant, mailbox, wanted)
            if mailbox.switch is not wanted:
                set_switch(tenant.exchange, mailbox, wanted)
        return UpdateResult(_outs(_news["mailbox"], wanted, str(_olds["before"])))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the mailbox is set to now; nothing when it is gone."""
        with self._tenant() as tenant:
            mailbox = tenant.reader.by_id([id_]).get(id_)
        if mailbox is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "smtpAuth": mailbox.switch.value})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Puts the value before back, where nobody has changed it since."""
        with self._tenant() as tenant:
            mailbox = tenant.reader.by_id([_id]).get(_id)
            if mailbox is not None and mailbox.switch.value == _props["smtpAuth"]:
                before = Switch(_props["before"])
                if before is not mailbox.switch:
                    set_switch(tenant.exchange, mailbox, before)

    @contextmanager
    def _tenant(self) -> Iterator[Tenant]:
        """The tenant, open. A foreseen failure is left for ``provision up``, too, which gives it its exit code."""
        try:
            with opened(self._where, say=logging.getLogger(__name__).warning, environ=os.environ) as tenant:
                yield tenant
        except ProvisionError as error:
            if file := os.environ.get(ERROR_FILE):
                error.write(Path(file))
            raise


class MailboxSmtpAuth(Resource, module="provision", name="MailboxSmtpAuth"):
    """Whether a mailbox may hand in mail by SMTP.

    Args:
        name: the resource's name in the stack.
        mailbox: its address.
        smtp_auth: ``on``, ``off`` or ``inherits``.
        opts: Pulumi's resource options.
    """

    mailbox: pulumi.Output[str]
    smtp_auth: pulumi.Output[str]
    before: pulumi.Output[str]
    """What it was before the stack came; it comes back when the resource is removed."""

    def __init__(
        self,
        name: str,
        *,
        mailbox: pulumi.Input[str],
        smtp_auth: pulumi.Input[str] = Switch.ON.value,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties: Mapping[str, Any] = {"mailbox": mailbox, "smtpAuth": smtp_auth, "before": None}
        super().__init__(SmtpAuthProvider(), name, dict(properties), opts)


def checked_mailboxes(settings: StackSettings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The addresses of ``smtpAuthMailboxes`` in lower case, once it is known that each can be switched on.

    So whatever is foreseen is said by the program in one sentence, in the preview too, before anything is made.

    Args:
        settings: the stack's.
        environ: the process's environment.

    Raises:
        InvalidInput: an address is no mailbox's, or its mailbox cannot have SMTP AUTH; or a person has to sign in.
        SignInFailed, NotPermitted, Unreachable: as the names say.
    """
    addresses = [address.lower() for address in settings.smtp_auth_mailboxes]
    if not addresses:
        return []
    where = Where(
        settings.tenant_id,
        settings.metadata_host,
        settings.environment,
        settings.credential,
        settings.credential_client_id,
    )
    how = credentials.read(where.credential, tenant_id=where.tenant, client_id=where.client_id, environ=environ)
    if how.is_interactive:
        raise InvalidInput(
            f"A stack cannot switch mailboxes when a person signs in by {how.method}: the resource signs in by itself.",
            remedy="Use an application's credential (docs/smtp-auth.md), or provision smtp-auth enable.",
        )
    with opened(where, say=pulumi.log.warn, environ=environ) as tenant:
        found, missing = tenant.reader.named(addresses)
        for address, obstacle in (tenant.reader.why_absent(missing) if missing else {}).items():
            raise InvalidInput(f"{address} {obstacle.reason}.", remedy=obstacle.remedy)
        off = [mailbox for mailbox in found if mailbox.switch is not Switch.ON]
        obstacles = tenant.reader.obstacles(off) if off else {}
        for mailbox in off:
            if mailbox.id in obstacles:
                obstacle = obstacles[mailbox.id]
                raise InvalidInput(f"{mailbox.address} {obstacle.reason}.", remedy=obstacle.remedy)
            pulumi.log.info(f"SMTP AUTH of {mailbox.address}: {mailbox.switch} becomes {Switch.ON}")
    return addresses


def _is_unknown(value: Any) -> bool:
    """Whether the engine knows the value only once something else is made."""
    from pulumi.runtime import rpc

    return bool(value == rpc.UNKNOWN)


def _one(tenant: Tenant, identity: str) -> Mailbox:
    """The mailbox of an address or an id.

    Raises:
        InvalidInput: there is none; the sentence says why.
    """
    found, missing = tenant.reader.named([identity])
    if found:
        return found[0]
    obstacle = tenant.reader.why_absent(missing)[identity]
    raise InvalidInput(f"{identity} {obstacle.reason}.", remedy=obstacle.remedy)


def _require(tenant: Tenant, mailbox: Mailbox, wanted: Switch) -> None:
    if wanted is Switch.ON and mailbox.switch is not wanted:
        obstacle = tenant.reader.obstacles([mailbox]).get(mailbox.id)
        if obstacle is not None:
            raise InvalidInput(f"{mailbox.address} {obstacle.reason}.", remedy=obstacle.remedy)


def _outs(mailbox: str, switch: Switch, before: str) -> dict[str, Any]:
    return {"mailbox": mailbox, "smtpAuth": switch.value, "before": before}
