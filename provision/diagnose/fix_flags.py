"""The flags of ``--fix`` for what lowers security, apart from the fixes, so that the command line starts at once."""

from __future__ import annotations

FLAGS: dict[str, str] = {
    "--allow-security-defaults-off": "turn Security Defaults off for the whole tenant",
    "--allow-policy-exclusion": "take this account out of the Conditional Access policies that block it",
    "--allow-basic-authentication": "let this account in by password over SMTP although a policy blocks it",
}
"""The flags for what lowers security, and what each allows."""
