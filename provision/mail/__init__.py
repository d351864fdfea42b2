"""Live proofs that mail can be sent: SMTP submission, Microsoft Graph, Exchange Web Services.

Owns: one attempt each, as steps with what was answered and how long it took. Does not own: why something was
refused and what to do about it (``diagnose``).
"""
