"""The offline stand-in for Pulumi's azuread plugin: the same types, against the local tenant only.

Owns: a Pulumi provider that serves the resource types and lookups our programs use, under the real plugin's tokens,
with its inputs, defaults, computed outputs, ids, differences and replacements, so that state written by one can be
used by the other. Whatever it cannot honour it refuses in one sentence.

Does not own: talking to Microsoft. It refuses every host that is not this machine's local tenant; there the real plugin
does the work. Choosing between the two is the engine room's.
"""
