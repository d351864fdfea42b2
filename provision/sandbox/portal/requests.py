"""The request log as the portal shows it: the newest lines, narrowed by what a person is looking for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import unquote_plus

from provision.sandbox.directory import Directory, Document

READ_LINES = 2000
"""How far back the page looks."""
SHOWN_LINES = 200
"""How many lines one page holds."""
OUTCOMES = {
    "": "any outcome",
    "refused": "refused (400 and up)",
    "throttled": "throttled (429)",
    "server": "server errors (500 and up)",
    "fault": "hit by the weather",
}


@dataclass(frozen=True)
class Filter:
    """What a line must match; an empty field matches everything."""

    method: str = ""
    outcome: str = ""
    text: str = ""
    """A part of the path, the client, the error code or the fault; letter case ignored."""

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Filter:
        """From the page's query; what is not understood is left out."""
        outcome = query.get("outcome", "")
        return cls(
            method=query.get("method", "").strip().upper(),
            outcome=outcome if outcome in OUTCOMES else "",
            text=query.get("text", "").strip(),
        )

    def matches(self, line: Document) -> bool:
        """Whether the line is to be shown."""
        status = line["status"]
        outcome = {
            "": True,
            "refused": status >= 400,
            "throttled": status == 429,
            "server": status >= 500,
            "fault": bool(line["fault"]),
        }[self.outcome]
        seen = " ".join(str(line[name] or "") for name in ("host", "path", "client", "code", "fault"))
        return outcome and self.method in {"", line["method"]} and self.text.casefold() in seen.casefold()


def _for_people(line: Document) -> Document:
    address, _, query = line["path"].partition("?")
    client = line["client"] or "unknown"
    return {
        **line,
        "time": datetime.fromtimestamp(line["at"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "address": address,
        "query": unquote_plus(query),
        "program": "a browser" if client.startswith("Mozilla/") else client,
    }


def shown(directory: Directory, wanted: Filter, *, names: Collection[str] = ()) -> list[Document]:
    """The newest matching lines; each with ``time``, ``address``, ``query`` and ``program`` for people.

    Args:
        directory: the store.
        wanted: the filter.
        names: the id and domains of the tenant whose lines are wanted; none: of every tenant.
    """
    lines = (
        line
        for line in directory.latest_requests(READ_LINES)
        if wanted.matches(line) and (not names or line["tenant"] in names)
    )
    return [_for_people(line) for line in islice(lines, SHOWN_LINES)]
