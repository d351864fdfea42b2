"""Client secrets whose value Pulumi's state does not hold: minted through Microsoft Graph, handed straight to a sink.

Owns the slot (which secret of an app registration is ours) and the sinks. Does not own the app registration itself.
"""
