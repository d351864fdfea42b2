"""The pipeline's own identity: settings, ``CiIdentity``, outputs. ``docs/ci.md`` explains it."""

import pulumi

from provision.app.ci_identity import CiIdentity, CiIdentityArgs
from provision.app.program import configuration, guarded, program_endpoints
from provision.settings.ci import CiSettings


def program() -> None:
    """Declares the identity and exports what the pipeline needs to sign in."""
    config = configuration()
    source, project = f"Pulumi.{pulumi.get_stack()}.yaml", pulumi.get_project()
    settings = CiSettings.from_config(config, source=source, project=project)
    audience = program_endpoints(config).token_exchange_audience
    identity = CiIdentity("ci", CiIdentityArgs(settings, audience))
    pulumi.export("ARM_CLIENT_ID", identity.client_id)
    pulumi.export("ARM_TENANT_ID", identity.tenant_id)


guarded(program)
