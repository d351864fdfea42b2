"""``/applications/delta`` and ``/servicePrincipals/delta``: what was created, changed or removed since the last time.

Owns: the operations, their tokens and links. Does not own: counting changes (``directory``).
Sources: "Use delta query to track changes in Microsoft Graph data", "application: delta", "servicePrincipal: delta",
"Get incremental changes for users". After the first round Microsoft returns of a changed object at least what was
changed; here it is that and nothing more (what a live tenant answers for users and groups), so that a client which
takes it for the whole object is found out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from provision.sandbox.directory import Change, Document
from provision.sandbox.graph import collection, credentials, errors, navigation, schema
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.odata import filter as odata_filter
from provision.sandbox.graph.odata import support
from provision.sandbox.graph.odata.query import DEFAULT_PAGE

_LIFETIME = 7 * 86400
"""Seconds that a token is good for ("Token duration", directory objects)."""


@dataclass(frozen=True)
class _State:
    """What a token stands for."""

    tenant: str
    kind: str
    issued: float
    since: int
    """The count of changes up to which the client is told everything; 0 in the first round."""
    position: int
    """The count up to which this round has been shown."""
    start: int
    """The count at which a first round began: what was gone by then is not mentioned."""
    select: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    size: int = DEFAULT_PAGE


def list_changed_applications(call: Call) -> Answer:
    """GET /applications/delta."""
    return _round(call, "application")


def list_changed_service_principals(call: Call) -> Answer:
    """GET /servicePrincipals/delta."""
    return _round(call, "servicePrincipal")


def _round(call: Call, kind: str) -> Answer:
    state = _state(call, kind)
    waiting = [
        change
        for change in call.directory.changes(call.tenant, kind, state.since)
        if change.n > state.position and (not state.ids or change.id in state.ids)
    ]
    rows: list[Document] = []
    position, complete = state.position, True
    for change in waiting:
        if len(rows) == state.size:
            complete = False
            break
        position = change.n
        row = _row(call, state, change)
        if row is not None:
            rows.append(row)
    suffix = f"({','.join(state.select)})" if state.select else ""
    body: Document = {"@odata.context": f"{call.root}/$metadata#{navigation.COLLECTION[kind]}{suffix}"}
    if complete:
        newest = call.directory.last_change()
        body["@odata.deltaLink"] = _link(call, "$deltatoken", replace(state, since=newest, position=newest, start=0))
    else:
        body["@odata.nextLink"] = _link(call, "$skiptoken", replace(state, position=position))
    return Answer({**body, "value": rows})


def _row(call: Call, state: _State, change: Change) -> Document | None:
    """An object as the round shows it; None for one that it does not mention."""
    document = call.directory.get(call.tenant, state.kind, change.id, fresh=True)
    if document is None:
        if state.since == 0 and change.n <= state.start:
            return None
        restorable = call.directory.get(call.tenant, state.kind, change.id, fresh=True, deleted=True) is not None
        return {"id": change.id, "@removed": {"reason": "changed" if restorable else "deleted"}}
    select = ("id", *state.select) if state.select else ()
    if state.since and not change.came_or_went:
        shown = collection.show(call, state.kind, document, select)
        select = ("id", *(name for name in shown if name in change.properties))
        if len(select) == 1:
            return None
    return collection.show(call, state.kind, credentials.without_unreplicated(call, document), select)


def _state(call: Call, kind: str) -> _State:
    """Where the client is, from its token and its query options.

    Raises:
        GraphError: a token that is none or too old; an option that a delta query does not take.
    """
    options = call.options
    if options.expand or options.orderby or options.search is not None or options.count:
        # "not supported" in the overview; the sentence was not found quoted, this is the directory's general one.
        raise errors.UnsupportedQuery("Unsupported Query.")
    if options.skiptoken is not None:
        if options.select:
            raise errors.UnsupportedQuery("Unsupported Query.")
        return _decoded(call, kind, options.skiptoken)
    if options.deltatoken and options.deltatoken.lower() != "latest":
        state = _decoded(call, kind, options.deltatoken)
        return replace(state, select=_selected(kind, options.select)) if options.select else state
    newest = call.directory.last_change()
    seen = newest if options.deltatoken else 0
    return _State(
        call.tenant,
        kind,
        call.directory.clock.now(),
        seen,
        seen,
        newest,
        _selected(kind, options.select),
        _filtered(call, kind),
        options.page_size(),
    )


def _selected(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The selected properties under their own names, ``id`` apart."""
    known = schema.graph_type(kind)
    result = []
    for name in names:
        canonical = known.canonical(name.split("/")[0])
        if canonical is None:
            raise errors.unknown_query_property(name, kind, option="$select")
        result.append(canonical)
    return tuple(name for name in dict.fromkeys(result) if name != "id")


def _filtered(call: Call, kind: str) -> tuple[str, ...]:
    """The ids of ``$filter=id eq '…' or id eq '…'``, the only filter that a delta query takes."""
    if call.options.filter is None:
        return ()
    tree = odata_filter.parse(call.options.filter)
    support.check_filter(tree, kind, call.options)
    return tuple(_ids(tree))


def _ids(node: odata_filter.Node) -> list[str]:
    if isinstance(node, odata_filter.Logic) and node.operator == "or":
        return [*_ids(node.left), *_ids(node.right)]
    if isinstance(node, odata_filter.Compare) and node.operator == "eq":
        left, right = node.left, node.right
        if isinstance(left, odata_filter.Property) and isinstance(right, odata_filter.Literal) and left.path == ("id",):
            return [str(right.value).lower()]
    raise errors.UnsupportedQuery("Unsupported Query.")


def _link(call: Call, option: str, state: _State) -> str:
    """The URL with which the client goes on; the token carries the query options of the first request."""
    text = json.dumps(asdict(replace(state, issued=call.directory.clock.now())), separators=(",", ":"))
    token = base64.urlsafe_b64encode(_digest(text) + text.encode()).rstrip(b"=").decode()
    return f"{call.root}{call.path}?{option}={token}"


def _digest(text: str) -> bytes:
    """Tells a token that somebody changed from one that was given out."""
    return hashlib.sha256(text.encode()).digest()[:8]


def _decoded(call: Call, kind: str, token: str) -> _State:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        text = raw[8:].decode()
    except (binascii.Error, ValueError):
        raise errors.malformed_token() from None
    if raw[:8] != _digest(text):
        raise errors.malformed_token()
    fields: dict[str, Any] = json.loads(text)
    state = _State(**{**fields, "select": tuple(fields["select"]), "ids": tuple(fields["ids"])})
    if state.tenant != call.tenant:
        raise errors.malformed_token()
    if call.directory.clock.now() - state.issued > _LIFETIME:
        raise errors.expired_delta()
    if state.kind != kind:
        # Microsoft answers the token of another collection with no changes and a link of this one; what happened in
        # between is lost to the client.
        newest = call.directory.last_change()
        return _State(call.tenant, kind, state.issued, newest, newest, newest)
    return state
