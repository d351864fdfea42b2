"""Marks by which a registration is known as ours, before any state has been written.

A run that is killed between Entra's answer and Pulumi's state leaves a registration that the state does not know. Its
tags are set by the very request that makes it, and can be searched (``tags/any(t:t eq '…')``), so it is found again.
"""

from __future__ import annotations

from collections.abc import Iterable

LISTED = "WindowsAzureActiveDirectoryIntegratedApp"
"""Makes the portal list the enterprise application ("servicePrincipal resource type", ``tags``)."""
MADE_BY = "provision"
_STACK = f"{MADE_BY}:stack:"


def stack_tag(project: str, stack: str, instance_id: str | None = None) -> str:
    """The tag of one stack's registration.

    Args:
        project: the Pulumi project's name.
        stack: the stack's name.
        instance_id: tells it from a namesake stack whose state is kept elsewhere.
    """
    tag = f"{_STACK}{project}/{stack}"
    return f"{tag}#{instance_id}" if instance_id else tag


def tags(project: str, stack: str, instance_id: str | None = None) -> tuple[str, ...]:
    """All tags of one stack's registration; Entra passes them on to its service principal."""
    return (LISTED, MADE_BY, stack_tag(project, stack, instance_id))


def former_name(tags: Iterable[str], own: str) -> str | None:
    """What our stack (``project/stack``) was called when a registration was made; None when it is not ours at all.

    Args:
        tags: the registration's.
        own: our ``stack_tag``; only with an instance id is a stack known under another name.
    """
    name, _, instance = own.removeprefix(_STACK).partition("#")
    names = (tag.removeprefix(_STACK).partition("#") for tag in tags if tag.startswith(_STACK))
    return next((was for was, _, its in names if instance and its == instance and was != name), None)


def other_stack(tags: Iterable[str], own: str) -> str | None:
    """The stack (``project/stack``) that a registration belongs to, when it is another than ours.

    Args:
        tags: the registration's.
        own: our ``stack_tag``; one of the same stack's earlier life (another instance id) is ours too.
    """
    names = (tag.removeprefix(_STACK).partition("#")[0] for tag in tags if tag.startswith(_STACK))
    return next((name for name in names if name != own.removeprefix(_STACK).partition("#")[0]), None)


def stack_of(tags: Iterable[str]) -> str | None:
    """The stack (``project/stack``) that a registration belongs to, by its tags; None when it is no stack's.

    Args:
        tags: the registration's.
    """
    return next((tag.removeprefix(_STACK).partition("#")[0] for tag in tags if tag.startswith(_STACK)), None)


def instance_of(tags: Iterable[str]) -> str | None:
    """The instance id of the stack that a registration belongs to; None when its tags name none.

    Args:
        tags: the registration's.
    """
    ids = (tag.partition("#")[2] for tag in tags if tag.startswith(_STACK))
    return next((found for found in ids if found), None)
