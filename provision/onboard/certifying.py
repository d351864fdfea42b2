"""Certificates as a story: the same rotation as a client secret's, over slots that hold certificates.

Owns: putting slots, sinks, journal and proof together for one registration's certificates. Does not own: the order of
the steps (``secrets.rotation``), flags and wording (``cli``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from provision.app.lifetime import certificate_lifetime
from provision.errors import InvalidInput
from provision.journal import open_store
from provision.journal.lease import peek
from provision.onboard.finding import Found, Target, registration
from provision.onboard.rotating import RotateRequest, Rotating, journal_key, prover
from provision.secrets.certificate_slots import CertificateSlots
from provision.secrets.record import Record
from provision.secrets.rotation import Slots
from provision.secrets.sinks import open_sinks
from provision.settings.stack import SLOTS, StackSettings

Say = Callable[[str], None]


@contextlib.contextmanager
def certifying(
    target: Target,
    request: RotateRequest,
    *,
    lifetime: timedelta | None,
    say: Say,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Rotating]:
    """A registration whose certificate is to be rotated.

    Args:
        target: which registration.
        request: what is asked for; a stack's own sinks hold its client secret, so a certificate's are always named.
        lifetime: how long a certificate made now shall live; None for a year, or as long as the tenant's policy allows.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        InvalidInput: no sink, or one that cannot hold a certificate; no such registration.
        SignInFailed, NotPermitted, PolicyRefuses, Unreachable: as the names say.
    """
    if not request.sinks:
        raise InvalidInput(
            "No sink is named: nobody would keep the certificate's private key.",
            remedy="Name where it is used: --sink file:/srv/tms/certificate.pem (docs/sinks.md).",
        )
    sinks = open_sinks(request.sinks, environ, kind="certificate")
    store = open_store(request.journal, environ)
    with registration(target, say=say, environ=environ) as found:
        key = journal_key(found.tenant_id, found.application.app_id)
        end = _end(found, lifetime, say)

        def slots(*, alone: bool) -> Slots:  # noqa: ARG001 - nobody but the journal remembers anything
            return CertificateSlots(
                found.graph,
                found.application.object_id,
                found.tenant_id,
                found.application.app_id,
                names={slot: found.profile.certificate_name(slot) for slot in SLOTS},
                end=end,
                now=found.graph.now,
                remembered=lambda: Record.of_kind("certificate", peek(store, key)),
            )

        yield Rotating(
            name=found.application.display_name,
            slots=slots,
            sinks=sinks,
            store=store,
            prove=prover(
                found.endpoints,
                "certificate",
                tenant_id=found.tenant_id,
                client_id=found.application.app_id,
                scopes=(found.settings or StackSettings(profile=found.profile)).scopes,
                refresh_token_file=request.refresh_token_file,
            ),
            graph=found.graph,
            pace=request.pace,
            end=end,
            now=found.graph.now,
            say=say,
        )


def _end(found: Found, lifetime: timedelta | None, say: Say) -> Callable[[], datetime]:
    """Until when a certificate made now lives; says once when the tenant's policy makes it shorter."""
    said: list[str] = []

    def end() -> datetime:
        rules = found.graph.certificate_rules(found.application.object_id, created=found.application.created)
        reckoned = certificate_lifetime(lifetime, rules, found.graph.now())
        if reckoned.note and not said:
            said.append(reckoned.note)
            say(reckoned.note)
        return reckoned.end

    return end
