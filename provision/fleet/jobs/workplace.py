"""A project folder of its own for one tenant's stack, made when work on it begins and gone when it ends.

Owns: what lies in it: ``Pulumi.yaml`` and the program, profiles of one's own, and ``Pulumi.<key>.yaml``, written from
the row and from what is kept of earlier runs. So a checkout for a thousand tenants has no thousand files, a worker on
another machine needs none, and two tenants never share a file. Does not own: what is done there (``jobs``), nor where
that which must outlive the folder is kept (``store``).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from provision.app import ownership
from provision.app.adopt import APPLICATION
from provision.errors import InvalidInput
from provision.fleet.kept import Kept
from provision.fleet.profiles import own_profiles, put_profiles
from provision.fleet.tenant import Tenant
from provision.settings.stack import NAMESPACE

INSTANCE = f"{NAMESPACE}:instanceId"


@dataclass(frozen=True)
class Workplace:
    """The folder of one tenant while it is worked on."""

    folder: Path
    """Has ``Pulumi.yaml`` in it; 0700."""
    tenant: Tenant

    @property
    def settings_file(self) -> Path:
        """``Pulumi.<key>.yaml``."""
        return self.folder / f"Pulumi.{self.tenant.key}.yaml"

    def write_settings(self, kept: Kept) -> None:
        """Writes the settings' file from the row and from what is kept; the row wins."""
        config = {**kept.settings, **self.tenant.configuration()}
        if kept.instance_id is not None:
            config[INSTANCE] = kept.instance_id
        document: dict[str, Any] = {"config": config}
        if kept.encryption_salt is not None:
            document["encryptionsalt"] = kept.encryption_salt
        self.settings_file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    def kept(self, before: Kept) -> Kept:
        """What was kept before, with what the runs since have put into the settings' file."""
        document = yaml.safe_load(self.settings_file.read_text(encoding="utf-8")) or {}
        config = {key: value for key, value in (document.get("config") or {}).items() if isinstance(value, str)}
        asked = self.tenant.configuration()
        return replace(
            before,
            instance_id=config.get(INSTANCE, before.instance_id),
            encryption_salt=document.get("encryptionsalt", before.encryption_salt),
            settings={key: value for key, value in config.items() if key not in asked and key != INSTANCE},
        )


def with_instance(kept: Kept, tenant: Tenant, deployment: Mapping[str, Any]) -> Kept:
    """What is kept, with the id by which the stack's registration is found; made for a stack that is new.

    Args:
        kept: of earlier runs; empty when there was none, or the store was lost.
        tenant: the row, which may name the id itself (a stack that was there before the fleet).
        deployment: the stack's, empty when there is none: a registration in it has the id in its tags.
    """
    given = tenant.settings.get("instanceId") or kept.instance_id or _instance_in(deployment)
    if given is None and not deployment.get("resources") and not deployment.get("pending_operations"):
        given = str(uuid.uuid4())
    salt = kept.encryption_salt or _salt_in(deployment)
    return replace(kept, instance_id=given, encryption_salt=salt)


@contextmanager
def workplace(
    tenant: Tenant, kept: Kept, *, project: Path, profiles: Mapping[str, str] | None = None
) -> Iterator[Workplace]:
    """Makes the folder.

    Args:
        tenant: the row.
        kept: of earlier runs.
        project: the toolkit's project: the folder of ``Pulumi.yaml``.
        profiles: product profiles of one's own, name to TOML; those beside ``Pulumi.yaml`` without it.

    Raises:
        InvalidInput: the project is none.
    """
    with tempfile.TemporaryDirectory(prefix=f"provision-{tenant.key}-") as name:
        folder = Path(name)
        _copy_program(project, folder)
        put_profiles(own_profiles(project) if profiles is None else profiles, folder)
        place = Workplace(folder, tenant)
        place.write_settings(kept)
        yield place


def _copy_program(project: Path, folder: Path) -> None:
    """``Pulumi.yaml``, with this interpreter for its environment, and the program that it names."""
    source = project / "Pulumi.yaml"
    try:
        described = yaml.safe_load(source.read_text(encoding="utf-8"))
        main = str(described["main"])
        described["runtime"] = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
        shutil.copytree(project / main, folder / main, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as failure:
        raise InvalidInput(
            f"{source} is not this toolkit's project: {failure}.", remedy="Name the toolkit's checkout with --project."
        ) from None


def _instance_in(deployment: Mapping[str, Any]) -> str | None:
    """The id in the tags of the stack's registration."""
    made = [one for one in deployment.get("resources") or () if one["type"] == APPLICATION]
    return ownership.instance_of(str(tag) for one in made for tag in (one.get("inputs") or {}).get("tags") or ())


def _salt_in(deployment: Mapping[str, Any]) -> str | None:
    """The salt with which the state's secrets are encrypted, when the file that had it is lost."""
    provider = deployment.get("secrets_providers") or {}
    salt = (provider.get("state") or {}).get("salt") if provider.get("type") == "passphrase" else None
    return str(salt) if salt else None
