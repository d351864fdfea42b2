"""Objects as ``InvokeCommand`` writes them in JSON: annotations beside GUIDs, times, numbers and lists.

Owns: the annotations. Does not own: which properties there are.
Source: a real answer to ``get-mailbox`` of 2024-05-22 (headers and body) in a public repository: ``@data.type`` for
GUIDs, times and numbers, ``@odata.type`` for GUIDs, numbers and lists, and nothing for texts, Booleans and null.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from provision.sandbox.directory import Document

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z")
_GUID_NAMES = ("Guid", "ExchangeObjectId", "ExchangeGuid", "ArchiveGuid")


def annotated(document: Document, select: Collection[str] = ()) -> Document:
    """An object with its annotations.

    Args:
        document: by property name; a time stands as ``2026-11-25T20:00:00Z``.
        select: the property names that are wanted, in lower case; all when empty.
    """
    row: Document = {}
    for name, value in document.items():
        if not select or name.lower() in select:
            row |= _property(name, value)
    return row


def _property(name: str, value: Any) -> Document:
    if isinstance(value, list):
        return {f"{name}@odata.type": "#Collection(String)", name: value}
    if isinstance(value, bool) or value is None:
        return {name: value}
    if isinstance(value, int):
        return {f"{name}@data.type": "System.Int32", f"{name}@odata.type": "#Int32", name: value}
    if isinstance(value, str) and name.endswith(_GUID_NAMES) and _GUID.fullmatch(value):
        return {f"{name}@data.type": "System.Guid", f"{name}@odata.type": "#Guid", name: value}
    if isinstance(value, str) and (match := _MOMENT.fullmatch(value)):
        zone = "Z" if name.endswith("UTC") else "+00:00"
        return {f"{name}@data.type": "System.DateTime", name: f"{match.group(1)}.0000000{zone}"}
    return {name: value}
