"""What a killed or failed run left behind and the program cannot see: lost secrets, operations of unknown outcome.

The program itself takes over a registration, an enterprise application or a grant that Entra has and the state has not
(``app.component``). Two things are left for here: a client secret that Entra issued and nobody stored, which is removed
by its key id because nobody can read its value again; and the engine's list of begun operations, which is cleared once
each has been accounted for. A secret counts as ours only by its slot's name; others are never touched.

An engine that outlives its plugin, or gets no answer, ends in good order and lists nothing. Until a stack's first run
has come to its end, every secret that its state does not hold is such a lost one; after that the state alone is no
proof (it may be an older copy), and nothing is removed on its word.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provision.app.adopt import APPLICATION, PASSWORD
from provision.app.layout import Layout
from provision.engine.events import STACK_TYPE
from provision.engine.stack import StackRunner
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Application

_LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each look for an interrupted create: Graph lists a new object a little after it was made."""


@dataclass(frozen=True)
class Interrupted:
    """What the state says about a run that did not come to its end."""

    pending: bool
    """Whether it was killed over operations whose outcome nobody knows."""
    types: frozenset[str]
    """Types whose creation had begun."""
    stored_secrets: frozenset[str]
    """Key ids of the client secrets whose value the state holds."""

    @classmethod
    def of(cls, deployment: Mapping[str, Any], *, adopted: bool) -> Interrupted | None:
        """Reads Pulumi's deployment; None when its last run ended.

        Args:
            deployment: as the state keeps it.
            adopted: whether the registration was made before the stack, and may have secrets that it never had.
        """
        pending = deployment.get("pending_operations") or ()
        if not pending and (adopted or not _first_run_failed(deployment)):
            return None
        return cls(
            pending=bool(pending),
            types=frozenset(operation["resource"]["type"] for operation in pending if operation["type"] == "creating"),
            stored_secrets=frozenset(
                str(resource["id"]).rpartition("/")[2].lower()
                for resource in deployment.get("resources") or ()
                if resource["type"] == PASSWORD and resource.get("id")
            ),
        )


def _first_run_failed(deployment: Mapping[str, Any]) -> bool:
    resources = deployment.get("resources") or ()
    outputs = next((one.get("outputs") or {} for one in resources if one["type"] == STACK_TYPE), {})
    return any(one["type"] == APPLICATION for one in resources) and Layout.from_outputs(outputs).owner is None


def recover(
    runner: StackRunner,
    graph: Graph,
    *,
    tag: str,
    adopted: bool,
    slot_names: Iterable[str],
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Makes an interrupted run's remains fit for the next; asks the tenant nothing when no run was interrupted.

    Args:
        runner: the stack.
        graph: the tenant.
        tag: the registration's ownership tag.
        adopted: whether the registration was made before the stack.
        slot_names: display names of our secret slots.
        say: told what was found and what was done, in one line each.
        pause: waits a number of seconds.
    """
    interrupted = Interrupted.of(runner.export_if_made(), adopted=adopted)
    if interrupted is None:
        return
    if interrupted.pending:
        say("an earlier run was interrupted; finishing what it began")
    application = _look(graph, tag, patiently=APPLICATION in interrupted.types, pause=pause)
    if application is not None:
        _remove_lost_secrets(graph, application, set(slot_names), interrupted.stored_secrets, say)
    if interrupted.pending:
        runner.clear_pending()


def remove_leftovers(
    graph: Graph,
    *,
    tag: str,
    patiently: bool,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Deletes a registration that bears the stack's tag although the state has none any more.

    Args:
        graph: the tenant.
        tag: the registration's ownership tag.
        patiently: whether a run was killed while it made one, which Graph may list a little later.
        say: told what was deleted.
        pause: waits a number of seconds.
    """
    application = _look(graph, tag, patiently=patiently, pause=pause)
    if application is not None:
        graph.delete_application(application.object_id)
        say(f"deleted the registration {application.app_id}: an interrupted run made it and the state did not know it")


def _look(graph: Graph, tag: str, *, patiently: bool, pause: Callable[[float], None]) -> Application | None:
    for seconds in _LOOKS if patiently else _LOOKS[:1]:
        pause(seconds)
        if found := graph.applications_by_tag(tag):
            return found[0]
    return None


def _remove_lost_secrets(
    graph: Graph, application: Application, slot_names: set[str], stored: frozenset[str], say: Callable[[str], None]
) -> None:
    for password in application.passwords:
        if password.display_name in slot_names and password.key_id.lower() not in stored:
            graph.remove_password(application.object_id, password.key_id)
            say(f"removed the client secret {password.key_id}: it was made and its value was never stored")
