"""The JSON Schema of ``tenants.yaml``, for editors and checkers; made from ``fields``.

Owns: the schema's form. It says less than reading does (two rows that want to be one, company codes that differ in
letter case) and refuses nothing that reading takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from provision.fleet.source.document import SECTIONS
from provision.fleet.source.fields import CREDENTIAL_FIELDS, FIELDS, KEY, Field

PUBLISHED = Path(__file__).parent / "fleet.schema.json"
"""The schema as a file, which ``make docs`` writes."""
FILE_NAME = PUBLISHED.name


def schema() -> dict[str, Any]:
    """The schema, draft 7: the newest that every editor's YAML plugin knows."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "provision: a fleet of Microsoft 365 tenants",
        "type": "object",
        "required": ["fleet", "tenants"],
        "additionalProperties": False,
        "properties": {
            "fleet": {"description": SECTIONS["fleet"], "type": "string", "pattern": f"^{KEY}$"},
            "defaults": {
                "description": SECTIONS["defaults"],
                **_table(field for field in FIELDS if field.shared),
                "type": ["object", "null"],
            },
            "credentials": {
                "description": SECTIONS["credentials"],
                "type": ["object", "null"],
                "propertyNames": {"pattern": f"^{KEY}$"},
                "additionalProperties": _table(CREDENTIAL_FIELDS),
            },
            "tenants": {
                "description": SECTIONS["tenants"],
                "type": ["array", "string", "null"],
                "items": {"required": ["key", "tenant"], **_table(FIELDS)},
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_. -]*\.csv$",
            },
        },
    }


def text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _table(fields: Iterable[Field]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {one.name: _field(one) for one in fields}}


def _field(field: Field) -> dict[str, Any]:
    value = {"type": "string", **field.schema}
    said: dict[str, Any] = {"description": field.about}
    if field.example:
        said["examples"] = [[field.example] if field.many else field.example]
    if field.many:
        return said | {"type": ["array", "string"], "items": value}
    return said | value
