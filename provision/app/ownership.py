"""Marks by which a registration is known as ours, before any state has been written.

A run that is killed between Entra's answer and Pulumi's state leaves a registration that the state does not know. Its
tags are set by the very request that makes it, and can be searched (``tags/any(t:t eq '…')``), so it is found again.
"""

from __future__ import annotations

LISTED = "WindowsAzureActiveDirectoryIntegratedApp"
"""Makes the portal list the enterprise application ("servicePrincipal resource type", ``tags``)."""
MADE_BY = "provision"


def stack_tag(project: str, stack: str, instance_id: str | None = None) -> str:
    """The tag of one stack's registration.

    Args:
        project: the Pulumi project's name.
        stack: the stack's name.
        instance_id: tells it from a namesake stack whose state is kept elsewhere.
    """
    tag = f"{MADE_BY}:stack:{project}/{stack}"
    return f"{tag}#{instance_id}" if instance_id else tag


def tags(project: str, stack: str, instance_id: str | None = None) -> tuple[str, ...]:
    """All tags of one stack's registration; Entra passes them on to its service principal."""
    return (LISTED, MADE_BY, stack_tag(project, stack, instance_id))
