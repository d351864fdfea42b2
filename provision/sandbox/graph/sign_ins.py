"""``/auditLogs/signIns``: the sign-in log that Entra fills.

Owns: who may read it, which entries a request sees. Does not own: the entries (``entra.sign_in_log``).
Sources: "List signIns" and the signIn resource type (v1.0 and beta), "How to analyze activity logs with Microsoft
Graph". v1.0 shows interactive sign-ins of users; so does beta, unless a filter asks for other ``signInEventTypes``.
"""

from __future__ import annotations

from datetime import timedelta

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, schema
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.permissions import RULES, authorize

_RETENTION = timedelta(days=30)
"""With Entra ID P1 ("Microsoft Entra data retention")."""
_PREMIUM_PLANS = frozenset({"41781fb2-bc02-4b7c-bd55-b576c07bb09d", "eec0eb4f-6444-4f95-aba0-50c24d67f998"})
"""Service plans of Entra ID P1 and P2 ("Product names and service plan identifiers for licensing")."""
_PAGE = 1000
"""Entries on a page: the default and the most."""
_EVENT_TYPES = "signInEventTypes"


def list_sign_ins(call: Call) -> Answer:
    """GET /auditLogs/signIns, newest first."""
    rows = _rows(call)
    if _EVENT_TYPES.lower() not in (call.options.filter or "").lower():
        rows = [row for row in rows if row["isInteractive"]]
    shown = [_shown(call, row) for row in rows]
    return collection.many(call, _type(call), shown, context="auditLogs/signIns", page=_PAGE)


def get_sign_in(call: Call) -> Answer:
    """GET /auditLogs/signIns/{id}."""
    wanted = call.keys["signIn"].lower()
    row = next((row for row in _rows(call) if row["id"] == wanted), None)
    if row is None:
        raise errors.resource_not_found(call.keys["signIn"])
    return collection.one(call, _type(call), _shown(call, row), context="auditLogs/signIns")


def _rows(call: Call) -> list[Document]:
    """What the log still has, newest first, for a caller who may read it.

    Raises:
        GraphError: as ``require_reader``.
    """
    require_reader(call)
    oldest = call.directory.clock.iso(call.directory.clock.now() - _RETENTION.total_seconds())
    rows = [row for row in reversed(call.all("signIn")) if row["createdDateTime"] >= oldest]
    return sorted(rows, key=lambda row: str(row["createdDateTime"]), reverse=True)


def require_reader(call: Call) -> None:
    """Lets through whoever may read activity reports: the sign-in log, and how users are registered.

    Besides AuditLog.Read.All the page names Directory.Read.All, without which the licence cannot be checked.

    Raises:
        GraphError: 403 for want of a permission, of a role, or of Entra ID P1.
    """
    try:
        authorize(call, RULES["signIn.read"])
    except errors.Denied:
        if "auditlog.read.all" not in call.caller.permissions:
            raise errors.report_permission_missing("AuditLog.Read.All") from None
        raise errors.report_role_missing() from None
    readable = {"directory.read.all", "directory.readwrite.all"} & call.caller.permissions
    plans = {
        plan["servicePlanId"]
        for sku in call.directory.all(call.tenant, "subscribedSku", fresh=True)
        for plan in sku["servicePlans"]
    }
    if not readable or not plans & _PREMIUM_PLANS:
        raise errors.not_premium()


def _type(call: Call) -> str:
    return schema.in_beta("signIn") if call.version == "beta" else "signIn"


def _shown(call: Call, row: Document) -> Document:
    return {**row, **row["_beta"]} if call.version == "beta" else row
