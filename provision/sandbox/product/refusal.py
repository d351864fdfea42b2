"""A refusal of Microsoft's as it was received, taken apart only so far that a person can read it.

Entra's errors carry ``error``, ``error_description``, ``error_codes``, ``trace_id``, ``correlation_id``
("Microsoft identity platform and OAuth 2.0 authorization code flow", error response); Graph's carry
``error.code``, ``error.message`` and ``innerError`` ("Microsoft Graph error responses and resource types").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CODE = re.compile(r"AADSTS\d+")
_TAIL = re.compile(r"\s*(Trace ID|Correlation ID|Timestamp): ", re.IGNORECASE)
_ENTRA_DETAILS = ("trace_id", "correlation_id", "timestamp", "suberror", "claims", "error_uri")
_GRAPH_DETAILS = ("request-id", "client-request-id", "date")

STAGES = {
    "settings": "The product's settings cannot be used.",
    "reach": "Microsoft did not answer.",
    "authority": "Microsoft does not know the TenantId.",
    "sign-in": "Microsoft did not let the sign-in pass.",
    "token": "Microsoft did not issue a token.",
    "graph": "Microsoft Graph did not accept the mail.",
}
"""Where a refusal arose, as the headline that a person reads."""


@dataclass
class Refused(Exception):
    """What came back instead of what was asked for."""

    stage: str
    """A name of STAGES."""
    error: str
    """Entra's ``error`` or Graph's ``code``."""
    description: str = ""
    """The text as received."""
    http_status: int | None = None
    details: dict[str, str] = field(default_factory=dict)
    """Trace and correlation ids and the like, as received."""

    def __post_init__(self) -> None:
        super().__init__(self.error)

    @property
    def code(self) -> str:
        """``AADSTS…`` when there is one in the text, else ``error``."""
        found = _CODE.search(self.description)
        return found.group() if found else self.error

    @property
    def headline(self) -> str:
        """One sentence that says where it failed."""
        return STAGES[self.stage]

    @property
    def sentence(self) -> str:
        """The text without the trailing ids, which ``details`` hold."""
        return _TAIL.split(self.description, maxsplit=1)[0].strip()

    def as_json(self) -> dict[str, Any]:
        """The form that the JSON endpoints answer with."""
        return {
            "stage": self.stage,
            "error": self.error,
            "code": self.code,
            "httpStatus": self.http_status,
            "detail": self.description,
            **({"ids": self.details} if self.details else {}),
        }


def from_entra(stage: str, body: Mapping[str, Any], http_status: int | None = None) -> Refused:
    """A refusal from Entra's error body or from the query string of a callback."""
    return Refused(
        stage,
        str(body.get("error", "unknown_error")),
        str(body.get("error_description") or ""),
        http_status,
        {name: str(body[name]) for name in _ENTRA_DETAILS if body.get(name)},
    )


def from_graph(body: Any, http_status: int) -> Refused:
    """A refusal from Graph's error body; an answer that is none says so."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Refused("graph", f"HTTP {http_status}", "The answer is not an error of Microsoft Graph.", http_status)
    inner = error.get("innerError") or {}
    return Refused(
        "graph",
        str(error.get("code", "unknown")),
        str(error.get("message", "")),
        http_status,
        {name: str(inner[name]) for name in _GRAPH_DETAILS if inner.get(name)},
    )
