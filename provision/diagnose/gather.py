"""All I/O of a diagnosis: facts from Microsoft Graph, Exchange Online, live attempts by SMTP and EWS, Entra and DNS.

Owns: which question gives which fact, and going on when one is refused: that fact is then not known, with the reason.
Does not own: the lines (``microsoft``, ``mail``, ``mailbox``), judging. Reads only; the SMTP dialogue signs in and
sends nothing, and by Exchange Web Services the mailbox is opened, no more. Secrets are used here and stand in no fact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from provision.diagnose import dns
from provision.diagnose.codes import BY_ID, UNKNOWN
from provision.diagnose.explain import Explanation, explain
from provision.diagnose.facts import (
    Answer,
    AttemptFacts,
    DomainFacts,
    EwsClients,
    Facts,
    MailboxFacts,
    NotKnown,
    RegistrationFacts,
    Secret,
    TenantFacts,
    TokenFacts,
)
from provision.diagnose.layers import Way
from provision.errors import InvalidInput, ProvisionError
from provision.mail import ews
from provision.mail.smtp import Dialogue, Password, Token, converse
from provision.mail.timeline import Outcome, Timeline
from provision.mailbox.reading import Reader
from provision.microsoft.credentials import Credential, credential_for
from provision.microsoft.directory import EXCHANGE_APP_ID, AccessPolicy, Directory, Door, User
from provision.microsoft.exchange import Exchange, Row
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Application
from provision.microsoft.product_sign_in import Registration, token_by_secret, told_by
from provision.microsoft.tokens import claims_of
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

T = TypeVar("T")
_LOG = timedelta(minutes=30)
"""How far back the sign-in log is read: what failed before that may be mended since."""
_SMTP_APP = "Authenticated SMTP"
"""``clientAppUsed`` of a password over SMTP ("How to block legacy authentication with Conditional Access")."""
_FULL_ACCESS = "full_access_as_app"
"""The application permission by which a program opens every mailbox by EWS in its own name."""
_PASSWORD_WAYS: tuple[Way, ...] = ("smtp-basic",)
_TOKEN_WAYS: tuple[Way, ...] = ("graph", "smtp-oauth", "ews")


@dataclass(frozen=True)
class Asked:
    """What is to be diagnosed."""

    ways: tuple[Way, ...]
    mailbox: str | None = None
    client_id: str | None = None
    wanted_redirect: str | None = None
    wants_tokens: tuple[bool, bool] | None = None
    password: str | None = field(default=None, repr=False)
    """The mailbox's password or app password, for a live dialogue."""
    token: str | None = field(default=None, repr=False)
    """An access token for SMTP, for a live dialogue."""
    ews_token: str | None = field(default=None, repr=False)
    """A user's access token for Exchange Web Services, for a live attempt."""
    client_secret: str | None = field(default=None, repr=False)
    """The product's, to be tried at Entra."""
    told: str | None = None
    """An error text that somebody was shown."""
    basic_kept: bool = False
    connect: bool = True
    """Whether to talk to the SMTP server and to Exchange Web Services at all."""
    dns: bool = True
    dns_server: str | None = None
    stack: str | None = None
    """The stack that owns the registration: its program alone changes it."""
    stack_mailboxes: tuple[str, ...] = ()
    """The mailboxes whose switch that stack owns."""


def gather(
    asked: Asked,
    endpoints: Endpoints,
    credential: Credential | None,
    tenant_id: str | None,
    *,
    say: Callable[[str], None],
) -> Facts:
    """Gathers every fact that can be had.

    Args:
        asked: what is to be diagnosed.
        endpoints: the cloud.
        credential: signed in; None when nobody could, so that what needs no sign-in is still looked at.
        tenant_id: the tenant's.
        say: told single lines on the way.

    Raises:
        InvalidInput: a given value cannot be used.
    """
    reading = _Reading(asked, endpoints, credential, tenant_id, say)
    with reading.opened:
        return reading.facts()


def attempted(
    facts: Facts,
    asked: Asked,
    endpoints: Endpoints,
    credential: Credential | None,
    *,
    say: Callable[[str], None],
) -> Facts:
    """The same facts with attempts and token of another question about the same mailbox; no setting is read again.

    Args:
        facts: of ``gather``, a moment ago.
        asked: what is tried now.
        endpoints: the cloud.
        credential: as for ``gather``.
        say: told single lines on the way.

    Raises:
        InvalidInput: a given value cannot be used.
    """
    tenant_id = facts.tenant.id if isinstance(facts.tenant.id, str) else None
    reading = _Reading(asked, endpoints, credential, tenant_id, say)
    with reading.opened:
        return reading.attempted(facts)


class _Reading:
    def __init__(
        self,
        asked: Asked,
        endpoints: Endpoints,
        credential: Credential | None,
        tenant_id: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._asked, self._endpoints, self._credential, self._say = asked, endpoints, credential, say
        self._tenant_id = tenant_id
        self.opened = ExitStack()
        self._graph: Graph | None = None
        self._directory: Directory | None = None
        self._exchange: Exchange | None = None
        if credential is not None:
            self._graph = self.opened.enter_context(Graph(credential, endpoints))
            self._directory = self.opened.enter_context(Directory(credential, endpoints))
            self._exchange = self.opened.enter_context(Exchange(credential, endpoints, warn=say))

    def attempted(self, facts: Facts) -> Facts:
        attempt = self._attempts()
        return replace(facts, now=self._now(), attempt=attempt, token=self._token())

    def facts(self) -> Facts:
        tenant = self._tenant()
        mailbox = self._mailbox()
        registration = self._registration()
        attempt = self._attempts()
        return Facts(
            now=self._now(),
            tenant=tenant,
            mailbox=mailbox,
            registration=registration,
            attempt=attempt,
            token=self._token(),
            domain=self._domain(),
        )

    def _now(self) -> datetime:
        """The present by Microsoft's clock, which counts for its calendar and its log, as its last answer told it."""
        return self._directory.now() if self._directory is not None else datetime.now(UTC)

    def _known(self, read: Callable[[], T]) -> T | NotKnown:
        """What a question answers, or why it cannot be asked."""
        if self._credential is None:
            return NotKnown("nobody is signed in to the tenant")
        try:
            return read()
        except _NotAsked as reason:
            return NotKnown(str(reason))
        except InvalidInput as refused:
            return NotKnown(f"{refused.message.rstrip('.')}")
        except ProvisionError as refused:
            return NotKnown(f"{refused.message.rstrip('.')}. {refused.remedy}".strip().rstrip("."))

    # The mailbox and its account

    @cached_property
    def _user(self) -> User | NotKnown | None:
        return self._known(self._find_user)

    def _find_user(self) -> User | None:
        return self._need(self._directory).user(self._address())

    def _address(self) -> str:
        if not self._asked.mailbox:
            raise _NotAsked("no mailbox was named (--mailbox)")
        return self._asked.mailbox

    def _found_user(self) -> User:
        if isinstance(self._user, NotKnown):
            raise _NotAsked(self._user.reason)
        if self._user is None:
            raise _NotAsked(f"Microsoft Entra knows no user {self._asked.mailbox}")
        return self._user

    @staticmethod
    def _need(line: T | None) -> T:
        if line is None:
            raise _NotAsked("nobody is signed in to the tenant")
        return line

    def _mailbox(self) -> MailboxFacts:
        if not self._asked.mailbox:
            return MailboxFacts()
        user = self._user
        cas = self._known(self._cas)
        box = self._known(self._box)
        kind = box if isinstance(box, NotKnown) else str(box.get("RecipientTypeDetails")) if box is not None else None
        return MailboxFacts(
            address=self._asked.mailbox,
            account_exists=user if isinstance(user, NotKnown) else user is not None or box is not None,
            account_enabled=self._known(lambda: self._found_user().enabled),
            mfa=self._known(lambda: self._need(self._directory).mfa_enforced(self._found_user())),
            mfa_registered=self._known(lambda: self._need(self._directory).mfa_registered(self._found_user())),
            licensed=self._known(lambda: self._need(self._directory).has_exchange_licence(self._found_user().id)),
            kind=kind,
            absent_because=self._known(lambda: self._absent(box)),
            smtp_disabled=_property(cas, "SmtpClientAuthenticationDisabled"),
            ews_enabled=_property(cas, "EwsEnabled"),
            ews_clients=_clients(cas),
            policy_blocks=self._known(self._blocking_policy),
            restricted=self._known(self._restricted),
            stack=self._asked.stack if self._is_stacked(self._asked.mailbox) else None,
        )

    def _is_stacked(self, mailbox: str) -> bool:
        return mailbox.lower() in {address.lower() for address in self._asked.stack_mailboxes}

    def _cas(self) -> Row | None:
        return self._need(self._exchange).first(
            "Get-CASMailbox", {"Identity": self._address()}, doing=f"read the switches of {self._asked.mailbox}"
        )

    def _box(self) -> Row | None:
        return self._need(self._exchange).first(
            "Get-Mailbox", {"Identity": self._address()}, doing=f"look up the mailbox of {self._asked.mailbox}"
        )

    def _absent(self, box: Row | NotKnown | None) -> str:
        """Why the mailbox is not there, or cannot be used, as ``mailbox.obstacles`` names it; empty when it can."""
        if isinstance(box, NotKnown):
            raise _NotAsked(box.reason)
        if box is None:
            why = Reader(self._need(self._exchange), self._graph).why_absent([self._address()])
            return why[self._address()].id
        if box.get("RecipientTypeDetails") == "UserMailbox" and box.get("SKUAssigned") is False:
            return "unlicensed"
        return ""

    def _blocking_policy(self) -> str | None:
        exchange = self._need(self._exchange)
        row = exchange.first(
            "Get-User", {"Identity": self._address()}, doing=f"read the authentication policy of {self._asked.mailbox}"
        )
        name = (row or {}).get("AuthenticationPolicy")
        if not name:
            name = (self._organization or {}).get("DefaultAuthenticationPolicy")
        if not name:
            return None
        policy = exchange.first(
            "Get-AuthenticationPolicy",
            {"Identity": name},
            doing=f"read the authentication policy {name}",
            recipients=False,
        )
        return None if policy is None or policy.get("AllowBasicAuthSmtp") is True else str(policy.get("Name") or name)

    def _restricted(self) -> bool:
        found = self._need(self._exchange).first(
            "Get-BlockedSenderAddress",
            {"SenderAddress": self._address()},
            doing="look for restricted senders",
            recipients=False,
        )
        return found is not None

    # The tenant

    @cached_property
    def _organization(self) -> Row | None:
        return self._need(self._exchange).first(
            "Get-OrganizationConfig", doing="read the organization's settings", recipients=False
        )

    @cached_property
    def _policies(self) -> list[AccessPolicy] | NotKnown:
        return self._known(self._find_policies)

    def _find_policies(self) -> list[AccessPolicy]:
        return self._need(self._directory).access_policies(self._found_user())

    def _tenant(self) -> TenantFacts:
        policies = self._policies
        organization = self._known(lambda: self._organization)
        transport = self._known(lambda: Reader(self._need(self._exchange)).organization())
        return TenantFacts(
            id=self._tenant_id or NotKnown("nobody is signed in to the tenant"),
            security_defaults=self._known(lambda: self._need(self._directory).security_defaults()),
            legacy_blocked_by=_names(policies, lambda one: one.blocks_legacy and not one.depends),
            modern_blocked_by=_names(policies, lambda one: one.blocks_modern and not one.depends),
            legacy_may_be_blocked_by=_names(policies, lambda one: one.blocks_legacy and bool(one.depends)),
            modern_may_be_blocked_by=_names(policies, lambda one: one.blocks_modern and bool(one.depends)),
            smtp_disabled=transport if isinstance(transport, NotKnown) else not transport.smtp_auth,
            legacy_tls=transport if isinstance(transport, NotKnown) else transport.legacy_tls,
            ews_enabled=_property(organization, "EwsEnabled"),
            ews_applications=self._known(self._ews_applications),
            ews_clients=_clients(organization),
            basic_kept=self._asked.basic_kept,
        )

    def _ews_applications(self) -> tuple[str, ...]:
        """The list that ``Get-OrganizationConfig`` shows only where it is asked for it, one text with commas."""
        if "ews" not in self._asked.ways:
            raise _NotAsked("Exchange Web Services were not asked about")
        parameters = {"RetrieveEwsOperationAccessPolicy": True}
        row = self._need(self._exchange).first(
            "Get-OrganizationConfig", parameters, doing="read which applications may use EWS", recipients=False
        )
        value = (row or {}).get("EwsAllowedAppIDs") or ()
        texts = [value] if isinstance(value, str) else [str(one) for one in value]
        return tuple(one.strip().lower() for text in texts for one in text.split(",") if one.strip())

    # The registration

    def _registration(self) -> RegistrationFacts:
        client_id = self._asked.client_id
        if client_id is None:
            return RegistrationFacts()
        application = self._known(lambda: self._need(self._graph).application_by_app_id(client_id))
        door = self._known(lambda: self._need(self._directory).door(client_id))
        whole = _of_application(application)
        wanted = self._asked.wanted_redirect
        tokens = self._asked.wants_tokens
        exists: bool | NotKnown
        if isinstance(application, NotKnown) or isinstance(door, NotKnown):
            exists = next(one for one in (application, door) if isinstance(one, NotKnown))
        else:
            exists = application is not None or door is not None
        return replace(
            whole,
            client_id=client_id,
            exists=exists,
            wanted_redirect=wanted or NotKnown("the product's callback address was not given (--redirect-uri)"),
            wants_tokens=tokens or NotKnown("no product profile was named (--profile)"),
            enterprise=door if isinstance(door, NotKnown) else door is not None,
            enabled=self._of_door(door, lambda there: there.enabled),
            granted=self._of_door(door, self._granted),
            granted_roles=self._of_door(door, lambda there: tuple(self._need(self._directory).granted_roles(there))),
            exchange_roles=self._of_door(door, self._exchange_roles),
            unassigned=self._of_door(door, self._unassigned),
            stack=self._asked.stack,
        )

    def _of_door(self, door: Door | NotKnown | None, read: Callable[[Door], T]) -> T | NotKnown:
        if isinstance(door, NotKnown):
            return door
        if door is None:
            return NotKnown("the tenant has no enterprise application of it")
        return self._known(lambda: read(door))

    def _granted(self, door: Door) -> tuple[str, ...]:
        user = self._user.id if isinstance(self._user, User) else None
        grants = self._need(self._graph).grants(door.object_id)
        counted = [one for one in grants if one.consent_type == "AllPrincipals" or one.principal_id == user]
        return tuple(dict.fromkeys(scope for grant in counted for scope in grant.scopes))

    def _exchange_roles(self, door: Door) -> tuple[str, ...]:
        if "ews" not in self._asked.ways:
            raise _NotAsked("Exchange Web Services were not asked about")
        return tuple(self._need(self._directory).granted_roles(door, EXCHANGE_APP_ID))

    def _unassigned(self, door: Door) -> bool:
        if not door.assignment_required:
            return False
        directory, user = self._need(self._directory), self._found_user()
        return not (directory.assigned(door) & {user.id, *directory.groups_of(user)})

    # Attempts

    def _attempts(self) -> AttemptFacts:
        answers: list[Answer] = []
        works: list[str] = []
        dialogues = self._dialogues()
        for way, dialogue in dialogues:
            if dialogue.refused is None:
                works += [way] if way and _signed_in(dialogue) else []
            else:
                said = dialogue.refused.reply if dialogue.refused.code else f"{dialogue.refused.text}"
                answers.append(_answer("SMTP", way, said))
        for refusal in self._knocks():
            if refusal is None:
                works.append("ews")
            else:
                answers.append(_answer("Exchange Web Services, asked by exchangelib", "ews", refusal))
        secret = self._try_secret(answers)
        if self._asked.told:
            answers += _told(explain(self._asked.told))
        if self._asked.mailbox:
            answers += self._log(works)
        tls = next((dialogue.tls for _, dialogue in dialogues if dialogue.tls), "")
        return AttemptFacts(
            works=tuple(works),
            answers=tuple(answer for answer in answers if answer.codes),
            tls=tls or NotKnown("no encrypted SMTP connection was made"),
            secret_works=secret,
        )

    def _dialogues(self) -> list[tuple[str, Dialogue]]:
        """The live dialogues: one for each given credential, else one that only greets."""
        smtp = {"smtp-basic", "smtp-oauth"} & set(self._asked.ways)
        if not smtp or not self._asked.connect:
            return []
        tried: list[tuple[str, Password | Token | None]] = []
        if self._asked.mailbox and self._asked.password and "smtp-basic" in smtp:
            tried.append(("smtp-basic", Password(self._asked.mailbox, self._asked.password)))
        if self._asked.mailbox and self._asked.token and "smtp-oauth" in smtp:
            tried.append(("smtp-oauth", Token(self._asked.mailbox, self._asked.token)))
        dialogues = []
        for way, login in tried or [("", None)]:
            self._say(f"asking {self._endpoints.smtp_address}")
            dialogue = converse(
                self._endpoints.smtp_host, self._endpoints.smtp_port, login=login, ca_file=self._endpoints.ca_file
            )
            dialogues.append((way, dialogue))
        return dialogues

    def _knocks(self) -> list[str | None]:
        """The live attempts by Exchange Web Services: what was refused; None where the mailbox was opened."""
        mailbox = self._asked.mailbox
        if "ews" not in self._asked.ways or not self._asked.connect or not mailbox:
            return []
        tried: list[tuple[ews.Auth, Token]] = []
        if self._asked.ews_token:
            tried.append(("oauth", Token(mailbox, self._asked.ews_token)))
        elif (own := self._own_token()) is not None:
            tried.append(("oauth-app", Token(mailbox, own)))
        said: list[str | None] = []
        for auth, token in tried:
            self._say(f"asking {self._endpoints.ews}")
            timeline = Timeline()
            server = ews.Server(auth, url=self._endpoints.ews, is_online=True)
            try:
                with timeline.way():
                    ews.knock(timeline, server, token, mailbox, ca_file=self._endpoints.ca_file)
            except InvalidInput as missing:
                if self._asked.ews_token:
                    raise
                self._say(f"note: Exchange Web Services are not asked: {missing}")
                continue
            refused = [stage.said for stage in timeline.stages if stage.outcome is Outcome.REFUSED]
            said += refused or [None]
        return said

    def _own_token(self) -> str | None:
        """The application's own token, where it holds the permission to open every mailbox; None elsewhere."""
        secret, client_id = self._asked.client_secret, self._asked.client_id
        if not secret or not client_id or self._tenant_id is None:
            return None
        try:
            registration = Registration(self._tenant_id, client_id, secret)
            token = token_by_secret(registration, self._endpoints, self._endpoints.exchange_scope)
        except ProvisionError:
            return None
        return token if _FULL_ACCESS in {one.lower() for one in told_by(token)[1]} else None

    def _try_secret(self, answers: list[Answer]) -> bool | NotKnown:
        secret, client_id = self._asked.client_secret, self._asked.client_id
        if not secret or not client_id or self._tenant_id is None:
            return NotKnown("the product's client secret was not given")
        setting = CredentialSetting(
            method="client-secret",
            origin="the product's client secret",
            tenant_id=self._tenant_id,
            client_id=client_id,
            client_secret=secret,
        )
        credential = credential_for(setting, self._endpoints)
        try:
            credential.get_token(self._endpoints.graph_scope)
        except ProvisionError as refused:
            found = explain(refused.message)
            if not found.codes and not found.unknown:
                return NotKnown(refused.message.rstrip("."))
            answers += [
                replace(answer, where="Entra, to the client secret", way="") for answer in _told(found) if answer.codes
            ]
            return False
        finally:
            credential.close()
        return True

    def _log(self, works: Sequence[str]) -> list[Answer]:
        """The user's newest refusals in the sign-in log: of SMTP with a password, and of sign-ins that end in a token.

        A wrong password at one door says nothing of the other.
        """
        found = self._known(lambda: self._need(self._directory).sign_ins_of(self._found_user(), self._now() - _LOG))
        if isinstance(found, NotKnown):
            return []
        answers = []
        for ways in (_PASSWORD_WAYS, _TOKEN_WAYS):
            newest = next((one for one in found if (one.client_app == _SMTP_APP) is (ways is _PASSWORD_WAYS)), None)
            if newest is None or not newest.error or f"AADSTS{newest.error}" not in BY_ID:
                continue
            at = f"{newest.at:%Y-%m-%d %H:%M} UTC" if newest.at else "without a time"
            code = f"AADSTS{newest.error}"
            answers += [
                Answer("Sign-in log", way, f"{code} at {at}.", (code,))
                for way in ways
                if way in self._asked.ways and way not in works
            ]
        return answers

    # The token, the domain

    def _token(self) -> TokenFacts:
        if not self._asked.token:
            return TokenFacts()
        try:
            claims = claims_of(self._asked.token)
        except ProvisionError:
            because = NotKnown("what was given as a token cannot be read")
            return TokenFacts(because, because, because, because)
        ends = claims.get("exp")
        return TokenFacts(
            audience=str(claims.get("aud", "")),
            permissions=(*str(claims.get("scp", "")).split(), *claims.get("roles", ())),
            ends=datetime.fromtimestamp(ends, UTC) if isinstance(ends, int) else NotKnown("the token has no end"),
            user=str(claims.get("upn") or claims.get("preferred_username") or claims.get("unique_name") or ""),
        )

    def _domain(self) -> DomainFacts:
        _, _, domain = (self._asked.mailbox or "").rpartition("@")
        if not domain or not self._asked.dns:
            return DomainFacts()
        if self._endpoints.is_local and self._asked.dns_server is None:
            because = NotKnown("a local tenant's domain has no DNS (--dns-server names a server)")
            return DomainFacts(domain, because, because, because, because)
        return dns.read(domain, server=self._asked.dns_server)


class _NotAsked(Exception):
    """A question that cannot be asked; the message is the reason."""


def _names(
    policies: list[AccessPolicy] | NotKnown, which: Callable[[AccessPolicy], bool]
) -> tuple[str, ...] | NotKnown:
    """The policies that are meant, each by its name and what it depends on."""
    if isinstance(policies, NotKnown):
        return policies
    return tuple(
        ", ".join((repr(one.name), *one.depends)) if one.depends else one.name for one in policies if which(one)
    )


def _property(row: Row | NotKnown | None, name: str) -> bool | NotKnown | None:
    """A tri-state property of a row. One that is not there is not ``$null``, and so not known."""
    if isinstance(row, NotKnown):
        return row
    if row is None:
        return NotKnown("Exchange Online has no such mailbox")
    if name not in row:
        return NotKnown(f"Exchange Online did not show {name}")
    value = row[name]
    if value is None or isinstance(value, bool):
        return value
    return NotKnown(f"Exchange Online showed {name} as no switch")


def _clients(row: Row | NotKnown | None) -> EwsClients | NotKnown | None:
    """The list by User-Agent that counts in a row of settings."""
    if isinstance(row, NotKnown):
        return row
    if row is None:
        return NotKnown("Exchange Online has no such mailbox")
    policy = row.get("EwsApplicationAccessPolicy")
    if not policy:
        return None
    listed = row.get("EwsAllowList" if policy == "EnforceAllowList" else "EwsBlockList") or ()
    return EwsClients(str(policy), tuple(str(one) for one in listed))


def _of_application(application: Application | NotKnown | None) -> RegistrationFacts:
    if isinstance(application, NotKnown) or application is None:
        because = application or NotKnown("the registration is in another tenant, or there is none")
        return RegistrationFacts(*(because,) * len(RegistrationFacts.__dataclass_fields__))
    return RegistrationFacts(
        name=application.display_name,
        multitenant=application.sign_in_audience != "AzureADMyOrg",
        verified_publisher=application.verified_publisher,
        web_redirects=application.web_redirect_uris,
        spa_redirects=application.spa_redirect_uris,
        public_redirects=application.public_redirect_uris,
        public_client=application.is_fallback_public_client,
        issues_tokens=(application.issue_access_tokens, application.issue_id_tokens),
        secrets=tuple(Secret(one.key_id, one.display_name or "", one.end) for one in application.passwords),
    )


def _signed_in(dialogue: Dialogue) -> bool:
    return any(step.name == "auth" and step.accepted for step in dialogue.steps)


def _answer(where: str, way: str, said: str) -> Answer:
    """A live refusal; one in words that are not known is one all the same."""
    return Answer(where, way, said, tuple(code.id for code in explain(said).codes) or (UNKNOWN.id,))


def _told(found: Explanation) -> Sequence[Answer]:
    """The answers in a pasted text; of the text itself nothing is kept."""
    read = "; ".join(found.understood) or "recognised by its words"
    return [Answer("Pasted text", "", f"{code.id} ({read}).", (code.id,)) for code in found.codes]
