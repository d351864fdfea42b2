"""A local Microsoft 365 tenant over TLS; it imports nothing from the rest of ``provision``, nor the rest from it."""
