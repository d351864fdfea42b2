"""Rotation as a story: what is due, for a registration with a stack or without one, and what it would do.

Owns: putting slots, sinks, journal and proof together for one registration. Does not own: the order of the steps
(``secrets.rotation``), flags and wording (``cli``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from provision.app.lifetime import lifetime
from provision.errors import InvalidInput, ProvisionError
from provision.journal import Store, open_store
from provision.journal.lease import Lease, peek
from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.microsoft.proof import prove, prove_refresh
from provision.secrets.due import Pace
from provision.secrets.graph_slots import GraphSlots
from provision.secrets.record import WORDS, Kind, Record
from provision.secrets.rotation import Report, Rotation, Slots, Wish, work_for
from provision.secrets.sinks import Sink, open_sinks
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses
from provision.settings import profile as profiles
from provision.settings.endpoints import Endpoints
from provision.settings.stack import SLOTS, StackSettings

Say = Callable[[str], None]
_LATELY = timedelta(days=7)
_SHOWN = 50
"""How many sign-ins are listed one by one."""
MEANS: dict[Kind, Literal["client-secret", "certificate"]] = {"secret": "client-secret", "certificate": "certificate"}
"""What each kind is to a proof."""


@dataclass(frozen=True)
class RotateRequest:
    """What the command line asks for, beyond which registration."""

    wish: Wish = field(default_factory=Wish)
    pace: Pace = field(default_factory=Pace)
    sinks: tuple[str, ...] = ()
    journal: str = ""
    """Where the journal is; the state's backend URL."""
    revoke_sessions: tuple[str, ...] = ()
    """Users whose sessions end too, by user principal name or object id."""
    refresh_token_file: Path | None = None
    """A user's refresh token, to be redeemed with the new secret as a further proof."""


@dataclass(frozen=True)
class Unstacked:
    """A registration that no stack knows."""

    client_id: str
    tenant: str | None = None
    metadata_host: str | None = None
    credential: str | None = None
    profile: str = "cloudex"
    secret_months: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    reason: str
    """Why; empty when nothing is due."""
    name: str
    """The registration."""
    client_id: str
    in_use: str
    """The secret in use, in words."""
    steps: tuple[str, ...] = ()
    kind: Kind = "secret"


class OpenSlots(Protocol):
    """Opens a registration's slots."""

    def __call__(self, *, alone: bool) -> Slots:
        """The slots as they are now; with ``alone``, the caller holds the registration's lease."""


class Rotating:
    """One registration, signed in and ready to be rotated.

    Args:
        name: the registration's display name.
        slots: its slots as they are now; asked again under the lease (``alone=True``), since another run may have
            changed them, and what a killed one left may be put right only then.
        sinks: where the value goes.
        store: where journals are kept.
        prove: gets tokens with a value, or raises.
        graph: the tenant.
        pace: overlap and margin.
        end: until when a secret made now lives.
        now: the present, by Microsoft's clock.
        say: told single lines on the way.

    What is rotated is a client secret, or with ``CertificateSlots`` a certificate.
    """

    def __init__(
        self,
        *,
        name: str,
        slots: OpenSlots,
        sinks: tuple[Sink, ...],
        store: Store,
        prove: Callable[[str], object],
        graph: Graph,
        pace: Pace,
        end: Callable[[], datetime],
        now: Callable[[], datetime],
        say: Say,
    ) -> None:
        self.name = name
        self._open = slots
        self.slots = slots(alone=False)
        self._sinks = sinks
        self._store = store
        self._prove = prove
        self._graph = graph
        self._pace = pace
        self._end = end
        self._now = now
        self._say = say

    @property
    def key(self) -> str:
        """The journal's key."""
        return journal_key(self.slots.tenant_id, self.slots.client_id)

    def plan(self, wish: Wish) -> Plan:
        """What a run would do; every sink is tried as far as it can be without changing anything.

        Raises:
            ProvisionError: a sink could not be written, or the tenant forbids secrets.
        """
        journal = peek(self._store, self.key)
        record = Record.of_kind(self.slots.kind, journal)
        self._require_own_places(journal)
        listed = self.slots.listed()
        held = self.slots.held()
        now = self._now()
        reason = work_for(
            record,
            listed,
            held,
            name=self.slots.name,
            places=[sink.address for sink in self._sinks],
            wish=wish,
            pace=self._pace,
            now=now,
            kind=self.slots.kind,
        )
        ours = {one.key_id for one in held.values()} | set(record.secrets)
        in_use = record.active.key_id if record.active else None
        if in_use is None and (slot := self.slots.active()) is not None and slot in held:
            in_use = held[slot].key_id
        used = next((one for one in listed if one.key_id == in_use), None)
        words = "none of this toolkit's"
        if used is not None:
            left = "" if used.end is None else f", in {(used.end - now).days} days"
            words = f"{used.display_name} ({used.key_id}), which ends {used.end:%Y-%m-%d}{left}"
        steps: list[str] = []
        if reason:
            self._pace.require_fits(self._end() - now, WORDS[self.slots.kind])
            for sink in self._sinks:
                sink.check()
                steps.append(f"write it to {sink.address}, which is reachable and may be written, and read it back")
            foreign = [p for p in listed if p.key_id not in ours and p.key_id not in wish.retire]
            steps += [f"leave {p.display_name or 'unnamed'} ({p.key_id}) alone" for p in foreign]
        return Plan(reason, self.name, self.slots.client_id, words, tuple(steps), self.slots.kind)

    def _require_own_places(self, journal: Mapping[str, Any]) -> None:
        """Refuses a place that holds the registration's other kind of secret: the product would lose that one."""
        for kind in WORDS:
            places = {} if kind == self.slots.kind else Record.of_kind(kind, journal).places
            if shared := next((sink.address for sink in self._sinks if sink.address in places), None):
                raise InvalidInput(
                    f"{shared} holds the {WORDS[kind]} of {self.name}, and a {WORDS[self.slots.kind]} would take its "
                    "place.",
                    remedy="Name another place.",
                )

    def run(self, wish: Wish, lease: Lease | None = None) -> Report:
        """Does what is due, alone.

        Args:
            wish: what is asked for.
            lease: held by the caller; without it the journal's is taken.

        Raises:
            StateUnavailable: another runner that lives is at work on the registration.
            ProvisionError: see ``Rotation.run``.
        """
        if lease is None:
            with Lease(self._store, self.key, say=self._say) as taken:
                return self.run(wish, taken)
        self.slots = self._open(alone=True)
        rotation = Rotation(
            slots=self.slots,
            sinks=self._sinks,
            lease=lease,
            prove=self._prove,
            pace=self._pace,
            now=self._now,
            say=self._say,
        )
        return rotation.run(wish)

    def contain(self, users: Sequence[str]) -> list[str]:
        """After a secret became known to others: ends users' sessions, and tells who used the registration lately.

        Args:
            users: whose sessions end, by user principal name or object id.

        Returns:
            Lines for a person; what could not be done is among them, so that nothing stops the rest.
        """
        lines = []
        for user in users:
            try:
                self._graph.revoke_sessions(user)
                lines.append(f"sessions and refresh tokens of {user} are revoked; {user} must connect again")
            except ProvisionError as refused:
                lines.append(f"sessions of {user} are NOT revoked: {refused}")
        since = self._now() - _LATELY
        try:
            found = self._graph.sign_ins(self.slots.client_id, since)
        except ProvisionError as refused:
            return [*lines, f"who used the registration lately is not known: {refused}"]
        lines.append(f"sign-ins to the registration since {since:%Y-%m-%d}: {len(found)}")
        return lines + [
            f"  {one.at or ''} {one.user} from {one.address}" + (f", refused (AADSTS{one.error})" if one.error else "")
            for one in found[:_SHOWN]
        ]


@contextlib.contextmanager
def unstacked(
    target: Unstacked, request: RotateRequest, *, say: Say, environ: Mapping[str, str] = os.environ
) -> Iterator[Rotating]:
    """A registration without a stack, for rotation through Microsoft Graph alone.

    Args:
        target: which one, and how to sign in.
        request: what is asked for.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        InvalidInput: no sink, no such registration, a sink or profile that is none.
        SignInFailed, NotPermitted, PolicyRefuses, Unreachable: as the names say.
    """
    if not request.sinks:
        raise InvalidInput(
            "Without a stack nobody keeps the new secret, and no sink is named.",
            remedy="Name where it is used: --sink envfile:/srv/tms/mail.env (docs/sinks.md).",
        )
    product = profiles.load(target.profile, beside=Path.cwd())
    sinks = open_sinks(request.sinks, environ)
    store = open_store(request.journal, environ)
    endpoints = addresses.resolve(metadata_host=target.metadata_host, environment=None, environ=environ)
    how = credentials.read(target.credential, tenant_id=target.tenant, client_id=None, environ=environ)
    credential, caller = sign_in(how, endpoints, prompt=say)
    settings = StackSettings(profile=product, secret_months=target.secret_months or product.secret_months)
    with Graph(credential, endpoints) as graph:
        application = graph.application_by_app_id(target.client_id)
        if application is None:
            raise InvalidInput(
                f"There is no app registration with the client id {target.client_id} in tenant {caller.tenant_id}.",
                remedy="Copy Application (client) ID from the registration's overview page.",
            )
        tell_clocks(graph, say)

        def end() -> datetime:
            rules = graph.password_rules(application.object_id, created=application.created)
            return lifetime(settings, rules, graph.now()).end

        def slots(*, alone: bool) -> Slots:  # noqa: ARG001 - nobody but the journal remembers anything
            return GraphSlots(
                graph,
                application.object_id,
                caller.tenant_id,
                application.app_id,
                names={slot: product.slot_name(slot) for slot in SLOTS},
                end=end,
                now=graph.now,
            )

        yield Rotating(
            name=application.display_name,
            slots=slots,
            sinks=sinks,
            store=store,
            prove=prover(
                endpoints,
                tenant_id=caller.tenant_id,
                client_id=application.app_id,
                scopes=settings.scopes,
                refresh_token_file=request.refresh_token_file,
            ),
            graph=graph,
            pace=request.pace,
            end=end,
            now=graph.now,
            say=say,
        )


def journal_key(tenant_id: str, client_id: str) -> str:
    """The journal of a registration, whichever stack or none it belongs to."""
    return f"{tenant_id}/{client_id}".lower()


def journal_address(backend: str, named: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Where the journal is: the place named, else ``PROVISION_JOURNAL``, else beside Pulumi's state.

    Args:
        backend: Pulumi's state backend.
        named: the command line's ``--journal``.
        environ: the process's environment.
    """
    return named or environ.get("PROVISION_JOURNAL") or backend


def prover(
    endpoints: Endpoints,
    kind: Kind = "secret",
    *,
    tenant_id: str,
    client_id: str,
    scopes: tuple[str, ...],
    refresh_token_file: Path | None,
) -> Callable[[str], None]:
    """What proves a new secret or certificate: tokens with it, and a user's refresh token redeemed where one is given.

    Args:
        endpoints: the cloud.
        kind: what is proven.
        tenant_id: the tenant.
        client_id: the registration.
        scopes: delegated permissions that the product uses.
        refresh_token_file: holds a user's refresh token.

    Raises:
        InvalidInput: the file cannot be read or is readable by others.
    """
    refresh_token = None if refresh_token_file is None else _private_text(refresh_token_file)

    def proven(value: str) -> None:
        prove(endpoints, MEANS[kind], value, tenant_id=tenant_id, client_id=client_id)
        if refresh_token is not None:
            prove_refresh(
                endpoints,
                MEANS[kind],
                value,
                tenant_id=tenant_id,
                client_id=client_id,
                refresh_token=refresh_token,
                scopes=scopes,
            )

    return proven


def tell_clocks(graph: Graph, say: Say) -> None:
    """Says so when this machine's clock is wrong; what is reckoned here goes by Microsoft's.

    Args:
        graph: the tenant; it has answered before.
        say: told in one line.
    """
    minutes = abs(graph.ahead) / timedelta(minutes=1)
    if minutes >= 1:
        which = "behind" if graph.ahead > timedelta(0) else "ahead of"
        say(f"this machine's clock is {minutes:.0f} minutes {which} Microsoft's, which counts: set it right")


def _private_text(file: Path) -> str:
    try:
        if file.stat().st_mode & 0o077:
            raise InvalidInput(f"{file} can be read by others.", remedy=f"chmod 600 {file}")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"{file} cannot be read.", remedy="Name the file that holds the refresh token.") from None
