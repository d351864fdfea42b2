"""A local Microsoft 365 tenant over TLS; it imports nothing from the rest of ``provision``, nor the rest from it."""

from provision.sandbox.config import SandboxError
from provision.sandbox.process import Partner, Sandbox, Tenant

__all__ = ["Partner", "Sandbox", "SandboxError", "Tenant"]
