"""The app registration: what it must look like, whether it can be made, and the Pulumi component that makes it.

Owns: redirect URIs, permission names, secret lifetimes, the pre-flight, ``MailApp`` and ``CiIdentity``, adopting what
was clicked in the portal. Does not own: running the engine (``engine``), the stories of the commands (``onboard``), or
Graph calls (``microsoft``). Nothing here creates anything by itself: Pulumi does.
"""
