"""What is known about a fleet, for people and programs: one view out of the store, and its forms.

Owns: which of a tenant's outcomes still stand (``view``), the page (``page``) and the JSON (``document``). Does not
own: the forms that a run's end has, too (``fleet.forms``: CSV, JUnit), and where they go (``cli``).
"""

from __future__ import annotations

from provision.fleet.report.document import document
from provision.fleet.report.page import page
from provision.fleet.report.view import View, view

__all__ = ["View", "document", "page", "view"]
