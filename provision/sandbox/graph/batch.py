"""``POST /$batch``: up to twenty requests in one.

Owns: the batch's form, the order that ``dependsOn`` asks for, failing what depends on a failure.
Does not own: running one request (the caller gives a function).
Source: "Combine multiple HTTP requests using JSON batching": at most 20, ids unique, 424 for a failed dependency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.graph import errors
from provision.sandbox.graph.call import Answer

_MAX = 20
_FAILED_DEPENDENCY = {
    "error": {
        "code": "FailedDependency",
        "message": "The request could not be performed because it depends on another request that failed.",
    }
}


@dataclass(frozen=True)
class Item:
    """One request of a batch."""

    id: str
    method: str
    url: str
    headers: dict[str, str]
    """Names in lower case."""
    body: Any
    depends_on: tuple[str, ...]


def run(body: Any, respond: Callable[[Item], Document]) -> Answer:
    """The answers of all requests, in the order given.

    Raises:
        GraphError: the batch itself is malformed; nothing has been done then.
    """
    items = _items(body)
    done: dict[str, Document] = {}
    for item in items:
        if any(done[other]["status"] >= 400 for other in item.depends_on):
            done[item.id] = {"id": item.id, "status": 424, "headers": {}, "body": _FAILED_DEPENDENCY}
        else:
            done[item.id] = respond(item)
    return Answer({"responses": list(done.values())})


def _items(body: Any) -> list[Item]:
    rows = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        raise errors.BadRequest("Invalid batch payload format.")
    if len(rows) > _MAX:
        raise errors.BadRequest(f"Number of batch request steps exceeds the maximum value of {_MAX}.")
    items: list[Item] = []
    for row in rows:
        if not isinstance(row, dict) or not all(
            isinstance(row.get(k), str) and row[k] for k in ("id", "method", "url")
        ):
            raise errors.BadRequest("Invalid batch payload format.")
        if any(item.id == row["id"] for item in items):
            raise errors.BadRequest(f"Request Id '{row['id']}' is not unique in the batch.")
        if not isinstance(row.get("headers") or {}, dict) or not isinstance(row.get("dependsOn") or [], list):
            raise errors.BadRequest("Invalid batch payload format.")
        depends_on = tuple(row.get("dependsOn") or ())
        if any(all(item.id != other for item in items) for other in depends_on):
            raise errors.BadRequest(f"Invalid dependsOn of request '{row['id']}': it must name earlier requests.")
        headers = {str(k).lower(): str(v) for k, v in (row.get("headers") or {}).items()}
        items.append(Item(row["id"], row["method"].upper(), row["url"], headers, row.get("body"), depends_on))
    return items
