"""Shows documents as Microsoft Graph does: one entity or a page of them, with the query options applied.

Owns: ``$select``, ``$expand``, ``$filter``, ``$orderby``, ``$search``, ``$top``, paging, ``$count``, the annotations.
Does not own: which documents there are (the resource modules) or what a navigation property leads to (``navigation``).
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from provision.sandbox.directory import Document, public
from provision.sandbox.graph import errors, navigation, schema
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.odata import filter as odata_filter
from provision.sandbox.graph.odata import support
from provision.sandbox.graph.odata.query import Expansion

DEFAULT_SELECT: dict[str, tuple[str, ...]] = {
    "user": (
        "businessPhones",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
        "id",
    ),
}
"""Types of which a plain read shows only some properties ("Get a user")."""

_HIDDEN_IN_V1: dict[str, tuple[str, ...]] = {
    "application": ("authenticationBehaviors", "managerApplications"),
    "message": ("internetMessageHeaders",),
}
"""Returned only on ``$select`` (application and message resource types)."""

_BETA_ONLY: dict[str, dict[str, str]] = {
    "application": {"oauth2RequirePostResponse": "_oauth2RequirePostResponse"},
    "servicePrincipal": {"samlMetadataUrl": "_samlMetadataUrl"},
}
"""Beta property -> where the store has it; the azuread Terraform provider reads these two."""


def one(call: Call, type_name: str, document: Document, *, status: int = 200, context: str | None = None) -> Answer:
    """One entity.

    Args:
        call: the request; its ``$select`` and ``$expand`` apply.
        type_name: the entity's type.
        document: what the store has.
        status: 200, or 201 for a created one (then with ``Location``).
        context: the fragment of ``@odata.context`` before ``/$entity``; the collection of the type by default.
    """
    fragment = context or navigation.COLLECTION.get(type_name, type_name)
    suffix = f"({','.join(call.options.select)})" if call.options.select else ""
    entity = "" if fragment.startswith("microsoft.graph.") else "/$entity"
    body: Document = {"@odata.context": f"{call.root}/$metadata#{fragment}{suffix}{entity}"}
    body |= show(call, type_name, document, call.options.select, call.options.expand)
    headers = {}
    if status == 201 and type_name in navigation.COLLECTION:
        host, shown = call.root.rsplit("/", 1)[0], type_name[0].upper() + type_name[1:]
        place = f"/v2/{call.tenant}/directoryObjects/{document['id']}/Microsoft.DirectoryServices.{shown}"
        headers["Location"] = host + place
    return Answer(body, status, headers)


def show(
    call: Call, type_name: str, document: Document, select: tuple[str, ...], expand: tuple[Expansion, ...] = ()
) -> Document:
    """A document's public properties, selected and expanded."""
    known = schema.graph_type(type_name)
    shown = public(document)
    if call.version == "beta":
        shown |= {name: document.get(private) for name, private in _BETA_ONLY.get(type_name, {}).items()}
    names = _selected(known, select, shown, beta=call.version == "beta")
    result = {name: shown.get(name) for name in names}
    for expansion in expand:
        canonical = known.canonical(expansion.name)
        if canonical is None or canonical not in known.navigation:
            raise errors.unknown_query_property(expansion.name, type_name, option="$expand")
        rows = navigation.follow(call, type_name, canonical, document)
        result[canonical] = [
            {"@odata.type": f"#microsoft.graph.{kind}", **show(call, kind, row, expansion.select)}
            for kind, row in rows[:20]
        ]
    return result


def _selected(known: schema.GraphType, select: tuple[str, ...], shown: Document, *, beta: bool) -> list[str]:
    if not select or "*" in select:
        names = list(DEFAULT_SELECT.get(known.name, ())) or sorted(shown, key=lambda name: name != "id")
        return [n for n in names if n not in _HIDDEN_IN_V1.get(known.name, ())]
    result = []
    for wanted in select:
        head = wanted.split("/")[0]
        canonical = known.canonical(head)
        if canonical is None and beta:
            canonical = next((n for n in _BETA_ONLY.get(known.name, {}) if n.lower() == head.lower()), None)
        if canonical is None:
            raise errors.unknown_query_property(head, known.name, option="$select")
        result.append(canonical)
    return list(dict.fromkeys(result))


def directory_objects(call: Call, rows: list[navigation.Row]) -> Answer:
    """A page of directory objects of mixed types, each with its ``@odata.type`` (owners, members, appliesTo, …)."""
    return many(call, "directoryObject", [d for _, d in rows], context="directoryObjects", kinds=[k for k, _ in rows])


def many(
    call: Call,
    type_name: str,
    documents: list[Document],
    *,
    context: str | None = None,
    kinds: list[str] | None = None,
    page: int | None = None,
) -> Answer:
    """A page of entities.

    Args:
        call: the request; all its query options apply.
        type_name: the type that the options are checked against.
        documents: what the store has, in its order.
        context: the fragment of ``@odata.context``.
        kinds: each document's own type, when the collection is of mixed types (then ``@odata.type`` is sent).
        page: the size of a page and the most that ``$top`` may ask for, where it is not the directory's.
    """
    options = call.options
    rows = list(zip(documents, kinds or [type_name] * len(documents), strict=True))
    if options.filter is not None:
        tree = odata_filter.parse(options.filter)
        support.check_filter(tree, type_name, options)
        rows = [row for row in rows if odata_filter.matches(tree, _filterable(call, row, options.filter))]
    terms = support.search_terms(type_name, options)
    rows = [row for row in rows if all(text in str(row[0].get(name) or "").casefold() for name, text in terms)]
    support.check_orderby(type_name, options)
    for name, descending in reversed(options.orderby):
        path = tuple(name.split("/"))
        rows.sort(key=lambda row: _sort_key(odata_filter.read_path(path, row[0])), reverse=descending)
    fragment = context or navigation.COLLECTION.get(type_name, type_name)
    suffix = f"({','.join(options.select)})" if options.select else ""
    body: Document = {"@odata.context": f"{call.root}/$metadata#{fragment}{suffix}"}
    if options.count and options.eventual:
        body["@odata.count"] = len(rows)
    start, size = _page(call, page)
    if start + size < len(rows):
        body["@odata.nextLink"] = _next_link(call, start + size, size)
    body["value"] = [
        ({"@odata.type": f"#microsoft.graph.{kind}"} if kinds else {})
        | show(call, kind, document, _select_for(kind, type_name, options.select), options.expand)
        for document, kind in rows[start : start + size]
    ]
    return Answer(body)


def count(call: Call, type_name: str, documents: list[Document]) -> Answer:
    """``/$count``: the number as plain text; needs ``ConsistencyLevel: eventual``."""
    if not call.options.eventual:
        raise errors.GraphError("$count is not currently supported.")
    if call.options.filter is not None:
        tree = odata_filter.parse(call.options.filter)
        support.check_filter(tree, type_name, call.options)
        documents = [d for d in documents if odata_filter.matches(tree, d)]
    return Answer(text=str(len(documents)), media_type="text/plain")


def _filterable(call: Call, row: tuple[Document, str], text: str) -> Document:
    """The document with the navigation properties that the filter walks through."""
    document, kind = row
    lowered = text.lower()
    wanted = [name for name in schema.graph_type(kind).navigation if f"{name.lower()}/" in lowered]
    if not wanted:
        return document
    followed = {name: [d for _, d in navigation.follow(call, kind, name, document)] for name in wanted}
    return {**document, **followed}


def _select_for(kind: str, type_name: str, select: tuple[str, ...]) -> tuple[str, ...]:
    """In a mixed collection each entity shows those selected properties that its own type has."""
    if kind == type_name or not select:
        return select
    known = schema.graph_type(kind)
    return tuple(name for name in select if known.canonical(name.split("/")[0])) or ("id",)


def _sort_key(value: Any) -> tuple[bool, str]:
    return value is not None, str(value).casefold()


def _page(call: Call, page: int | None) -> tuple[int, int]:
    token = call.options.skiptoken
    size = call.options.page_size(default=page, maximum=page) if page else call.options.page_size()
    if token is None:
        return 0, size
    try:
        state = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(state["start"]), int(state["size"])
    except (ValueError, KeyError, TypeError):
        raise errors.GraphError(
            "The specified page token value has expired and can no longer be included in your request.",
            code="Directory_ExpiredPageToken",
        ) from None


def _next_link(call: Call, start: int, size: int) -> str:
    state = json.dumps({"start": start, "size": size}, separators=(",", ":"))
    token = base64.urlsafe_b64encode(state.encode()).rstrip(b"=").decode()
    kept = [(k, v) for k, v in call.options.raw if k.removeprefix("$").lower() != "skiptoken"]
    query = "&".join(f"{quote(k, safe='$')}={quote(v, safe='')}" for k, v in (*kept, ("$skiptoken", token)))
    return f"{call.root}{call.path}?{query}"
