"""The OData query options that Microsoft Graph understands, parsed and applied."""
