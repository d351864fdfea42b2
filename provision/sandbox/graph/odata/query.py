"""The query options of one request, read from the query string.

Owns: names, forms and limits of the options. Does not own: applying them (``graph.collection``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from provision.sandbox.graph.errors import BadRequest, GraphError

MAX_PAGE = 999
DEFAULT_PAGE = 100
_MAX_DIGITS = 10
_KNOWN = (
    "filter",
    "select",
    "expand",
    "orderby",
    "top",
    "skip",
    "skiptoken",
    "count",
    "search",
    "format",
    "deltatoken",
)


@dataclass(frozen=True)
class Expansion:
    """One item of ``$expand``: a navigation property and what to select of it."""

    name: str
    select: tuple[str, ...] = ()


@dataclass(frozen=True)
class QueryOptions:
    """What the client asked for."""

    filter: str | None = None
    select: tuple[str, ...] = ()
    expand: tuple[Expansion, ...] = ()
    orderby: tuple[tuple[str, bool], ...] = ()
    """Property and whether descending."""
    top: int | None = None
    skiptoken: str | None = None
    deltatoken: str | None = None
    count: bool = False
    search: str | None = None
    eventual: bool = False
    """Whether the request carries ``ConsistencyLevel: eventual``."""
    raw: tuple[tuple[str, str], ...] = field(default=())
    """All parameters as sent, for the next link."""

    def page_size(self, *, default: int = DEFAULT_PAGE, maximum: int = MAX_PAGE) -> int:
        """How many entities a page has; raises GraphError when ``$top`` asks for more than the collection gives."""
        if self.top is not None and self.top > maximum:
            raise _no_page_size(str(self.top), maximum)
        return self.top or default

    @property
    def advanced(self) -> bool:
        """Both conditions of "Advanced query capabilities on Microsoft Entra ID objects"."""
        return self.eventual and self.count


def parse_options(query_string: str, *, consistency_level: str | None = None) -> QueryOptions:
    """The options of a query string; ``+`` is a space, the leading ``$`` may be left out.

    Raises:
        GraphError: an unknown option, an option given twice, or a value out of its range.
    """
    pairs = tuple(parse_qsl(query_string, keep_blank_values=True))
    options: dict[str, str] = {}
    for name, value in pairs:
        plain = name.removeprefix("$").lower()
        if plain not in _KNOWN:
            if name.startswith("$"):
                raise BadRequest(f"The query parameter '{name}' is not supported.")
            continue
        if plain in options:
            raise BadRequest(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        options[plain] = value
    if "skip" in options:
        raise BadRequest("'$skip' is not supported by the service.")
    return QueryOptions(
        filter=options.get("filter"),
        select=_names(options.get("select", "")),
        expand=_expansions(options.get("expand", "")),
        orderby=_orderby(options.get("orderby", "")),
        top=_top(options.get("top")),
        skiptoken=options.get("skiptoken"),
        deltatoken=options.get("deltatoken"),
        count=_boolean(options.get("count")),
        search=options.get("search"),
        eventual=(consistency_level or "").strip().lower() == "eventual",
        raw=pairs,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _boolean(text: str | None) -> bool:
    if text is None:
        return False
    if text.lower() not in {"true", "false"}:
        raise BadRequest(f"Invalid value '{text}' for $count query option found. Valid values are 'true' or 'false'.")
    return text.lower() == "true"


def _top(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]+", text):
        raise BadRequest(
            f"Invalid value '{text}' for $top query option found. The $top query option requires a non-negative "
            "integer value."
        )
    if len(text) > _MAX_DIGITS or int(text) < 1:
        raise _no_page_size(text, MAX_PAGE)
    return int(text)


def _no_page_size(text: str, maximum: int) -> GraphError:
    return GraphError(f"Invalid page size specified: '{text}'. Must be between 1 and {maximum} inclusive.")


def _orderby(text: str) -> tuple[tuple[str, bool], ...]:
    result = []
    for part in _names(text):
        name, _, direction = part.partition(" ")
        if direction.strip().lower() not in {"", "asc", "desc"}:
            raise BadRequest(f"Syntax error at position {len(name)} in '{text}'.")
        result.append((name, direction.strip().lower() == "desc"))
    return tuple(result)


def _expansions(text: str) -> tuple[Expansion, ...]:
    result = []
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", text):
        name, _, inner = part.strip().partition("(")
        select: tuple[str, ...] = ()
        for option in filter(None, inner.rstrip(")").split(";")):
            key, _, value = option.partition("=")
            if key.strip().lower().removeprefix("$") != "select":
                raise BadRequest(
                    f"Parsing OData Select and Expand failed: '{key.strip()}' is not supported in $expand."
                )
            select = _names(value)
        result.append(Expansion(name.strip(), select))
    return tuple(result)
