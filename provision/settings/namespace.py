"""A program's own keys among everything that Pulumi hands it.

The keys keep their namespace whatever the project is called: it stands in every settings file and on every page here.
``pulumi config set KEY`` without a namespace takes the project's name instead, so that in a project with another name
the value would be passed over in silence; that is refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from provision.errors import InvalidInput


def own_values(
    config: Mapping[str, str], namespace: str, keys: Iterable[str], *, project: str, source: str
) -> dict[str, str]:
    """The values of one namespace, without it.

    Args:
        config: full key (``office365-mail:companyCode``) to value, as Pulumi keeps it.
        namespace: whose keys are read.
        keys: every key that there is.
        project: the Pulumi project's name.
        source: what to call the configuration in messages, for example ``Pulumi.acme.yaml``.

    Raises:
        InvalidInput: there is no such key, or a key stands under the project's name.
    """
    valid = list(keys)
    own = {key.removeprefix(f"{namespace}:"): value for key, value in config.items() if key.startswith(f"{namespace}:")}
    if unknown := [key for key in own if key not in valid]:
        raise InvalidInput(
            f"{source}: there is no key {', '.join(f'{namespace}:{key}' for key in unknown)}.",
            remedy=f"Valid keys: {', '.join(valid)}.",
        )
    if project != namespace and (misplaced := _misplaced(config, project, valid)):
        raise InvalidInput(
            f"{source}: {project}:{misplaced} is not read; the settings' namespace is {namespace}, whatever the "
            "project is called.",
            remedy=f"pulumi config set {namespace}:{misplaced} …; pulumi config rm {project}:{misplaced}",
        )
    return own


def _misplaced(config: Mapping[str, str], project: str, valid: Container[str]) -> str | None:
    """A key of ours under the project's name; other keys there may be read by a program of the user's own."""
    names = (key.removeprefix(f"{project}:") for key in config if key.startswith(f"{project}:"))
    return next((name for name in names if name in valid), None)
