"""Microsoft Graph v1.0 (and the beta properties that clients read), over the local tenants' store."""
