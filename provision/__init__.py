"""Gets business mail out of Microsoft 365 without a click in a portal.

``docs/architecture.md`` draws the rooms and which may import which; ``tests/test_architecture.py`` enforces it.
"""
