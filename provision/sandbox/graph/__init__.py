"""Microsoft Graph v1.0 (and the beta properties that clients read), over the local tenants' store."""

from provision.sandbox.graph.app import graph_app

__all__ = ["graph_app"]
