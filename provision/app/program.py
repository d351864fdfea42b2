"""What the Pulumi programs in ``stacks/`` share: their settings, the pre-flight, and failing in one sentence.

The same program runs under plain ``pulumi up`` and under ``provision up``. The latter has done the pre-flight already
and hands it on in ``PROVISION_PREFLIGHT`` (JSON, no secrets); a failure goes back through a file
(``errors.ERROR_FILE``), so that the exit code is the same either way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_azuread as azuread

from provision.app import ownership
from provision.app.component import FederatedTrust, MailAppArgs, SecretSlot
from provision.app.layout import Layout, own_layout
from provision.app.preflight import Preflight, finish_interrupted_create, preflight
from provision.errors import ERROR_FILE, InvalidInput, ProvisionError, SignInFailed
from provision.settings import credential as credentials
from provision.settings import endpoints as clouds
from provision.settings.endpoints import Endpoints
from provision.settings.stack import SLOTS, StackSettings

PREFLIGHT_VARIABLE = "PROVISION_PREFLIGHT"
_MESSAGE_SHOWN = 32
"""The exit code that tells Pulumi's Python host not to add a message of its own (``pulumi-language-python-exec``)."""


@dataclass(frozen=True)
class Checked:
    """One stack's settings and what the pre-flight found."""

    settings: StackSettings
    found: Preflight
    layout: Layout

    def mail_app_args(self) -> MailAppArgs:
        """What ``MailApp`` is to be made of."""
        settings, product = self.settings, self.settings.profile
        in_state = settings.secret_in_state
        end = self.found.secret_end.strftime("%Y-%m-%dT%H:%M:%SZ")
        federated = None
        if settings.federated_name and settings.federated_issuer and settings.federated_subject:
            federated = FederatedTrust(
                settings.federated_name,
                settings.federated_issuer,
                settings.federated_subject,
                self.found.endpoints.token_exchange_audience,
            )
        return MailAppArgs(
            display_name=settings.display_name,
            redirect_uri=self.found.redirect_uri,
            scopes=self.found.scope_ids,
            graph=self.found.graph,
            slot_names={slot: product.slot_name(slot) for slot in SLOTS},
            tenant_id=self.found.tenant_id,
            endpoints=self.found.endpoints,
            slots={slot: SecretSlot(end) for slot in self.layout.slots} if in_state else {},
            layout=self.layout,
            sign_in_audience=settings.sign_in_audience,
            issue_access_tokens=product.issue_access_tokens,
            issue_id_tokens=product.issue_id_tokens,
            granted_scopes=self.found.granted_scopes(settings),
            existing_application=self.found.existing[0].object_id if self.found.existing else None,
            existing_grant=self.found.grant_id,
            tags=ownership.tags(pulumi.get_project(), pulumi.get_stack(), settings.instance_id),
            owners=settings.owners,
            first_owners=(self.found.caller_object_id,) if self.found.must_own else (),
            federated=federated,
        )


def checked_stack(environ: Mapping[str, str] = os.environ) -> Checked:
    """Reads the stack's settings and makes sure that they can be carried out.

    Args:
        environ: the process's environment.

    Raises:
        ProvisionError: see ``settings.stack`` and ``app.preflight``.
    """
    settings = StackSettings.from_config(
        configuration(),
        beside=project_folder(),
        source=f"Pulumi.{pulumi.get_stack()}.yaml",
        project=pulumi.get_project(),
    )
    handed_on = environ.get(PREFLIGHT_VARIABLE)
    if handed_on:
        found = Preflight.from_json(handed_on)
    else:
        found = _look(settings, environ)
        for note in found.notes:
            pulumi.log.info(note)
    _require_same_tenant(found)
    layout = own_layout(environ)
    layout.require_owner(in_state=settings.secret_in_state)
    return Checked(settings, found, layout)


def _require_same_tenant(found: Preflight) -> None:
    """Refuses when the plugin, which signs in by itself, ended up in another tenant than the pre-flight looked at."""
    plugin = azuread.get_client_config()
    if plugin.tenant_id.lower() != found.tenant_id:
        raise SignInFailed(
            f"The azuread plugin is signed in to tenant {plugin.tenant_id}, but {found.tenant_id} was checked.",
            remedy="Set azuread:tenantId, and unset ARM_* variables of another sign-in.",
        )


def _look(settings: StackSettings, environ: Mapping[str, str]) -> Preflight:
    from provision.microsoft.credentials import sign_in
    from provision.microsoft.graph import Graph

    endpoints = clouds.resolve(metadata_host=settings.metadata_host, environment=settings.environment, environ=environ)
    setting = credentials.read(
        settings.credential,
        tenant_id=settings.tenant_id,
        client_id=settings.credential_client_id,
        environ=environ,
    )
    if setting.is_interactive:
        raise InvalidInput(
            f"Plain pulumi up cannot sign in by {setting.method}: the azuread plugin does not know it.",
            remedy="Run provision up, or sign in with az login and use the credential azure-cli.",
        )
    credential, caller = sign_in(setting, endpoints)
    with Graph(credential, endpoints) as graph:
        found = preflight(settings, endpoints, caller, graph, project=pulumi.get_project(), stack=pulumi.get_stack())
        if not pulumi.runtime.is_dry_run():
            finish_interrupted_create(found, settings, graph)
    return found


def program_endpoints(config: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Endpoints:
    """The cloud of a program without a pre-flight, from the same keys as the azuread plugin's.

    Args:
        config: the stack's whole configuration.
        environ: the process's environment.
    """
    return clouds.resolve(
        metadata_host=config.get("azuread:metadataHost"), environment=config.get("azuread:environment"), environ=environ
    )


def configuration() -> dict[str, str]:
    """The stack's whole configuration, every namespace, as the engine handed it to the program."""
    from pulumi.runtime.config import CONFIG, get_config_env

    return {str(key): str(value) for key, value in {**get_config_env(), **CONFIG.get()}.items()}


def project_folder() -> Path:
    """The folder of ``Pulumi.yaml``: the program's own, or the nearest above it."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").exists()), here)


def guarded(program: Callable[[], Any], environ: Mapping[str, str] = os.environ) -> None:
    """Runs a program; a foreseen failure ends it with one sentence instead of a traceback.

    Args:
        program: declares the resources and outputs.
        environ: the process's environment; ``errors.ERROR_FILE`` in it may name a file for the failure.

    Raises:
        SystemExit: the program failed in a foreseen way, and Pulumi has shown why.
    """
    try:
        program()
    except ProvisionError as error:
        if file := environ.get(ERROR_FILE):
            error.write(Path(file))
        pulumi.log.error(str(error))
        sys.exit(_MESSAGE_SHOWN)
